"""A verdict for people: who broke which promise, by how much, since when, what it will cost, what is still open, and where to act.

A message knows no language: `words` gives it in one. Channels and pages only lay it out.
"""

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from services.notifier.costs import Cost, estimate
from services.notifier.texts import TEXTS, Texts
from shared.ports.casework import breach_behind
from shared.runtime.masking import masked
from shared.sla.instants import HOUR, MINUTE, parse_instant
from shared.sla.terms import Objective
from shared.wire.verdicts import CORRECTION_TYPES, Verdict, VerdictData

SNOOZE_MS: Final = 2 * HOUR
TEXT_MAX: Final = 300  # characters of a value that others wrote
_UNITS: Final = ((86_400, "unit.d"), (3_600, "unit.h"), (60, "unit.min"), (1, "unit.s"))
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]+")
_OVER: Final = frozenset(("slawatch.breach.closed", "slawatch.breach.retracted"))


class Past(NamedTuple):
    """One line of a breach's history. `what`: a verdict's type, or what a person did (`acknowledge`, `note`); `at` in ms; `who` did it."""

    at: int
    what: str
    who: str = ""
    text: str = ""


class Words(NamedTuple):
    """A message in one language: `tag` is one word for the kind; `facts` are (label, value); `links` are (label, address)."""

    tag: str
    headline: str
    facts: list[tuple[str, str]]
    links: list[tuple[str, str]]

    @property
    def subject(self) -> str:
        """One line for lists: tag and headline."""
        return f"{self.tag}: {self.headline}"


class Message(NamedTuple):
    """What is to be said about a breach, or about one that is about to be. Addresses are empty where there is none."""

    verdict: Verdict
    link: str = ""
    acknowledge: str = ""
    snooze: str = ""
    runbook: str = ""
    dashboard: str = ""
    cost: Cost | None = None
    acknowledged_by: str = ""
    at: int | None = None  # when it is said, ms

    @property
    def severity(self) -> str:
        """page, ticket or info."""
        return self.verdict.data.severity

    @property
    def breach_id(self) -> str:
        """The breach's; a warning's is the id that the breach would have."""
        return self.verdict.data.breach_id

    @property
    def warning(self) -> bool:
        """Nothing is broken yet."""
        return not self.verdict.type.startswith("slawatch.breach.")

    @property
    def open(self) -> bool:
        """Somebody has something to do still: not done, or to be reviewed."""
        if self.warning or self.verdict.type in _OVER:
            return False
        return self.verdict.type == "slawatch.breach.contested" or self.verdict.data.state == "breached"

    @property
    def over(self) -> bool:
        """The breach or the danger is over: done, withdrawn, kept or cancelled."""
        return not self.open and (not self.warning or self.verdict.type.rpartition(".")[2] in ("met", "cancelled", "no_data", "cleared"))

    def words(self, texts: Texts = TEXTS) -> Words:
        """In a language. Values that others wrote are one line each, bounded, with secrets masked."""
        data = self.verdict.data
        names = {"vendor": clean(data.vendor), "objective": clean(data.objective), "case": clean(data.case or data.service)}
        said = [
            ("promise", promise(self.verdict, texts)),
            ("by", by_how_much(self.verdict, texts, self.at)),
            ("correction", _text(data.action)),
            ("owner", _text(data.owner)),
            ("cost", _cost(self.cost, texts)),
            ("open", self._still_open(texts)),
            ("acknowledged", self.acknowledged_by),
            ("case", data.case),
            ("vendor", data.vendor),
            ("service", data.service),
            ("agreement", texts("agreement.version", agreement=data.agreement, version=data.version)),
            ("severity", data.severity),
            ("started", data.started and instant(data.started)),
            ("due", data.due and instant(data.due)),
            ("stopped", data.stopped and instant(data.stopped)),
            ("cause", data.cause),
        ]
        links = [
            (texts("link.acknowledge"), self.acknowledge),
            (texts("link.snooze", time=duration(SNOOZE_MS / 1000, texts)), self.snooze),
            (texts("open"), self.link),
            (texts("link.runbook"), self.runbook),
            (texts("link.dashboard"), self.dashboard),
        ]
        return Words(
            tag=texts("tag." + self.verdict.type),
            headline=texts(self.verdict.type, **names),
            facts=[(texts("fact." + key), clean(value)) for key, value in said if value],
            links=[(label, address) for label, address in links if address],
        )

    def _still_open(self, texts: Texts) -> str:
        if self.warning:
            return ""
        if self.verdict.type == "slawatch.breach.contested":
            return texts("open.review")
        return texts("open.yes" if self.open else "open.no")


class Addresses(NamedTuple):
    """Where acknowledge and snooze links of one message lead."""

    acknowledge: str
    snooze: str


