"""Messages and their links end to end: a notifier process, `slawatch notify test`, and a link that acknowledges by POST only."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path

from tests.integration.notifier_kit import PEPPER, PROJECT, notifier, receiver, verdict

ROUTES = """\
apiVersion: slawatch/v1
kind: Routing
name: main
receivers:
  on-call:
    - {kind: slack, url: "${CHAT_URL}"}
    - {kind: dingtalk, url: "${DING_URL}", language: zh}
route: {receiver: on-call}
"""


async def cli(*arguments: str, **env: str) -> tuple[int, str]:
    """`slawatch …` and what it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "shared.cli", *arguments),
        cwd=PROJECT,
        env={name: value for name, value in os.environ.items() if not name.startswith("SLAWATCH_")} | env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode()


async def test_a_channel_is_tested_and_a_link_acknowledges_once(kafka: str, database_url: str, unique: str, tmp_path: Path) -> None:
    (tmp_path / "routes.yaml").write_text(ROUTES)
    async with receiver(lambda _: (200, {}, b"ok")) as chat, receiver(lambda _: (200, {}, b'{"errcode":310000,"errmsg":"sign"}')) as ding:
        os.environ |= {"CHAT_URL": chat.url, "DING_URL": ding.url}
        try:
            async with notifier(kafka, database_url, unique, tmp_path, routes=str(tmp_path / "routes.yaml")) as it:
                own = {"SLAWATCH_DATABASE": database_url.replace("+asyncpg", ""), "SLAWATCH_PEPPER": PEPPER, "SLAWATCH_KAFKA": kafka}
                code, said = await cli("notify", "test", "on-call/slack", "--url", it.url, **own)
                assert (code, "on-call/slack: delivered in" in said) == (0, True), said
                code, said = await cli("notify", "test", "--url", it.url, "--token", it.tokens["operator"])
                assert code == 1, said
                assert "on-call/slack: NOT delivered: wait 5 s between tests" in said
                assert "on-call/dingtalk: NOT delivered: dingtalk 310000: sign" in said

                before = len(chat.requests)
                opened = verdict("opened", revision=0)
                await it.say(opened)
                text = json.loads((await chat.wait_for(before + 1))[before].body)["text"]
                [link] = re.findall(r"<(\S+/act/\S+)\|Acknowledge>", text)
                assert (await it.client.get(link)).status_code == 200
                assert (await it.get(f"/v1/breaches/{opened.data.breach_id}"))["acknowledged"] is None
                assert (await it.client.post(link)).status_code == 200
                assert (await it.client.post(link)).status_code == 409
                acknowledged = (await it.get(f"/v1/breaches/{opened.data.breach_id}"))["acknowledged"]
                assert acknowledged["by"] == "link on on-call/slack"
                [snooze] = re.findall(r"<(\S+/act/\S+)\|Snooze", text)
                assert (await it.client.post(snooze)).status_code == 200
                assert (await it.client.post(link[:-4] + "AAAA")).status_code == 404
        finally:
            del os.environ["CHAT_URL"], os.environ["DING_URL"]
