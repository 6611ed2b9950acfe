"""What `make run` hands to a newcomer: a token for the page, a key to post with; in the demo agreements in force, keys for the simulated
vendors, a receiver of webhooks, and a feed of what happens."""

import asyncio
import base64
import json
import secrets
import subprocess
import sys
from collections.abc import Mapping
from typing import NamedTuple

from shared.adapters.postgres.credentials import PostgresCredentials
from shared.adapters.postgres.database import connect, migrate
from shared.language import bundles, load_or_raise
from shared.local.process import StackError
from shared.ports.time import TimeSource
from shared.runtime.credentials import create_credential, load_pepper, revoke
from shared.runtime.settings import PROJECT, Settings

AGREEMENTS = PROJECT / "examples" / "demo" / "agreements.yaml"
NAME = "make run"  # of the credentials made here: each run makes new ones and revokes the last run's
APPLY_S = 60


class Issued(NamedTuple):
    """Secret texts; they are stored nowhere."""

    token: str  # of an operator, for the page and the API
    key: str  # of a customer: posts for any vendor
    vendor_keys: dict[str, str]


def issue(settings: Settings, database: str, time: TimeSource, *, demo: bool) -> Issued:
    """A token, a key, and in the demo a key by vendor. Raises CredentialsUnavailable."""
    vendors = sorted({vendor for bundle in bundles(load_or_raise([AGREEMENTS])) for vendor in bundle.agreement.vendor}) if demo else []
    pepper, environment = load_pepper(settings), settings.environment

    async def make() -> Issued:
        engine = connect(database, pool=1)
        try:
            await migrate(engine)
            store, now = PostgresCredentials(engine, timeout=10), time.wall()
            await revoke(store, NAME, now)
            _, token = await create_credential(store, pepper, environment, "token", "operator", [], NAME, now)
            _, key = await create_credential(store, pepper, environment, "key", "customer", [], NAME, now)
            keys = {}
            for vendor in vendors:
                _, keys[vendor] = await create_credential(store, pepper, environment, "key", "vendor", [vendor], NAME, now)
            return Issued(token, key, keys)
        finally:
            await engine.dispose()

    return asyncio.run(make())


def apply_agreements(env: Mapping[str, str]) -> None:
    """Bring the demo's agreements into force, as anybody would: by the command. Raises StackError."""
    command = [sys.executable, "-m", "shared.cli", "agreements", "apply", str(AGREEMENTS)]
    done = subprocess.run(command, env=dict(env), capture_output=True, text=True, timeout=APPLY_S, check=False)  # noqa: S603 - our own words
    if done.returncode != 0:
        raise StackError(f"the demo's agreements could not be applied:\n{done.stdout}{done.stderr}")


def simulator(url: str, keys: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """The vendors' program, posting to ingest at `url`: its command, and what it needs in its environment."""
    return [sys.executable, "-m", "examples.simulator", "--url", url], {"SIM_KEYS": json.dumps(dict(keys))}


def feed(url: str, token: str) -> tuple[list[str], dict[str, str]]:
    """The program that tells the terminal what the notifier at `url` finds and delivers."""
    return [sys.executable, "-m", "services.notifier.feed", url], {"FEED_TOKEN": token}


def receiver(port: int) -> tuple[list[str], dict[str, str], dict[str, str]]:
    """An example receiver of webhooks on loopback: its command, its environment, and the settings that make the notifier post there."""
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    command = [sys.executable, "-m", "examples.receiver", "--port", str(port)]
    settings = {"WEBHOOKS": f"http://127.0.0.1:{port}/", "WEBHOOK_SECRET": secret, "ALLOW_PRIVATE_WEBHOOKS": "true"}
    return command, {"WEBHOOK_SECRET": secret}, settings
