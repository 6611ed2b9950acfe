"""The Agreement document: every key it may have, said once; reading, checking and JSON Schema all follow from these tables."""

from typing import Final

from shared.language import checks, values
from shared.language.calendars import header
from shared.language.readers import ByShape, Flag, Key, Leaf, Many, OneOf, Pairs, Record, Tagged, Whole
from shared.language.recurrences import recurrence
from shared.language.zones import zone_name

_DURATION = Leaf(values.duration, {"pattern": values.DURATION_PATTERN, "examples": ["90s", "30m", "4h"]})
_EVERY = Leaf(values.duration_of_a_second, {"pattern": values.DURATION_PATTERN, "examples": ["7d", "1h"]})
_CONDITION = Leaf(values.condition, {"examples": ['data.priority == "P1"']})
_PATH = Leaf(values.path, {"pattern": r"^(data|event)[.\[]", "examples": ["data.score"]})
_NAME = Leaf(values.name)
_TEXT = Leaf(values.any_text)
_MONEY = Leaf(values.money, {"pattern": values.MONEY_PATTERN, "examples": ["500 CNY"]})
_SHARE = Leaf(values.share, {"pattern": values.SHARE_PATTERN, "examples": ["95%"]})
_LEVEL = Leaf(values.share_or_number, {"examples": ["95%", "4.2"]})
_DATE = Leaf(checks.effective_day, {"pattern": values.DATE_PATTERN, "examples": ["2026-01-01"]})
_SEVERITY = OneOf("page", "ticket", "info")
_WARN_AT = Many(Leaf(values.warning, {"examples": ["80%", "30m"]}), single=True, unique=True)


# --- triggers

_TRIGGER_KEYS: Final = (
    Key("on", Many(Leaf(values.event_type), single=True, unique=True), "the event type, or a list of types", required=True),
    Key("when", _CONDITION, "only if this condition over event and data is true"),
    Key("by", OneOf("any", "vendor", "customer", "operator"), "only if posted by this role (default any)"),
)
_PAUSE_ON = Key("on", _TRIGGER_KEYS[0].reader, _TRIGGER_KEYS[0].doc)

TRIGGER = Record("Trigger", _TRIGGER_KEYS, short="on")
_STOP = Record("Stop", (*_TRIGGER_KEYS, Key("take", OneOf("first", "last"), "which stop counts (default first)")), short="on")
_PAUSE = Record(
    "Pause",
    (
        _PAUSE_ON,
        *_TRIGGER_KEYS[1:],
        Key("while", _CONDITION, "paused as long as this is true of the case's data; any event of the case decides"),
        Key("at_most", _DURATION, "each pause counts at most this working time"),
        Key("reason", _PATH, "the field that carries the reason"),
    ),
    short="on",
    check=checks.pause,
)
_REOPEN = Record(
    "Reopen",
    (*_TRIGGER_KEYS, Key("as", OneOf("continue", "new_cycle", "count_all"), "the closed time is a pause, starts anew, or counts")),
    short="on",
)
_CHANGE = Record(
    "Change",
    (*_TRIGGER_KEYS, Key("as", OneOf("carry", "retroactive", "restart"), "time used is carried, counts from the start, or starts at zero")),
    short="on",
)
_EVENTS = Record(
    "Events", (*_TRIGGER_KEYS, Key("good", _CONDITION, "which of these events are good, judged by that event alone")), short="on"
)

# --- money

_BELOW_OR_ABOVE = (Key("below", _LEVEL, "for levels strictly below this"), Key("above", _LEVEL, "for levels strictly above this"))
_AT_LEAST_OR_MOST = (Key("at_least", _LEVEL, "for levels of at least this"), Key("at_most", _LEVEL, "for levels of at most this"))
_SHARE_OR_MONEY = Leaf(checks.share_or_money, {"examples": ["5%", "500 CNY"]})
_CREDIT_TIER = Record(
    "Credit tier",
    (*_BELOW_OR_ABOVE, Key("credit", _SHARE_OR_MONEY, "a share of the fee, or an amount", required=True)),
    check=checks.one_of("below", "above"),
)
_BONUS_TIER = Record(
    "Bonus tier",
    (*_AT_LEAST_OR_MOST, Key("bonus", _SHARE_OR_MONEY, "a share of the fee, or an amount", required=True)),
    check=checks.one_of("at_least", "at_most"),
)
_PER_BREACH = Key("per_breach", _MONEY, "for each breach")
_AT_MOST = Key("at_most", _MONEY, "cap for one breach")
_CASE_PENALTY = Record(
    "Penalty of a case",
    (
        _PER_BREACH,
        Key("per_hour_late", _MONEY, "for each working hour late, pro rata"),
        Key("per_started_hour", ByShape(text=Leaf(checks.flag_or_money)), "instead of pro rata: an amount, or true beside per_hour_late"),
        _AT_MOST,
    ),
    check=checks.penalty,
)
_BREACH_PENALTY = Record("Penalty of a violation", (_PER_BREACH, _AT_MOST), check=checks.penalty)
_LEVEL_PENALTY = Record(
    "Penalty of a level",
    (_PER_BREACH, Key("tiers", Many(_CREDIT_TIER), "credit by level, the worst last"), _AT_MOST),
    check=checks.level_penalty,
)
_REWARD = Record("Reward", (Key("tiers", Many(_BONUS_TIER), "bonus by level, the best last", required=True),), check=checks.reward)
_EARN_BACK = Record(
    "Earn-back",
    (Key("periods", Whole(1, 120), "how many following periods must pass", required=True), *_AT_LEAST_OR_MOST),
    check=checks.one_of("at_least", "at_most"),
)


