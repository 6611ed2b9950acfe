"""What a Routing document says, compiled: receivers, people, rotas, routes. Secrets are named, never held."""

from typing import Final, Literal

import msgspec

from shared.sla.terms import CalendarTable

BREACH: Final = "breach"  # the label that groups each breach by itself
Language = Literal["en", "zh"]


class Rate(msgspec.Struct, frozen=True):
    """At most `most` notices in any `window` ms."""

    most: int
    window: int


class Secret(msgspec.Struct, frozen=True):
    """Where a secret is found when the channel is made: an environment variable (`${NAME}`) or a file. Exactly one is set."""

    env: str | None = None
    file: str | None = None


class ChannelTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What all channels share. `name` is unique in the file and stable: `<receiver>/<kind>`, with `-2`, `-3` … for more of one kind.
    `template`: a file beside the Routing file, given as an absolute or relative path. `rate`: None leaves the kind's own limit."""

    name: str
    language: Language = "en"
    template: str | None = None
    rate: Rate | None = None


class WebhookTerms(ChannelTerms, frozen=True, kw_only=True, tag="webhook"):
    """A signed webhook. Without `secret`, the installation's (SLAWATCH_WEBHOOK_SECRET)."""

    url: str | Secret
    secret: Secret | None = None


class SlackTerms(ChannelTerms, frozen=True, kw_only=True, tag="slack"):
    """A Slack-compatible incoming webhook (`url`), or a bot (`token`) that writes `to` a channel, in threads. Exactly one of the two."""

    url: Secret | None = None
    token: Secret | None = None
    to: str | None = None


class DingtalkTerms(ChannelTerms, frozen=True, kw_only=True, tag="dingtalk"):
    """A DingTalk robot; `secret` where it signs."""

    url: Secret
    secret: Secret | None = None


class WecomTerms(ChannelTerms, frozen=True, kw_only=True, tag="wecom"):
    """A WeCom group robot."""

    url: Secret


class FeishuTerms(ChannelTerms, frozen=True, kw_only=True, tag="feishu"):
    """A Feishu (Lark) robot; `secret` where it signs."""

    url: Secret
    secret: Secret | None = None


class PagerdutyTerms(ChannelTerms, frozen=True, kw_only=True, tag="pagerduty"):
    """PagerDuty Events v2."""

    routing_key: Secret
    url: str = "https://events.pagerduty.com/v2/enqueue"


class AlertmanagerTerms(ChannelTerms, frozen=True, kw_only=True, tag="alertmanager"):
    """Alertmanager's v2 API; `url` without `/api/v2/alerts`."""

    url: str | Secret


class MailTerms(ChannelTerms, frozen=True, kw_only=True, tag="mail"):
    """E-mail through the installation's server (SLAWATCH_SMTP, SLAWATCH_MAIL_FROM)."""

    to: tuple[str, ...]


class AppriseTerms(ChannelTerms, frozen=True, kw_only=True, tag="apprise"):
    """Anything else that Apprise knows, by its URL."""

    url: Secret


AnyChannel = (
    WebhookTerms | SlackTerms | DingtalkTerms | WecomTerms | FeishuTerms | PagerdutyTerms | AlertmanagerTerms | MailTerms | AppriseTerms
)


class Hours(msgspec.Struct, frozen=True, kw_only=True):
    """Stretches of time: the open ones of a calendar, or, with `closed`, the others."""

    calendar: CalendarTable
    closed: bool = False


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """What labels must be. `labels`: each named label is one of the patterns; `but_not`: none of these is. `*` stands for any characters.
    A label that an alert does not have is empty."""

    labels: dict[str, tuple[str, ...]] = {}
    but_not: dict[str, tuple[str, ...]] = {}


class Recipient(msgspec.Struct, frozen=True):
    """Who is to be told: a receiver, a person, or whoever is on duty in a rota."""

    kind: Literal["receiver", "person", "rota"]
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """How a person is reached. During quiet hours only alerts of the severities in `quiet_except` come at once."""

    name: str
    receivers: tuple[str, ...]
    quiet: Hours | None = None
    quiet_except: tuple[str, ...] = ("page",)


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody else is on duty from `start` until before `end` (ms since 1970)."""

    person: str
    start: int
    end: int


class Rota(msgspec.Struct, frozen=True, kw_only=True):
    """People who take turns. `start` and `every` are wall time (ms) in the zone whose transitions stand here, so that a hand-over keeps
    its hour when clocks change. The last override that covers an instant holds."""

    name: str
    people: tuple[str, ...]
    start: int
    every: int
    transitions: tuple[tuple[int, int], ...]
    overrides: tuple[Override, ...] = ()


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """Who is told when nobody has acknowledged `after` ms."""

    after: int = 0
    notify: tuple[Recipient, ...]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One node of the tree, everything inherited spelt out. Durations are ms; `repeat_interval` 0: never.

    `name` is the path in the tree, or the name it was given: groups are remembered by it across reloads.
    `group_by` of ("breach",) means each breach by itself: every statement is told, `group_wait` and `group_interval` are 0 by default.
    """

    name: str
    match: Match = Match()
    steps: tuple[Step, ...] = ()
    acknowledged_for: int = 0  # how long an acknowledgement holds; 0: for good
    group_by: tuple[str, ...] = (BREACH,)
    group_wait: int = 0
    group_interval: int = 0
    repeat_interval: int = 0
    mute_times: tuple[str, ...] = ()
    go_on: bool = False  # `continue`: the siblings after it are looked at too
    routes: tuple["Route", ...] = ()

    @property
    def single(self) -> bool:
        """Whether each breach is a group of its own."""
        return BREACH in self.group_by


class Inhibition(msgspec.Struct, frozen=True, kw_only=True):
    """While an alert that matches `source` fires, those that match `target` and have the same `equal` labels are not told."""

    source: Match
    target: Match
    equal: tuple[str, ...] = ()


class Routing(msgspec.Struct, frozen=True, kw_only=True):
    """A Routing document, compiled."""

    name: str
    receivers: dict[str, tuple[AnyChannel, ...]]
    route: Route
    people: dict[str, Person] = {}
    rotas: dict[str, Rota] = {}
    mute_times: dict[str, Hours] = {}
    inhibitions: tuple[Inhibition, ...] = ()
    folder: str = ""  # where the document stands: relative paths in it begin there
