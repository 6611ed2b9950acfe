"""A verdict in words: who broke which promise, by how much, since when. Channels and pages only lay it out."""

from typing import Any, Final, NamedTuple

from services.notifier.texts import TEXTS, Texts
from shared.sla.instants import parse_instant
from shared.wire.verdicts import Verdict

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


class Message(NamedTuple):
    """`tag` is one word for the kind; `facts` are (label, value); `thread` keeps all messages of one breach together."""

    tag: str
    headline: str
    facts: list[tuple[str, str]]
    severity: str
    thread: str
    link: str

    @property
    def subject(self) -> str:
        """One line for lists: tag and headline."""
        return f"{self.tag}: {self.headline}"


def duration(seconds: float) -> str:
    """A length of time for people: the two largest units, `1 d 3 h`, `2 h 5 min`, `45 s`; below 10 s with tenths."""
    if 0 < abs(seconds) < 10 and seconds != int(seconds):
        return f"{seconds:.1f} s"
    rest, parts = round(abs(seconds)), []
    for size, unit in _UNITS:
        number, rest = divmod(rest, size)
        if number:
            parts.append(f"{number} {unit}")
        elif parts:
            break
        if len(parts) == 2:
            break
    return ("\N{MINUS SIGN}" if seconds < 0 else "") + (" ".join(parts) or "0 s")


def instant(text: str) -> str:
    """An RFC 3339 instant in UTC, for people who read a message and not a page: `2026-03-02 08:30:00 UTC`."""
    return text[:19].replace("T", " ") + " UTC"


def compose(verdict: Verdict, public_url: str, texts: Texts = TEXTS) -> Message:
    """The message of a verdict that is told. `public_url`: where the console is, without a final slash; empty: no link."""
    data = verdict.data
    names = {"vendor": data.vendor, "objective": data.objective, "case": data.case or data.service}
    said = [
        ("promise", promise(verdict, texts)),
        ("by", by_how_much(verdict, texts)),
        ("case", data.case),
        ("vendor", data.vendor),
        ("service", data.service),
        ("agreement", f"{data.agreement}, version {data.version}"),
        ("severity", data.severity),
        ("started", data.started and instant(data.started)),
        ("due", data.due and instant(data.due)),
        ("stopped", data.stopped and instant(data.stopped)),
        ("cause", data.cause),
    ]
    return Message(
        tag=texts("tag." + verdict.type),
        headline=texts(verdict.type, **names),
        facts=[(texts("fact." + key), value) for key, value in said if value],
        severity=data.severity,
        thread=data.breach_id,
        link=f"{public_url}/breaches/{data.breach_id}" if public_url and verdict.type.startswith("slawatch.breach.") else public_url,
    )


def promise(verdict: Verdict, texts: Texts = TEXTS) -> str:
    """What was promised: `resolution, within 4 h of working time`."""
    data = verdict.data
    if data.target_s is not None:
        return f"{data.objective}, {texts('within', target=duration(data.target_s))}"
    if data.due is not None:
        return f"{data.objective}, {texts('until', due=instant(data.due))}"
    return data.objective


def by_how_much(verdict: Verdict, texts: Texts = TEXTS) -> str:
    """How far from the promise it is; empty where there is nothing to say."""
    data = verdict.data
    if data.case is None and _given(data.value):
        return texts("level_value", value=data.value, target=data.target)
    if verdict.type == "slawatch.clock.warning":
        return _time_left(verdict, texts)
    if data.state not in ("breached", "breached_closed"):
        return ""
    if data.state == "breached" and data.due is not None and data.stopped is None:
        return texts("overdue", due=instant(data.due))
    if data.late_s is not None:
        return texts("late", late=duration(data.late_s)) if data.late_s else texts("late_zero")
    return ""


def _time_left(verdict: Verdict, texts: Texts) -> str:
    data = verdict.data
    if data.due is None:
        return ""
    left = duration(max(0, parse_instant(data.due) - parse_instant(verdict.time)) / 1000)
    threshold = data.threshold if isinstance(data.threshold, str) else ""
    return texts("left" if threshold.endswith("%") else "left_lead", left=left, threshold=threshold)


def _given(value: Any) -> bool:
    return isinstance(value, int | float | str)