class Composer:
    """Makes messages. `public_url`: where the console is, without a final slash; empty: no links. `objective_of`: the terms by agreement,
    version and objective, for runbook and cost. `addresses`: makes the links to act by, for a verdict and the channel they go out on.
    `dashboard`: an address with the gaps {vendor}, {agreement} and {objective}; empty: none."""

    def __init__(
        self,
        public_url: str,
        *,
        objective_of: Callable[[str, int, str], Objective | None] = lambda agreement, version, objective: None,
        addresses: Callable[[Verdict, str], Addresses] | None = None,
        dashboard: str = "",
    ) -> None:
        self._public_url, self._objective_of, self._addresses, self._dashboard = public_url, objective_of, addresses, dashboard

    def __call__(self, verdict: Verdict, *, channel: str = "", now: int | None = None, acknowledged_by: str = "") -> Message:
        """The message of a verdict. `now` (ms) lets it say how long it is overdue; `acknowledged_by`: who has it, if anybody."""
        data = verdict.data
        objective = self._objective_of(data.agreement, data.version, data.objective)
        message = compose(verdict, self._public_url)
        if message.open and not acknowledged_by and self._addresses is not None:
            links = self._addresses(verdict, channel)
            message = message._replace(acknowledge=links.acknowledge, snooze=links.snooze)
        return message._replace(
            runbook=web_address((objective and objective.runbook) or ""),
            dashboard=self._dashboard_of(data),
            cost=estimate(objective, data) if objective is not None else None,
            acknowledged_by=acknowledged_by,
            at=now,
        )

    def _dashboard_of(self, data: VerdictData) -> str:
        address = self._dashboard
        for gap, value in (("{vendor}", data.vendor), ("{agreement}", data.agreement), ("{objective}", data.objective)):
            address = address.replace(gap, quote(value, safe=""))
        return web_address(address)


def compose(verdict: Verdict, public_url: str) -> Message:
    """The message of a verdict that is told, with nothing but a link to its page; empty `public_url`: none."""
    page = f"{public_url}/breaches/{breach_behind(verdict.data.breach_id)}"
    known = verdict.type.startswith(("slawatch.breach.", "slawatch.correction."))
    return Message(verdict, link=page if public_url and known else public_url)


def web_address(text: str) -> str:
    """An address for a link, if it is one of the web without blanks or control characters; else empty."""
    return text if text.startswith(("https://", "http://")) and text.isprintable() and not set(text) & set(" <>|\"'()[]") else ""


def clean(text: str) -> str:
    """What others wrote, as one bounded line without control characters; keys and tokens that slipped into it are masked."""
    line = masked(_CONTROLS.sub(" ", text).strip())
    return line if len(line) <= TEXT_MAX else line[: TEXT_MAX - 1] + "…"


def duration(seconds: float, texts: Texts = TEXTS) -> str:
    """A length of time for people: the two largest units, `1 d 3 h`, `2 h 5 min`, `45 s`; below 10 s with tenths."""
    if 0 < abs(seconds) < 10 and seconds != int(seconds):
        return f"{seconds:.1f} {texts('unit.s')}"
    rest, parts = round(abs(seconds)), []
    for size, unit in _UNITS:
        number, rest = divmod(rest, size)
        if number:
            parts.append(f"{number} {texts(unit)}")
        elif parts:
            break
        if len(parts) == 2:
            break
    return ("\N{MINUS SIGN}" if seconds < 0 else "") + (" ".join(parts) or f"0 {texts('unit.s')}")


def instant(text: str) -> str:
    """An RFC 3339 instant in UTC, for people who read a message and not a page: `2026-03-02 08:30:00 UTC`."""
    return text[:19].replace("T", " ") + " UTC"


def promise(verdict: Verdict, texts: Texts = TEXTS) -> str:
    """What was promised: `resolution, within 4 h of working time`."""
    data = verdict.data
    if verdict.type in CORRECTION_TYPES:
        return data.objective
    if data.target_s is not None:
        return f"{data.objective}, {texts('within', target=duration(data.target_s, texts))}"
    if data.due is not None:
        return f"{data.objective}, {texts('until', due=instant(data.due))}"
    return data.objective


def by_how_much(verdict: Verdict, texts: Texts = TEXTS, now: int | None = None) -> str:
    """How far from the promise it is, as of `now` (ms) where that is known; empty where there is nothing to say."""
    data = verdict.data
    if data.case is None and _given(data.value):
        return texts("level_value", value=data.value, target=data.target)
    if verdict.type == "slawatch.clock.warning":
        return _time_left(verdict, texts)
    waits = data.state == "breached" or verdict.type == "slawatch.correction.overdue"
    if waits and data.due is not None and data.stopped is None:
        return _overdue(data.due, texts, now)
    if data.state in ("breached", "breached_closed") and data.late_s is not None:
        return texts("late", late=duration(data.late_s, texts)) if data.late_s else texts("late_zero")
    return ""


def _overdue(due: str, texts: Texts, now: int | None) -> str:
    ago = 0 if now is None else now - parse_instant(due)
    if ago < MINUTE:
        return texts("overdue", due=instant(due))
    return texts("overdue.by", due=instant(due), late=duration(ago / 1000, texts))


def _time_left(verdict: Verdict, texts: Texts) -> str:
    data = verdict.data
    if data.due is None:
        return ""
    left = duration(max(0, parse_instant(data.due) - parse_instant(verdict.time)) / 1000, texts)
    threshold = data.threshold if isinstance(data.threshold, str) else ""
    return texts("left" if threshold.endswith("%") else "left_lead", left=left, threshold=threshold)


def _cost(cost: Cost | None, texts: Texts) -> str:
    if cost is None:
        return ""
    if cost.share:
        return texts("cost.share", share=cost.share)
    if not cost.rate:
        return cost.amount
    said = texts("cost.grows", amount=cost.amount, rate=cost.rate)
    return texts("cost.most", cost=said, most=cost.most) if cost.most else said


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _given(value: Any) -> bool:
    return isinstance(value, int | float | str)
