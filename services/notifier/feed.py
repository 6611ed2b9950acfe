"""What happens, one clear line per verdict and delivery, for a terminal: `python -m services.notifier.feed [URL]`.

Follows a running notifier's `/v1/feed` with the token in the environment variable FEED_TOKEN, and comes back after it was away.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

import httpx2
import msgspec
from rich.console import Console
from rich.text import Text

from services.notifier.messages import duration
from shared.adapters.system_time import SystemTime
from shared.ports.time import TimeSource
from shared.sla.instants import parse_instant

TOKEN_VARIABLE: Final = "FEED_TOKEN"  # noqa: S105  # the variable's name; not SLAWATCH_*, which is for the services' settings
RETRY_S: Final = 1.0
QUIET_S: Final = 40.0  # the notifier says something at least every 15 s
_STYLES: Final = {
    "opened": ("BREACH", "bold red"),
    "closed": ("CLOSED", "cyan"),
    "retracted": ("RETRACTED", "bold green"),
    "reopened": ("REOPENED", "bold red"),
    "amended": ("AMENDED", "magenta"),
    "contested": ("CONTESTED", "magenta"),
    "final": ("FINAL", "dim"),
    "warning": ("WARNING", "yellow"),
    "at_risk": ("AT RISK", "yellow"),
    "burning": ("BURNING", "yellow"),
}
_TOLD: Final = {
    "sent": ("DELIVERED", "green"),
    "pending": ("RETRY", "yellow"),
    "failed": ("UNDELIVERED", "red"),
    "disabled": ("GONE", "red"),
}


def line(kind: str, data: Mapping[str, Any], zone: tzinfo | None = None) -> Text | None:
    """One line: local time, what, vendor, objective, case, how. None for what no line is worth."""
    if kind == "verdict":
        short = str(data["type"]).rpartition(".")[2]
        if short not in _STYLES:
            return None
        (tag, style), at, how = _STYLES[short], int(data["appended"]), _by_how_much(short, data)
    elif kind == "delivery":
        (tag, style), at, how = _TOLD[data["state"]], int(data["at"]), _delivery(data)
    elif kind == "action":
        tag, style, at, how = "ACTION", "blue", int(data["at"]), f"{data['action']} by {data['by']}"
    else:
        return Text(f"           … {data.get('missed', '?')} lines left out: this terminal is slower than the news", "dim")
    time = datetime.fromtimestamp(at / 1000, UTC).astimezone(zone)
    text = Text(f"{time:%H:%M:%S}  ", "dim", no_wrap=True)
    text.append(f"{tag:<12}", style)
    for value, width in ((data["vendor"], 14), (data["objective"], 22), (data["case"] or "whole window", 18)):
        text.append(f"{_fit(str(value), width)}  ", "default" if kind == "verdict" else "dim")
    text.append(_printable(how), style if kind == "verdict" else "dim")
    return text


def _by_how_much(short: str, data: Mapping[str, Any]) -> str:
    due = data.get("due")
    if short == "warning" and due:
        return f"{duration(max(0, parse_instant(due) - int(data['appended'])) / 1000)} left, warned at {data.get('threshold') or '?'}"
    if short in ("opened", "reopened"):
        promised = f"promised within {duration(data['target_s'])}" if data.get("target_s") else "promised by then"
        called = (int(data["appended"]) - parse_instant(data["decided_at"])) / 1000
        late = "" if data.get("stopped") is None else ", done late"
        return f"{promised}{late}, said after {max(0, called) * 1000:.0f} ms"
    if short == "closed":
        return f"done {duration(data.get('late_s') or 0)} late"
    if short == "retracted":
        return "kept after all: late evidence"
    return str(data.get("cause") or "")


def _delivery(data: Mapping[str, Any]) -> str:
    what = _STYLES.get(str(data["type"]).rpartition(".")[2], ("", ""))[0]
    if data["state"] == "sent":
        return f"{what} to {data['channel']} in {data['latency_ms']} ms"
    return f"{what} to {data['channel']}: {data['error']}"


def _printable(text: str) -> str:
    """Vendors name their cases: nothing they write may steer the terminal."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _fit(text: str, width: int) -> str:
    shown = _printable(text)
    return f"{shown:<{width}}" if len(shown) <= width else shown[: width - 1] + "…"


async def follow(url: str, token: str, console: Console, time: TimeSource) -> None:
    """Print what the notifier at `url` tells, until cancelled."""
    headers = {"authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=httpx2.Timeout(10, read=QUIET_S), trust_env=False) as client:
        while True:
            with contextlib.suppress(httpx2.TransportError):
                async with client.stream("GET", "/v1/feed") as answer:
                    if answer.status_code in (401, 403):
                        sys.exit(f"{url} does not accept the token in {TOKEN_VARIABLE} ({answer.status_code})")
                    if answer.is_success:
                        await _print(answer, console)
            await time.sleep(RETRY_S)


async def _print(answer: httpx2.Response, console: Console) -> None:
    kind = ""
    async for text in answer.aiter_lines():
        if text.startswith("event: "):
            kind = text.removeprefix("event: ")
        elif text.startswith("data: "):
            said = line(kind, msgspec.json.decode(text.removeprefix("data: ")))
            if said is not None:
                console.print(said, soft_wrap=True)


async def main(url: str, token: str) -> None:
    """Until SIGTERM or Ctrl-C."""
    following = asyncio.ensure_future(follow(url, token, Console(highlight=False), SystemTime()))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, following.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await following


def run() -> None:
    """Address from the command line, token from the environment."""
    parser = argparse.ArgumentParser(description="Follow what slawatch finds and tells.")
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:8003", help="address of the notifier")
    token = os.environ.get(TOKEN_VARIABLE, "")
    if not token:
        sys.exit(f"put a token (viewer is enough) into {TOKEN_VARIABLE}")
    asyncio.run(main(parser.parse_args().url, token))


if __name__ == "__main__":
    run()
