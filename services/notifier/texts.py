"""Every word that people read on pages and in messages, in one place, so that another language is another table."""

from typing import Final

ENGLISH: Final = {
    # messages: what happened, in one sentence
    "slawatch.breach.opened": "{vendor} broke “{objective}” for {case}",
    "slawatch.breach.closed": "{vendor} has finished {case}, late: “{objective}”",
    "slawatch.breach.retracted": "{vendor} kept “{objective}” for {case} after all: the breach is withdrawn",
    "slawatch.breach.reopened": "{vendor} is in breach of “{objective}” for {case} again",
    "slawatch.breach.amended": "The breach of “{objective}” for {case} by {vendor} was recalculated",
    "slawatch.breach.contested": "Late evidence contests the breach of “{objective}” for {case} by {vendor}: review needed",
    "slawatch.breach.final": "The verdict on “{objective}” for {case} by {vendor} is final",
    "slawatch.clock.warning": "{vendor} is about to break “{objective}” for {case}",
    "slawatch.level.at_risk": "{vendor} is about to miss “{objective}”",
    "slawatch.level.burning": "{vendor} is using up its allowance for “{objective}” too fast",
    # messages: one word in front
    "tag.slawatch.breach.opened": "BREACH",
    "tag.slawatch.breach.closed": "CLOSED",
    "tag.slawatch.breach.retracted": "RETRACTED",
    "tag.slawatch.breach.reopened": "REOPENED",
    "tag.slawatch.breach.amended": "AMENDED",
    "tag.slawatch.breach.contested": "CONTESTED",
    "tag.slawatch.breach.final": "FINAL",
    "tag.slawatch.clock.warning": "WARNING",
    "tag.slawatch.level.at_risk": "AT RISK",
    "tag.slawatch.level.burning": "BURNING",
    # messages; the facts under the sentence
    "fact.promise": "Promise",
    "fact.by": "By how much",
    "fact.case": "Case",
    "fact.vendor": "Vendor",
    "fact.service": "Service",
    "fact.agreement": "Agreement",
    "fact.severity": "Severity",
    "fact.started": "Started",
    "fact.due": "Due",
    "fact.stopped": "Finished",
    "fact.cause": "Cause",
    "fact.level": "Level",
    "within": "within {target} of working time",
    "until": "by {due}",
    "late": "{late} of working time late",
    "late_zero": "late, though by no working time",
    "overdue": "not done; due was {due}",
    "left": "{left} left, {threshold} of the time is used",
    "left_lead": "{left} left ({threshold} before due)",
    "level_value": "{value}, target {target}",
    "open": "Open it in slawatch",
    "why.mail": "You get this mail because slawatch is set to send breaches of service level agreements to this address.",
    # page
    "page.title": "Now",
    "page.open": "Open breaches",
    "page.open.none": "No open breach. Every promise that is due has been kept.",
    "page.risk": "Clocks at risk",
    "page.risk.none": "Nothing is at risk right now.",
    "page.recent": "Recently closed and withdrawn",
    "page.recent.none": "Nothing closed or withdrawn yet.",
    "page.count.open": "open",
    "page.count.unacknowledged": "not acknowledged",
    "page.count.risk": "at risk",
    "page.more": "{shown} of {total} shown; the others are in the API, GET /v1/breaches",
    "page.live": "Live",
    "page.away": "Connection lost, trying again …",
    "page.unavailable": "The ledger cannot be read right now. The page goes on by itself when it is back.",
    "col.promise": "Promise",
    "col.case": "Case",
    "col.since": "Due",
    "col.by": "Overdue",
    "col.severity": "Severity",
    "col.acknowledged": "Acknowledged",
    "col.left": "Time left",
    "acknowledge": "Acknowledge",
    "acknowledge.case": "Acknowledge the breach of {objective} for {case}",
    "acknowledged.by": "by {who}",
    "acknowledged.not": "not acknowledged",
    "note": "Add a note",
    "note.label": "Note",
    "standing.open": "open",
    "standing.closed": "closed",
    "standing.retracted": "withdrawn",
    "closed.late": "{late} late",
    "contested": "contested",
    "final": "final",
    "risk.warning": "warning at {threshold}",
    "risk.at_risk": "forecast misses",
    "risk.burning": "burning too fast",
    "due.passed": "due, waiting for evidence",
    "level": "whole window",
    # case page
    "case.title": "Breach",
    "case.back": "Back to all",
    "case.timeline": "Timeline",
    "case.facts": "Facts",
    "case.deliveries": "Who was told",
    "case.deliveries.none": "Nobody: no channel is set up. See SLAWATCH_WEBHOOKS, SLAWATCH_CHAT_WEBHOOKS and SLAWATCH_SMTP.",
    "case.evidence": "Evidence",
    "case.evidence.none": "No event led to it: that nothing came is the evidence.",
    "case.revision": "revision {number}",
    "case.decided": "decided {delay} after",
    "case.raw": "Verdict as it was stated",
    "action.acknowledge": "acknowledged by {who}",
    "action.note": "note by {who}",
    "delivery.pending": "waiting",
    "delivery.sent": "sent",
    "delivery.failed": "given up",
    "delivery.disabled": "channel is off",
    "delivery.inhibited": "not needed any more",
    "delivery.attempts": "{number} attempts",
    "col.channel": "Channel",
    "col.message": "Message",
    "col.state": "State",
    "col.when": "When",
    # signing in
    "login.title": "Sign in",
    "login.token": "Token",
    "login.hint": "Tokens look like slw_…; `make run` prints one, `slawatch keys create` makes more.",
    "login.submit": "Sign in",
    "login.wrong": "That token is not accepted: {why}",
    "login.unavailable": "Tokens cannot be checked right now. Try again in a moment.",
    "logout": "Sign out",
    "signed.in": "{name}, {role}",
    "skip": "Skip to the content",
    "error.title": "That did not work",
    "severity.page": "page",
    "severity.ticket": "ticket",
    "severity.info": "info",
}


class Texts:
    """One language. `texts("late", late="2 h")` gives the text with its gaps filled; a key that is missing is a fault of ours."""

    def __init__(self, table: dict[str, str], language: str) -> None:
        self._table, self.language = table, language

    def __call__(self, key: str, /, **gaps: object) -> str:
        return self._table[key].format(**gaps) if gaps else self._table[key]

    def __contains__(self, key: str) -> bool:
        return key in self._table


TEXTS: Final = Texts(ENGLISH, "en")
