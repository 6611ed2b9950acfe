"""Routing documents: who is told about what, when. Read like agreements; `shared.alerting.terms` is what comes out."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from shared.alerting import terms
from shared.language import values
from shared.language.calendars import ALWAYS, HOURS, always, compile_calendar, header
from shared.language.nodes import Listing, Node, Table, Text
from shared.language.problems import Report, Wrong, nearest
from shared.language.readers import BAD, Fields, Flag, Key, Leaf, Many, OneOf, Pairs, Record, Tagged
from shared.language.templates import BadTemplate, read_template
from shared.language.zones import transitions, zone, zone_name
from shared.sla.calendars import Zone
from shared.sla.instants import MINUTE, BadInstant, parse_instant
from shared.sla.terms import CalendarTable

_ENV = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}\Z")
_RATE = re.compile(r"(\d{1,6}) per (\S+)\Z", re.ASCII)
_WALL = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?\Z", re.ASCII)
_GROUP_INTERVAL: Final = 5 * MINUTE  # of groups of more than one breach
_GROUP_WAIT: Final = 30_000
_REPEAT: Final = 0


class _Secret:
    """`${NAME}` of the environment, or `{file: path}`; never the secret itself. Where `plain`, an http address is possible too."""

    def __init__(self, plain: bool = False) -> None:
        self._plain = plain

    def read(self, node: Node, report: Report) -> Any:
        if isinstance(node, Table):
            return _FILE.read(node, report)
        if isinstance(node, Text) and (found := _ENV.match(node.text)):
            return {"env": found[1]}
        if self._plain and isinstance(node, Text) and not node.empty and "${" not in node.text:
            if node.text.startswith(("http://", "https://")):
                return node.text
            report.at(node, f"{node.text!r} is not an address", "it begins with https://")
            return BAD
        report.at(node, "a secret does not stand in the file", "write ${NAME} for an environment variable, or {file: path}")
        return BAD

    def schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        named: list[dict[str, Any]] = [{"type": "string", "pattern": r"^\$\{[A-Za-z_][A-Za-z0-9_]*\}$"}, _FILE.schema(defs)]
        return {"anyOf": [*named, {"type": "string", "pattern": r"^https?://[^$]*$"}] if self._plain else named}


_TEXT: Final = Leaf(values.any_text)
_NAME: Final = Leaf(values.name)
_DURATION: Final = Leaf(values.duration_or_none_at_all, {"pattern": values.DURATION_PATTERN})
_FILE: Final = Record("secret file", (Key("file", _TEXT, "where the secret stands, from this file's folder on", required=True),))


def _rate(text: str) -> dict[str, int]:
    """`20 per 1m`."""
    found = _RATE.match(text)
    if found is None or not int(found[1]):
        raise Wrong(f"{text!r} is not a rate", "write it as 20 per 1m")
    return {"most": int(found[1]), "window": values.duration(found[2])}


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise Wrong(f"{text!r} is not an address", "it begins with https://")
    return text


def _mail_address(text: str) -> str:
    if not re.fullmatch(r"[^\s@]+@[^\s@]+", text):
        raise Wrong(f"{text!r} is not a mail address", "write it as team@example.com")
    return text


_CHANNEL: Final = (
    Key("language", OneOf("en", "zh"), "of messages (default en)"),
    Key("template", _TEXT, "file with a template of your own, from this file's folder on"),
    Key(
        "rate",
        Leaf(_rate, {"pattern": r"^\d+ per "}),
        "most notices, such as 20 per 1m; more become a digest (default: the kind's own limit)",
    ),
)
_URL: Final = Key("url", _Secret(), "the address: ${NAME} or {file: path}, since it holds a secret", required=True)
_PLAIN_URL: Final = Key("url", _Secret(plain=True), "the address, ${NAME} or {file: path}", required=True)
_SIGN: Final = Key("secret", _Secret(), "what it signs with")
_OWN_KEYS: Final[dict[str, tuple[Key, ...]]] = {
    "webhook": (_PLAIN_URL, Key("secret", _Secret(), "of the signature, whsec_…; default: SLAWATCH_WEBHOOK_SECRET")),
    "slack": (
        Key("url", _Secret(), "an incoming webhook: ${NAME} or {file: path}; or use token and to"),
        Key("token", _Secret(), "a bot's token (scope chat:write): then updates go into the thread of the first message"),
        Key("to", _TEXT, "with a token: the channel's id, such as C0123456789"),
    ),
    "dingtalk": (_URL, _SIGN),
    "wecom": (_URL,),
    "feishu": (_URL, _SIGN),
    "pagerduty": (
        Key("routing_key", _Secret(), "integration key of Events v2: ${NAME} or {file: path}", required=True),
        Key("url", Leaf(_url), "of another region or a proxy"),
    ),
    "alertmanager": (_PLAIN_URL,),
    "mail": (Key("to", Many(Leaf(_mail_address), single=True, unique=True), "addresses", required=True),),
    "apprise": (_URL,),
}


def _check_slack(fields: Fields, report: Report) -> None:
    if fields.has_key("url") == fields.has_key("token"):
        report.at(fields.node, "a slack channel has a url, or a token and to", "write url: ${NAME}, or token: ${NAME} and to: C0123456789")
    elif fields.has_key("token") != fields.has_key("to"):
        report.at(fields.node, "'token' and 'to' go together", "say with to: which channel the bot writes to")


_CHECKS: Final = {"slack": _check_slack}
_CHANNELS: Final = Tagged(
    "kind",
    [
        (
            kind,
            Record(
                f"{kind} channel",
                (Key("kind", OneOf(kind), "which channel", required=True), *own, *_CHANNEL),
                check=_CHECKS.get(kind),
            ),
        )
        for kind, own in _OWN_KEYS.items()
    ],
    "a channel",
)
_MATCH: Final = Pairs(values.any_text, Many(_TEXT, single=True))
_SEVERITIES: Final = ("page", "ticket", "info")


def _check_match(fields: Fields, key: str, report: Report) -> None:
    """A severity that no alert has matches nothing."""
    for name, wanted in fields.get(key, ()):
        unknown = [text for text in wanted if name == "severity" and "*" not in text and text not in _SEVERITIES]
        if unknown:
            report.at(fields.place(key), f"no alert has the severity {unknown[0]!r}", nearest(unknown[0], _SEVERITIES))


class _Hours:
    """`{calendar: name, closed: true}`, or the hours themselves."""

    def __init__(self) -> None:
        self._named = Record(
            "calendar hours",
            (
                Key("calendar", _TEXT, "a calendar of these files", required=True),
                Key("closed", Flag(), "true: the hours in which it is closed (default false: in which it is open)"),
            ),
        )

    def read(self, node: Node, report: Report) -> Any:
        record = self._named if isinstance(node, Table) and node.get("calendar") else HOURS
        return record.read(node, report)

    def schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"anyOf": [self._named.schema(defs), HOURS.schema(defs)]}


_HOURS: Final = _Hours()
_PERSON: Final = Record(
    "person",
    (
        Key("receivers", Many(_TEXT, single=True, unique=True), "how to reach them", required=True),
        Key("quiet_hours", _HOURS, "when only the severities of quiet_except come at once; the rest waits until they end"),
        Key("quiet_except", Many(_TEXT, least=0, single=True, unique=True), "severities that come at any time (default page)"),
    ),
)


def _wall(text: str) -> str:
    """A wall time: `2026-01-05T09:00`."""
    if not _WALL.match(text):
        raise Wrong(f"{text!r} is not a day and time", "write it as 2026-01-05T09:00, in the rota's time zone")
    try:
        parse_instant(text + "Z")
    except BadInstant as wrong:
        raise Wrong(str(wrong)) from None
    return text


_WALL_TIME: Final = Leaf(_wall, {"pattern": r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?$"})
_OVERRIDE: Final = Record(
    "override",
    (
        Key("person", _TEXT, "who stands in", required=True),
        Key("from", _WALL_TIME, "from this wall time", required=True),
        Key("to", _WALL_TIME, "until before this wall time", required=True),
    ),
)
_ROTA: Final = Record(
    "rota",
    (
        Key("people", Many(_TEXT), "who take turns, in this order", required=True),
        Key("from", _WALL_TIME, "when the first turn begins; hand-overs have its time of day", required=True),
        Key("every", Leaf(values.duration, {"pattern": values.DURATION_PATTERN}), "length of a turn, such as 7d or 12h", required=True),
        Key("timezone", Leaf(zone_name), "IANA zone of its times (default: the document's)"),
        Key("overrides", Many(_OVERRIDE), "who stands in for whom; later ones win"),
    ),
)


def _check_who(fields: Fields, report: Report) -> None:
    if len([key for key in ("receiver", "person", "rota") if fields.has_key(key)]) != 1:
        report.at(fields.node, "a recipient is one of receiver, person or rota", "write {rota: name}")


_WHO: Final = Record(
    "recipient",
    (
        Key("receiver", _TEXT, "a receiver"),
        Key("person", _TEXT, "a person"),
        Key("rota", _TEXT, "whoever is on duty"),
    ),
    short="receiver",
    check=_check_who,
)
_STEP: Final = Record(
    "step",
    (
        Key("after", _DURATION, "how long nobody has acknowledged it (default 0s)"),
        Key("notify", Many(_WHO, single=True), "who is told then", required=True),
    ),
)
_ESCALATION: Final = Record(
    "escalation",
    (
        Key("steps", Many(_STEP), "who is told, after how long", required=True),
        Key("acknowledged_for", _DURATION, "an acknowledgement holds so long, then the steps begin again (default: for good)"),
    ),
)


def _check_inhibition(fields: Fields, report: Report) -> None:
    for key in ("source", "target"):
        _check_match(fields, key, report)


_INHIBITION: Final = Record(
    "inhibition",
    (
        Key("source", _MATCH, "while an alert with these labels fires", required=True),
        Key("target", _MATCH, "alerts with these are not told", required=True),
        Key("equal", Many(_TEXT, single=True, unique=True), "if these labels are the same on both, such as vendor"),
    ),
    check=_check_inhibition,
)


class _Lazy:
    """The reader of a route, for the routes below it."""

    def read(self, node: Node, report: Report) -> Any:
        return _ROUTE.read(node, report)

    def schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return _ROUTE.schema(defs)


def _check_route(fields: Fields, report: Report) -> None:
    for key in ("match", "but_not"):
        _check_match(fields, key, report)
    if fields.has_key("receiver") and fields.has_key("escalation"):
        report.at(fields.key_place("receiver"), "a route has a receiver or an escalation, not both", "put the receiver into a step")


_ROUTE: Final = Record(
    "route",
    (
        Key("name", _NAME, "for logs; alerts under way are remembered by it when the tree changes (default: its place in the tree)"),
        Key("match", _MATCH, "labels that alerts must have: a text or a list of them, * for any characters"),
        Key("but_not", _MATCH, "labels that they must not have"),
        Key("receiver", Many(_TEXT, single=True, unique=True), "who is told"),
        Key("escalation", _TEXT, "or: who is told until somebody acknowledges"),
        Key("group_by", Many(_TEXT, single=True, unique=True), "labels of alerts that are told together (default breach: each by itself)"),
        Key("group_wait", _DURATION, "how long the first message of a group waits for more (default 30s, 0s for single breaches)"),
        Key("group_interval", _DURATION, "least time between messages about a group (default 5m, 0s for single breaches)"),
        Key("repeat_interval", _DURATION, "tell again what is open and not acknowledged (default 0s: never)"),
        Key("mute_times", Many(_TEXT, single=True, unique=True), "when nothing is told; what is open then is told when they end"),
        Key("continue", Flag(), "true: the routes after it are looked at too"),
        Key("routes", Many(_Lazy()), "for some of its alerts; the first that matches takes them"),
    ),
    check=_check_route,
)

ROUTING: Final = Record(
    "Routing",
    (
        *header("Routing"),
        Key("timezone", Leaf(zone_name, {"examples": ["Asia/Shanghai"]}), "IANA zone of rotas (default UTC)"),
        Key("receivers", Pairs(values.name, Many(_CHANNELS)), "name -> channels", required=True),
        Key("people", Pairs(values.name, _PERSON), "name -> how they are reached"),
        Key("rotas", Pairs(values.name, _ROTA), "name -> who is on duty when"),
        Key("escalations", Pairs(values.name, _ESCALATION), "name -> steps"),
        Key("mute_times", Pairs(values.name, _HOURS), "name -> hours, for routes"),
        Key("inhibit", Many(_INHIBITION), "alerts that make others pointless; a breach inhibits its own warnings in any case"),
        Key("route", _ROUTE, "the tree: its root takes all alerts", required=True),
    ),
    check=lambda fields, report: _Check(fields, report).all(),
    extras=True,
)


# ---- what names what


class _Check:
    """References between the parts of a document."""

    def __init__(self, fields: Fields, report: Report) -> None:
        self._fields, self._report = fields, report
        self._names = {
            part: list(getattr(fields.place(part), "entries", ()) if fields.has_key(part) else ())
            for part in ("receivers", "people", "rotas", "escalations", "mute_times")
        }

    def all(self) -> None:
        for _, listed in self._fields.get("receivers", ()):
            for channel in listed:
                self._template(channel)
        for _, person in self._fields.get("people", ()):
            self._known("receivers", "receiver", person, "receivers")
        for _, rota in self._fields.get("rotas", ()):
            self._known("people", "person", rota, "people")
            for override in rota.get("overrides", ()):
                self._known("people", "person", override, "person")
                if override.get("from", "") >= override.get("to", "~"):
                    self._report.at(override.place("to"), "the override ends before it begins")
        for _, escalation in self._fields.get("escalations", ()):
            self._steps(escalation)
        if "route" in self._fields:
            root = self._fields["route"]
            for key in ("match", "but_not", "continue"):
                if root.has_key(key):
                    self._report.at(root.key_place(key), f"the root takes all alerts: no {key} here", "put it on a route below")
            self._route(root, told=False, names={})

    def _template(self, channel: Fields) -> None:
        folder = Path(self._report.file).parent
        if "template" not in channel or not Path(self._report.file).is_file():
            return
        if channel["kind"] == "webhook":
            self._report.at(channel.key_place("template"), "a webhook is the verdict itself and takes no template")
            return
        try:
            read_template(folder / channel["template"])
        except BadTemplate as wrong:
            self._report.at(channel.place("template"), f"the template {channel['template']}: {wrong}")

    def _steps(self, escalation: Fields) -> None:
        last = -1
        for step in escalation.get("steps", ()):
            if step.get("after", 0) <= last:
                self._report.at(step.place("after"), "a step comes after the one before it", "steps are in order of `after`")
            last = step.get("after", 0)
            for who in step["notify"]:
                for key, part in (("receiver", "receivers"), ("person", "people"), ("rota", "rotas")):
                    self._known(part, key, who, key)

    def _route(self, route: Fields, told: bool, names: dict[str, Fields]) -> None:
        self._known("receivers", "receiver", route, "receiver")
        self._known("escalations", "escalation", route, "escalation")
        self._known("mute_times", "mute time", route, "mute_times")
        told = told or route.has_key("receiver") or route.has_key("escalation")
        if not told and "routes" not in route:
            self._report.at(route.node, "the route tells nobody", "add receiver: or escalation:, here or above")
        if (name := route.get("name")) and (first := names.setdefault(name, route)) is not route:
            self._report.at(route.place("name"), f"two routes are called {name!r}", f"the first is on line {first.node.line}")
        for child in route.get("routes", ()):
            self._route(child, told, names)

    def _known(self, part: str, what: str, fields: Fields, key: str) -> None:
        if key not in fields:
            return
        node = fields.place(key)
        for place in node.items if isinstance(node, Listing) else (node,):
            if isinstance(place, Text) and place.text not in self._names[part]:
                self._report.at(place, f"there is no {what} {place.text!r}", nearest(place.text, self._names[part]))


def calendar_places(node: Table) -> list[Text]:
    """Where a routing names calendars."""
    hours = [entry for _, entry in getattr(node.get("mute_times"), "entries", {}).values()]
    people = getattr(node.get("people"), "entries", {}).values()
    hours += [person.get("quiet_hours") for _, person in people if isinstance(person, Table)]
    places = [each.get("calendar") for each in hours if isinstance(each, Table)]
    return [place for place in places if isinstance(place, Text)]


# ---- compiling


class _Inherited(NamedTuple):
    """What a route takes from the one above it."""

    steps: tuple[terms.Step, ...] = ()
    acknowledged_for: int = 0
    group_by: tuple[str, ...] = (terms.BREACH,)
    group_wait: int | None = None
    group_interval: int | None = None
    repeat_interval: int = _REPEAT
    mute_times: tuple[str, ...] = ()


class _Compiler:
    def __init__(self, fields: Fields, calendars: dict[str, CalendarTable]) -> None:
        self._fields, self._calendars = fields, calendars
        self._zone = fields.get("timezone", "UTC")
        self._escalations = dict(fields.get("escalations", ()))

    def routing(self, folder: str) -> terms.Routing:
        fields = self._fields
        return terms.Routing(
            name=fields["name"],
            receivers={name: _channels(name, listed) for name, listed in fields["receivers"]},
            route=self._route(fields["route"], "root", _Inherited()),
            people={name: self._person(name, person) for name, person in fields.get("people", ())},
            rotas={name: self._rota(name, rota) for name, rota in fields.get("rotas", ())},
            mute_times={name: self._hours(name, hours) for name, hours in fields.get("mute_times", ())},
            inhibitions=tuple(
                terms.Inhibition(source=_match(each["source"]), target=_match(each["target"]), equal=tuple(each.get("equal", ())))
                for each in fields.get("inhibit", ())
            ),
            folder=folder,
        )

    def _hours(self, name: str, hours: Fields) -> terms.Hours:
        if "calendar" in hours:
            named = always(self._zone) if hours["calendar"] == ALWAYS else self._calendars[hours["calendar"]]
            return terms.Hours(calendar=named, closed=hours.get("closed", False))
        own = Fields(hours.node)
        own |= {"timezone": self._zone, **hours, "name": name}
        return terms.Hours(calendar=compile_calendar(own))

    def _person(self, name: str, person: Fields) -> terms.Person:
        quiet = self._hours(name, person["quiet_hours"]) if "quiet_hours" in person else None
        exceptions = tuple(person.get("quiet_except", ("page",)))
        return terms.Person(name=name, receivers=tuple(person["receivers"]), quiet=quiet, quiet_except=exceptions)

    def _rota(self, name: str, rota: Fields) -> terms.Rota:
        place = rota.get("timezone", self._zone)
        known = Zone(transitions(place))

        def instant(text: str) -> int:
            return parse_instant(text, zone(place))

        overrides = tuple(
            terms.Override(person=each["person"], start=instant(each["from"]), end=instant(each["to"]))
            for each in rota.get("overrides", ())
        )
        return terms.Rota(
            name=name,
            people=tuple(rota["people"]),
            start=known.to_local(instant(rota["from"])),
            every=rota["every"],
            transitions=transitions(place),
            overrides=overrides,
        )

    def _route(self, fields: Fields, place: str, above: _Inherited) -> terms.Route:
        below = self._inherited(fields, above)
        single = terms.BREACH in below.group_by
        wait, interval = (0, 0) if single else (_GROUP_WAIT, _GROUP_INTERVAL)
        name = fields.get("name", place)
        return terms.Route(
            name=name,
            match=terms.Match(labels=_labels(fields.get("match", ())), but_not=_labels(fields.get("but_not", ()))),
            steps=below.steps,
            acknowledged_for=below.acknowledged_for,
            group_by=below.group_by,
            group_wait=wait if below.group_wait is None else below.group_wait,
            group_interval=interval if below.group_interval is None else below.group_interval,
            repeat_interval=below.repeat_interval,
            mute_times=below.mute_times,
            go_on=fields.get("continue", False),
            routes=tuple(self._route(child, f"{place}.{number}", below) for number, child in enumerate(fields.get("routes", ()), 1)),
        )

    def _inherited(self, fields: Fields, above: _Inherited) -> _Inherited:
        if "receiver" in fields:
            notify = tuple(terms.Recipient("receiver", name) for name in fields["receiver"])
            above = above._replace(steps=(terms.Step(notify=notify),), acknowledged_for=0)
        elif "escalation" in fields:
            escalation = self._escalations[fields["escalation"]]
            steps = tuple(terms.Step(after=step.get("after", 0), notify=tuple(map(_who, step["notify"]))) for step in escalation["steps"])
            above = above._replace(steps=steps, acknowledged_for=escalation.get("acknowledged_for", 0))
        return above._replace(
            group_by=tuple(fields.get("group_by", above.group_by)),
            group_wait=fields.get("group_wait", above.group_wait),
            group_interval=fields.get("group_interval", above.group_interval),
            repeat_interval=fields.get("repeat_interval", above.repeat_interval),
            mute_times=tuple(fields.get("mute_times", above.mute_times)),
        )


def _who(fields: Fields) -> terms.Recipient:
    kind, name = next(iter(fields.items()))
    return msgspec.convert({"kind": kind, "name": name}, terms.Recipient)


def _labels(pairs: Iterable[tuple[str, list[str]]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(patterns) for name, patterns in pairs}


def _match(pairs: Iterable[tuple[str, list[str]]]) -> terms.Match:
    return terms.Match(labels=_labels(pairs))


def _channels(receiver: str, listed: list[Fields]) -> tuple[terms.AnyChannel, ...]:
    counts: dict[str, int] = {}
    found = []
    for fields in listed:
        kind = fields["kind"]
        counts[kind] = counts.get(kind, 0) + 1
        number = f"-{counts[kind]}" if counts[kind] > 1 else ""
        plain = {"type": kind, "name": f"{receiver}/{kind}{number}", **{key: value for key, value in fields.items() if key != "kind"}}
        found.append(msgspec.convert(plain, terms.AnyChannel))
    return tuple(found)


def compile_routing(fields: Fields, calendars: dict[str, CalendarTable], file: str) -> terms.Routing:
    """The routing of a document that was read without a problem; `file` is where it stands."""
    return _Compiler(fields, calendars).routing(str(Path(file).parent))