# --- objectives


def _objective(kind: str, *keys: Key, penalty: Record, check: checks.Check | None = None) -> tuple[str, Record]:
    common = (
        Key("name", _NAME, "the objective's name, unique in its agreement", required=True),
        Key("kind", OneOf(kind), "what kind of promise it is", required=True),
        Key("severity", _SEVERITY, "what a breach does (default ticket)"),
        Key("calendar", _NAME, "its calendar (default: the agreement's)"),
        Key("when", _CONDITION, "cases and events for which it does not hold are left out"),
        Key("labels", Pairs(values.any_text, _TEXT), "for routing and dashboards"),
        Key("weight", Leaf(values.weight, {"type": ["number", "string"], "minimum": 0}), "its weight in the scorecard"),
        Key("penalty", penalty, "what a breach costs the vendor"),
        Key("runbook", _TEXT, "address of the instructions for whoever is alerted"),
        Key("description", _TEXT, "for people"),
    )
    return kind, Record(f"Objective of kind {kind}", (*common, *keys), check=check)


_WITHIN = Leaf(values.within, {"pattern": values.WITHIN_PATTERN, "examples": ["4h", "3bd", "7cd"]})
_TARGET = Record(
    "Target",
    (
        Key("when", _CONDITION, "the cases it is for; left out: all that are left"),
        Key("within", _WITHIN, "working time (4h), business days (3bd) or civil days (7cd)"),
        Key("at", OneOf("same_time"), "with business days: the wall time of the start, not close of business"),
        Key("until", _PATH, "the field that carries the promised instant"),
        Key("pausable", Flag(), "with until: whether pauses move it (default false)"),
        Key("calendar", _NAME, "its calendar (default: the objective's)"),
    ),
    check=checks.target,
)
_DEADLINE = _objective(
    "deadline",
    Key("start", TRIGGER, "starts the clock", required=True),
    Key("stop", _STOP, "stops it: the work is done", required=True),
    Key("targets", Many(_TARGET), "the first whose `when` is true holds", required=True),
    Key("pause", _PAUSE, "pauses it"),
    Key("resume", TRIGGER, "lets it run again"),
    Key("cancel", TRIGGER, "takes the case out of the count"),
    Key("reset", TRIGGER, "starts a new cycle"),
    Key("reopen", _REOPEN, "opens a closed case again"),
    Key("change", _CHANGE, "chooses the target anew"),
    Key("warn_at", _WARN_AT, "warnings: shares of the target (80%) or working time before due (30m)"),
    Key("boundary", OneOf("close", "next_open"), "a due at closing time stays there, or moves to the next opening"),
    penalty=_CASE_PENALTY,
    check=checks.deadline,
)

