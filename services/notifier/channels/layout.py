"""How a notice becomes text: the same lines for every channel, each in its own mark-up and within its own bound."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec
import structlog

from services.notifier.channels.base import Notice
from services.notifier.messages import Message, Words, clean, web_address
from services.notifier.texts import TEXTS, Texts
from shared.language.templates import Raw, Template, TemplateFailed

LISTED_MAX: Final = 20  # breaches that a digest names
log = structlog.get_logger()

# Markdown dialects have no escape that all clients honour: look-alikes. The underline stays: identifiers are full of it, it only slants.
_LOOKALIKES: Final[dict[str, str | int | None]] = {
    "*": "\N{ASTERISK OPERATOR}",
    "~": "\N{TILDE OPERATOR}",
    "`": "'",
    "[": "\N{FULLWIDTH LEFT SQUARE BRACKET}",
    "]": "\N{FULLWIDTH RIGHT SQUARE BRACKET}",
    "<": "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}",
    ">": "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}",
    "#": "\N{FULLWIDTH NUMBER SIGN}",
    "|": "\N{FULLWIDTH VERTICAL LINE}",
    "!": "\N{FULLWIDTH EXCLAMATION MARK}",
    "\\": "\N{SET MINUS}",
    "@": "\N{FULLWIDTH COMMERCIAL AT}",
}


def markdown_escape(text: str) -> str:
    """Text that comes out as it is, in any Markdown: no link, no mention, no mark, one line."""
    return " ".join(text.split()).translate(str.maketrans(_LOOKALIKES))


class Markup(NamedTuple):
    """A channel's way of writing. `size` measures what `most` bounds."""

    escape: Callable[[str], str] = lambda text: " ".join(text.split())
    bold: Callable[[str], str] = str
    link: Callable[[str, str], str] = "{}: {}".format
    newline: str = "\n"
    most: int = 10_000
    size: Callable[[str], int] = len


PLAIN: Final = Markup()


