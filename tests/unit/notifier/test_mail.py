"""Mails, through a real SMTP server: text and HTML, timeline, threads, refusals, nothing injected."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import structlog
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from services.notifier.channels.layout import Layout
from services.notifier.channels.mail import Letter, Mail, Server, no_history, render
from services.notifier.core import Failed, Sent
from services.notifier.messages import Past
from services.notifier.texts import TEXTS, TEXTS_ZH
from shared.language.templates import Template
from tests.integration.notifier_kit import START, free_port, verdict
from tests.unit.notifier.kit import EVIL, NOW, TOKEN, clock, digest, linked, notice, notice_of


class Inbox:
    """Keeps what comes; answers what it is told to."""

    def __init__(self, answer: str = "250 OK", refuse: str = "") -> None:
        self.mails: list[EmailMessage] = []
        self._answer, self._refuse = answer, refuse

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        if address == self._refuse:
            return "550 no such person"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return self._answer


@contextlib.asynccontextmanager
async def inbox(answer: str = "250 OK", refuse: str = "") -> AsyncIterator[tuple[Inbox, Server]]:
    it, port = Inbox(answer, refuse), free_port()
    controller = Controller(it, hostname="127.0.0.1", port=port)
    await asyncio.to_thread(controller.start)
    try:
        yield it, Server("127.0.0.1", port, False, None, None)
    finally:
        await asyncio.to_thread(controller.stop)


def mail_to(server: Server, **more: Any) -> Mail:
    return Mail("mail", server, "slawatch <sla@example.com>", ["ann@example.com", "bo@example.com"], clock(), **more)


def parts(mail: EmailMessage) -> tuple[str, str]:
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    return str(plain.get_content()).replace("\r\n", "\n"), str(html.get_content())


async def history(breach_id: str) -> tuple[Past, ...]:
    return (
        Past(START, "slawatch.breach.opened"),
        Past(START + 60_000, "acknowledge", "Ann <b>"),
        Past(START + 90_000, "note", "Ann", "called\r\nthem"),
    )


async def test_a_mail_has_text_and_html_facts_links_and_timeline() -> None:
    async with inbox() as (it, server):
        assert await mail_to(server, history=history).send(linked()) == Sent()
    [mail] = it.mails
    assert mail["Subject"] == "[slawatch] BREACH: acme broke “resolution” for INC-42"
    assert mail["To"] == "ann@example.com, bo@example.com"
    plain, html = parts(mail)
    assert "Due: 2026-03-02 09:00:00 UTC" in plain
    assert "Acknowledge: https://sla.example/act/AAA" in plain
    assert [line for line in plain.splitlines() if " UTC  " in line] == [
        "2026-03-02 08:00:00 UTC  BREACH",
        "2026-03-02 08:01:00 UTC  acknowledged by Ann <b>",
        "2026-03-02 08:01:30 UTC  note by Ann: called them",
    ]
    assert '<a href="https://wiki.example/run?a=1&amp;b=2">Runbook</a>' in html
    assert "acknowledged by Ann &lt;b&gt;" in html


async def test_mails_of_a_breach_are_one_thread_and_a_retry_is_the_same_mail() -> None:
    closed = notice_of(verdict("closed", revision=1, stopped=NOW), "resolved")
    retracted = notice_of(verdict("retracted", revision=2), "retracted")
    async with inbox() as (it, server):
        for told in (notice(), notice(), closed, retracted, notice("another")):
            assert await mail_to(server).send(told) == Sent()
    first, again, second, third, other = it.mails
    assert first["Message-ID"] == again["Message-ID"]
    assert len({mail["Message-ID"] for mail in it.mails}) == 4
    assert first["References"] == first["In-Reply-To"] == second["References"] == third["In-Reply-To"] != other["References"]
    assert first["Message-ID"].endswith("@example.com>")


async def test_row_24_headers_cannot_be_added_and_html_is_escaped() -> None:
    async with inbox() as (it, server):
        assert await mail_to(server).send(notice(EVIL)) == Sent()
    [mail] = it.mails
    assert set(mail) & {"Bcc", "Cc"} == set()
    plain, html = parts(mail)
    assert "<script>" not in html
    assert TOKEN[-20:] not in mail.as_string() + plain + html


def test_row_24_settings_cannot_add_headers_either() -> None:
    mail = render(Letter(notice()), "sla@example.com", ["a@example.com\r\nBcc: eve@example.com"], 0, Layout())
    assert b"\r\nBcc:" not in mail.as_bytes().split(b"\r\n\r\n")[0]


async def test_the_timeline_is_left_out_where_it_cannot_be_read() -> None:
    async def away(breach_id: str) -> None:
        return None

    async with inbox() as (it, server):
        assert await mail_to(server, history=away).send(notice()) == Sent()
    assert "The timeline could not be read" in parts(it.mails[0])[0]


async def test_a_digest_a_test_a_template_and_chinese() -> None:
    template = Template("{{ vendor }} & {{ case }}")
    async with inbox() as (it, server):
        await mail_to(server).send(digest(3, total=30))
        await mail_to(server).send(notice(reason="test"))
        await mail_to(server, template=template).send(notice("<b>"))
        await mail_to(server, texts=TEXTS_ZH).send(notice())
    many, test, own, chinese = it.mails
    assert many["Subject"] == "[slawatch] BREACH: 30 alerts of acme"
    assert "case-2" in parts(many)[0]
    assert test["Subject"].startswith("[slawatch] TEST · BREACH")
    assert parts(own)[0].startswith("acme & <b>")
    assert "acme &amp; &lt;b&gt;" in parts(own)[1]
    assert chinese["Subject"] == "[slawatch] 违约: acme 违反了INC-42的“resolution”承诺"
    assert 'lang="zh"' in parts(chinese)[1]


async def test_row_20_what_mail_servers_answer() -> None:
    async with inbox("451 later") as (_, server):
        assert await mail_to(server).send(notice()) == Failed("451 later")
    async with inbox("554 spam") as (_, server):
        assert await mail_to(server).send(notice()) == Failed("554 spam", permanent=True)
    async with inbox(refuse="bo@example.com") as (it, server):
        with structlog.testing.capture_logs() as logs:
            assert await mail_to(server).send(notice()) == Sent()
        assert logs[-1]["log_level"] == "error"
        assert len(it.mails) == 1
    async with inbox(refuse="ann@example.com") as (_, server):
        lonely = Mail("mail", server, "sla@example.com", ["ann@example.com"], clock())
        assert await lonely.send(notice()) == Failed("recipients refused: [550]", permanent=True)
    nobody = Server("127.0.0.1", free_port(), False, "user", "hunter2hunter2")
    refused = await mail_to(nobody).send(notice())
    assert isinstance(refused, Failed)
    assert not refused.permanent
    assert "hunter2" not in refused.error


async def test_row_20_a_mail_server_that_hangs_is_given_up_in_time() -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        server = Server("127.0.0.1", mute.getsockname()[1], False, None, None)
        assert isinstance(await mail_to(server, timeout_s=0.2).send(notice()), Failed)


async def test_no_history_is_no_timeline() -> None:
    assert await no_history("x") == ()
    mail = render(Letter(notice(), ()), "sla@example.com", ["a@example.com"], 0, Layout(TEXTS))
    assert "What happened so far" not in parts(mail)[0]