_TARGET_LEVEL = Leaf(values.bound, {"pattern": values.BOUND_PATTERN, "examples": [">= 95%", "<= 4.2"]})
_LEVEL_KEYS = (
    Key("target", _TARGET_LEVEL, 'a comparison and a value: ">= 95%"', required=True),
    Key(
        "window",
        Leaf(values.window, {"pattern": values.WINDOW_PATTERN, "examples": ["period", "rolling 30d", "tumbling 1h"]}),
        "what it is measured over (default period)",
    ),
    Key("min_events", Whole(0), "fewer make the window no_data (default 0)"),
    Key("on_empty", OneOf("met", "no_data", "breach"), "write on_empty: met, no_data or breach, for a window with no event", required=True),
    Key("warn_at", _WARN_AT, "at risk from these shares of the error budget on"),
    Key("reward", _REWARD, "what a good level earns the vendor"),
    Key("earn_back", _EARN_BACK, "how the vendor earns a credit back"),
)
_BURN_PAIR = Record(
    "Burn-rate pair",
    (
        Key("long", _DURATION, "the long window", required=True),
        Key("short", _DURATION, "the short window", required=True),
        Key("factor", Leaf(values.decimal, {"type": ["number", "string"]}), "how many times too fast the budget burns", required=True),
        Key("severity", _SEVERITY, "what it does", required=True),
    ),
    check=checks.burn_pair,
)
_BURN_RATE = Key("burn_rate", ByShape(text=OneOf("standard"), listing=Many(_BURN_PAIR)), "alerts when the error budget burns too fast")
_OF_EVENTS = Key("events", _EVENTS, "the events it is measured on")
_OF_OBJECTIVE = Key("objective", _NAME, "the deadline or heartbeat whose outcomes it counts")
_RATIO = _objective(
    "ratio",
    Key(
        "of",
        Record("Base of a ratio", (_OF_EVENTS, _OF_OBJECTIVE), check=checks.one_of("events", "objective")),
        "good of all",
        required=True,
    ),
    *_LEVEL_KEYS,
    _BURN_RATE,
    penalty=_LEVEL_PENALTY,
    check=checks.ratio,
)
_AGGREGATE = _objective(
    "aggregate",
    Key("of", Record("Base of an aggregate", (Key("events", TRIGGER, _OF_EVENTS.doc, required=True),)), "the events", required=True),
    Key("field", _PATH, "the number it aggregates; not for count"),
    Key(
        "aggregate",
        Leaf(values.aggregate, {"pattern": values.AGGREGATE_PATTERN, "examples": ["avg", "p95"]}),
        "avg, sum, min, max, count, or p50 … p99",
        required=True,
    ),
    *_LEVEL_KEYS,
    penalty=_LEVEL_PENALTY,
    check=checks.aggregate,
)
_AVAILABILITY = _objective(
    "availability",
    Key("down", TRIGGER, "begins downtime", required=True),
    Key("up", TRIGGER, "ends downtime", required=True),
    Key(
        "exclude",
        Record(
            "Exclusion",
            (Key("from", TRIGGER, "begins it", required=True), Key("to", TRIGGER, "ends it", required=True)),
            check=checks.exclusion,
        ),
        "time that does not count, such as planned maintenance",
    ),
    *_LEVEL_KEYS,
    _BURN_RATE,
    penalty=_LEVEL_PENALTY,
    check=checks.availability,
)
_HEARTBEAT = _objective(
    "heartbeat",
    Key("on", TRIGGER, "the event that is due", required=True),
    Key("every", _EVERY, "civil time from one to the next, counted from effective.from"),
    Key(
        "due",
        Record(
            "Recurrence",
            (
                Key("rrule", Leaf(recurrence, {"examples": ["FREQ=MONTHLY;BYMONTHDAY=5"]}), "RFC 5545 recurrence", required=True),
                Key("at", Leaf(checks.due_time, {"examples": ["18:00"]}), "time of day in the agreement's zone", required=True),
            ),
        ),
        "on which days it is due",
    ),
    Key("on_closed", OneOf("next", "previous", "same"), "where a slot on a closed day moves (default same)"),
    Key("warn_at", _WARN_AT, "warnings before it is due"),
    penalty=_CASE_PENALTY,
    check=checks.one_of("every", "due"),
)
_VIOLATION = _objective(
    "violation",
    Key("on", TRIGGER, "the events to be tested", required=True),
    Key("unless", _CONDITION, "the test that each event must pass", required=True),
    penalty=_BREACH_PENALTY,
)

_PARTIES = Many(_NAME, single=True, unique=True)
_EFFECTIVE = Record(
    "Effective",
    (
        Key("from", _DATE, "the first day, or the instant from which it holds"),
        Key("to", _DATE, "the last day, included, or the instant at which it ends"),
    ),
)
_WAIT = Leaf(values.duration_or_none_at_all, {"pattern": values.DURATION_PATTERN})

AGREEMENT = Record(
    "Agreement",
    (
        *header("Agreement"),
        Key("version", Whole(1), "counts up with each amendment (default 1)"),
        Key("vendor", _PARTIES, 'a vendor, a list, or "*" for one agreement of the same terms with each', required=True),
        Key("service", _PARTIES, 'a service, a list, or "*" (the default)'),
        Key("effective", _EFFECTIVE, "first and last day, both included, in the agreement's zone"),
        Key("timezone", Leaf(zone_name, {"examples": ["Asia/Shanghai"]}), "IANA zone of its days and periods (default UTC)"),
        Key("calendar", _NAME, "default calendar of its objectives (default 24x7)"),
        Key("period", OneOf("week", "month", "quarter", "year"), "contract period (default month)"),
        Key("fee", _MONEY, "the fee of a period"),
        Key("at_risk", _SHARE, "cap of all credits of a period, as a share of the fee"),
        Key("grace", _WAIT, "how long a deadline waits for evidence under way (default 2s)"),
        Key("horizon", _WAIT, "how long a verdict may be corrected (default 7d)"),
        Key("max_lateness", _WAIT, "evidence later than this corrects only after review (default 24h)"),
        Key("apply_to", OneOf("new", "open"), "whether open clocks move to this version (default new)"),
        Key(
            "objectives",
            Many(Tagged("kind", (_DEADLINE, _RATIO, _AGGREGATE, _AVAILABILITY, _HEARTBEAT, _VIOLATION), "an objective")),
            "the promises",
            required=True,
        ),
    ),
    check=checks.agreement,
    extras=True,
)