class Layout:
    """Lays notices out in one language and mark-up; a customer's template may replace the text."""

    def __init__(self, texts: Texts = TEXTS, markup: Markup = PLAIN, template: Template | None = None, *, channel: str = "") -> None:
        self.texts, self.markup, self._template, self._channel = texts, markup, template, channel

    @property
    def own(self) -> bool:
        """Whether the text is a customer's."""
        return self._template is not None

    def title(self, notice: Notice) -> str:
        """One plain line for subjects and the heads of cards: why it is said, what, who."""
        tag, headline = self._head(notice)
        return f"{tag}: {headline}"

    def text(self, notice: Notice, *, linked: bool = True, titled: bool = True) -> str:
        """The whole message in the mark-up. `linked`, `titled`: with links and title, where they have no other place."""
        if self._template is not None:
            tested = [self.markup.escape(self.texts("reason.test.text"))] if notice.reason == "test" else []
            try:
                return self._fit([self._template.render(values_of(notice, self))], tested)
            except TemplateFailed as wrong:
                log.error("a template does not work: the built-in text is sent", channel=self._channel, error=str(wrong))
                return self._built_in(notice, linked, titled, self.texts("template.broken", why=clean(str(wrong))))
        return self._built_in(notice, linked, titled)

    def _built_in(self, notice: Notice, linked: bool, titled: bool, remark: str = "") -> str:
        escape, texts = self.markup.escape, self.texts
        head: list[str] = []
        if titled:
            tag, headline = self._head(notice)
            head.append(f"{self.markup.bold(escape(tag))} {escape(headline)}")
        if notice.reason == "test":
            head.append(escape(texts("reason.test.text")))
        remarks = [escape(remark)] if remark else []
        if is_group(notice):
            return self._listed(notice, head, remarks)
        words = notice.messages[0].words(texts)
        facts = [f"{escape(label)}: {escape(value)}" for label, value in words.facts]
        links = [self.markup.link(escape(label), address) for label, address in words.links] if linked else []
        return self._fit(head + facts, remarks + links)

    def _listed(self, notice: Notice, head: list[str], tail: list[str]) -> str:
        """As many of the breaches as fit, and how many more there are."""
        markup, texts, shown = self.markup, self.texts, len(notice.messages)
        head = [*head, markup.escape(texts("group.counts", open=sum(message.open for message in notice.messages), shown=shown))]
        lines = [self._line(message) for message in notice.messages[:LISTED_MAX]]
        while True:
            rest = max(notice.total, shown) - len(lines)
            more = [markup.escape(texts("group.more", number=rest))] if rest > 0 else []
            text = markup.newline.join(head + lines + more + tail)
            if markup.size(text) <= markup.most or not lines:
                return text
            lines.pop()

    def _head(self, notice: Notice) -> tuple[str, str]:
        words = next((message for message in notice.messages if message.open), notice.messages[0]).words(self.texts)
        tag = words.tag
        if f"reason.{notice.reason}" in self.texts:
            tag = f"{self.texts('reason.' + notice.reason)} · {tag}"
        if not is_group(notice):
            return tag, words.headline
        vendors = list(dict.fromkeys(message.verdict.data.vendor for message in notice.messages))
        total = max(notice.total, len(notice.messages))
        if len(vendors) == 1:
            return tag, self.texts("group.headline", total=total, vendor=clean(vendors[0]))
        return tag, self.texts("group.headline.many", total=total, vendors=len(vendors))

    def _line(self, message: Message) -> str:
        """A breach of a digest in one line."""
        words, markup = message.words(self.texts), self.markup
        said = f"{markup.bold(markup.escape(words.tag))} {markup.escape(words.headline)}"
        by = dict(words.facts).get(self.texts("fact.by"))
        said += f" ({markup.escape(by)})" if by else ""
        return f"{said} {markup.link(self.texts('open'), message.link)}" if message.link else said

    def _fit(self, lines: list[str], tail: list[str]) -> str:
        """Joined; from the end, lines before the tail are left out, or the first is cut, until it is within the bound."""
        newline, size, most = self.markup.newline, self.markup.size, self.markup.most
        text = newline.join(lines + tail)
        while size(text) > most and len(lines) > 1:
            lines = lines[:-1]
            text = newline.join([*lines, "…", *tail])
        while size(text) > most and lines[0]:
            lines = [lines[0][: len(lines[0]) * 3 // 4]]
            text = newline.join([*lines, "…", *tail])
        return text


def is_group(notice: Notice) -> bool:
    """More than one breach is spoken of."""
    return notice.total > 1 or len(notice.messages) > 1


def values_of(notice: Notice, layout: Layout) -> dict[str, Any]:
    """What a template sees: plain texts, numbers and lists; documented in docs/guide/on-call.md."""
    messages = [_values(message, message.words(layout.texts)) for message in notice.messages[:LISTED_MAX]]
    first = messages[0]
    return first | {
        "reason": notice.reason,
        "title": layout.title(notice),
        "thread": notice.thread,
        "total": max(notice.total, len(notice.messages)),
        "open": sum(message.open for message in notice.messages),
        "language": layout.texts.language,
        "messages": messages,
    }


def _values(message: Message, words: Words) -> dict[str, Any]:
    data = msgspec.to_builtins(message.verdict.data)
    plain = {key: clean(value) if isinstance(value, str) else value for key, value in data.items() if not isinstance(value, list | dict)}
    return plain | {
        "type": message.verdict.type,
        "tag": words.tag,
        "headline": words.headline,
        "facts": [{"label": label, "value": value} for label, value in words.facts],
        "links": [{"label": label, "address": Raw(address)} for label, address in words.links],
        "link": Raw(message.link),
        "acknowledge": Raw(message.acknowledge),
        "snooze": Raw(message.snooze),
        "runbook": Raw(web_address(message.runbook)),
        "dashboard": Raw(web_address(message.dashboard)),
        "is_open": message.open,
    }
