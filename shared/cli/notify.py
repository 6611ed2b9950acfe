"""`slawatch notify`: the channels of a running notifier."""

from typing import Annotated, Any, Final
from urllib.parse import quote

import httpx2
import typer

from shared.adapters.postgres.credentials import PostgresCredentials
from shared.adapters.postgres.database import connect
from shared.adapters.system_time import SystemTime
from shared.cli.console import fail, out, run, settings_of_stack
from shared.ports.credentials import CredentialsUnavailable
from shared.runtime.credentials import create_credential, load_pepper, revoke
from shared.runtime.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Channels: who is told, and whether they can be reached.")
TIMEOUT_S: Final = 60  # a channel may take its time


@app.callback()
def notify() -> None:
    """Keeps `test` a subcommand."""


@app.command("test")
def send_test(
    channel: Annotated[str, typer.Argument(help="its name; left out: every channel")] = "",
    url: Annotated[str, typer.Option(help="the notifier's address; left out: that of the settings")] = "",
    token: Annotated[str, typer.Option(help="an operator's token; left out: one made for this, which needs the database")] = "",
) -> None:
    """Send a test message through a running notifier, and say what the receiver answered. Ends with 1 if one was not delivered.

    Example: slawatch notify test on-call/slack
    """
    settings = Settings() if url and token else settings_of_stack()
    address = url or f"http://{settings.bind}:{settings.notifier_port}"

    async def program() -> list[dict[str, Any]]:
        return await _test(address, token, channel) if token else await _with_own_token(settings, address, channel)

    try:
        results = run(program)
    except (httpx2.HTTPError, httpx2.InvalidURL) as wrong:
        fail(f"the notifier at {address} cannot be reached: {type(wrong).__name__}: {wrong}".rstrip(": "))
    except CredentialsUnavailable as wrong:
        fail(str(wrong))
    if not results:
        fail("this installation has no channels: see docs/guide/on-call.md")
    for result in results:
        said = f"delivered in {result['took_ms']} ms" if result["delivered"] else f"NOT delivered: {result['error']}"
        out.print(f"{result['channel']}: {said}", markup=False)
    if not all(result["delivered"] for result in results):
        raise typer.Exit(1)


async def _with_own_token(settings: Settings, address: str, channel: str) -> list[dict[str, Any]]:
    """Whoever may write the database may have a token: one is made, and revoked at the end."""
    engine = connect(settings.database.get_secret_value(), pool=1)
    store, time, pepper = PostgresCredentials(engine, timeout=10), SystemTime(), load_pepper(settings)
    try:
        made, text = await create_credential(
            store, pepper, settings.environment, "token", "operator", (), "slawatch notify test", time.wall()
        )
        try:
            return await _test(address, text, channel)
        finally:
            await revoke(store, made.id, time.wall())
    finally:
        await engine.dispose()


async def _test(address: str, token: str, channel: str) -> list[dict[str, Any]]:
    headers = {"authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(base_url=address, headers=headers, timeout=TIMEOUT_S, trust_env=False) as client:
        names = [channel] if channel else [str(each["channel"]) for each in _json(await client.get("/v1/channels"))["channels"]]
        return [_result(name, await client.post(f"/v1/channels/{quote(name)}/test")) for name in names]


def _result(name: str, answer: httpx2.Response) -> dict[str, Any]:
    """Of one channel; one that was tested a moment ago is no reason to stop."""
    if answer.status_code == 429:
        return {"channel": name, "delivered": False, "error": _json(answer, 429)["detail"], "took_ms": 0}
    return _json(answer)


def _json(answer: httpx2.Response, *also: int) -> dict[str, Any]:
    """The answer's object; ends with what the notifier says is wrong."""
    said: Any = answer.json() if "json" in answer.headers.get("content-type", "") else {}
    if not isinstance(said, dict) or (not answer.is_success and answer.status_code not in also):
        detail = said.get("detail", "") if isinstance(said, dict) else ""
        fail(f"the notifier answers {answer.status_code}: {detail}".rstrip(": "))
    return said
