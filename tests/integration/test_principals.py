"""A broker that asks who is there: signed in by SCRAM over TLS, each service may do what the operator's guide grants it, and no more.

What the guide tells the operator to type is what is granted here.
"""

import argparse
import re
import secrets
import shlex
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from confluent_kafka.admin._scram import (
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from shared.adapters.kafka.connection import connection, librdkafka
from shared.adapters.kafka.fast_writer import FastWriter
from shared.adapters.kafka.reader import KafkaScanner
from shared.adapters.kafka.topics import ARRIVALS, KEPT, Topic, ensure
from shared.adapters.kafka.writer import KafkaWriter
from shared.local.kafka import Kafka
from shared.local.process import free_ports
from shared.local.stack import CACHE
from shared.ports.log import Entry, LogUnavailable
from shared.runtime.settings import PROJECT, Settings, load
from shared.wire import controls
from tests.acceptance.installation import Event, Installation

GUIDE = PROJECT / "docs" / "guide" / "operator.md"
TOPICS = ("slawatch.events", "slawatch.breaches", "slawatch.quarantine")
VENDOR_TOOL = "acme-tool"  # may sign in, and write a topic of its own
PASSWORDS = {name: secrets.token_hex(8) for name in ("slawatch-ingest", "slawatch-evaluator", "slawatch-notifier", VENDOR_TOOL)}
ADMIN_PASSWORD = secrets.token_hex(8)
TERMS = """
apiVersion: slawatch/v1
kind: Agreement
name: quick
vendor: "*"
grace: 500ms
objectives: [{name: done, kind: deadline, start: opened, stop: done, targets: [{within: 1s}]}]
"""
PROPERTIES = f"""\
listeners=CLIENTS://127.0.0.1:{{port}},CONTROLLER://127.0.0.1:{{controller_port}}
advertised.listeners=CLIENTS://127.0.0.1:{{port}}
listener.security.protocol.map=CLIENTS:SASL_SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=CLIENTS
sasl.mechanism.inter.broker.protocol=PLAIN
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.clients.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \\
  username="admin" password="{ADMIN_PASSWORD}" user_admin="{ADMIN_PASSWORD}";
listener.name.clients.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
# on the controller's own listener, which no client reaches, nobody signs in
super.users=User:admin;User:ANONYMOUS
allow.everyone.if.no.acl.found=false
ssl.keystore.type=PEM
ssl.keystore.location={{data}}/../broker.pem
ssl.truststore.type=PEM
ssl.truststore.location={{data}}/../authority.pem
"""

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


class Guarded:
    """The broker. `authority`: who signed its certificate."""

    def __init__(self, home: Path) -> None:
        directory = home / "kafka"
        directory.mkdir(parents=True)
        key, self.authority = directory / "key.pem", directory / "authority.pem"
        words = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=broker -addext subjectAltName=IP:127.0.0.1"
        subprocess.run([*words.split(), "-keyout", key, "-out", self.authority], check=True, capture_output=True)
        (directory / "broker.pem").write_text(key.read_text("ascii") + self.authority.read_text("ascii"), "ascii")
        port, controller_port = free_ports(home, 2)
        self.broker = Kafka(home, CACHE, port, controller_port, more=PROPERTIES)

    def settings(self, user: str, password: str | None = None, mechanism: str = "SCRAM-SHA-512") -> Settings:
        """How that user reaches it."""
        return load({f"SLAWATCH_{name}": value for name, value in self.variables(user, password, mechanism).items()})

    def variables(self, user: str, password: str | None = None, mechanism: str = "SCRAM-SHA-512") -> dict[str, str]:
        return {
            "KAFKA": self.broker.bootstrap,
            "KAFKA_SECURITY": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": mechanism,
            "KAFKA_USERNAME": user,
            "KAFKA_PASSWORD": PASSWORDS[user] if password is None else password,
            "KAFKA_CA": str(self.authority),
        }


def granted() -> Iterator[AclBinding]:
    """What the guide's `kafka-acls.sh` commands grant."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--add", action="store_true")
    for word in ("--bootstrap-server", "--command-config", "--allow-principal", "--resource-pattern-type"):
        parser.add_argument(word, default="literal")
    for word in ("--operation", "--topic", "--group"):
        parser.add_argument(word, action="append", default=[])
    for command in re.findall(r"^ +kafka-acls\.sh (.*)$", GUIDE.read_text("utf-8"), re.MULTILINE):
        words = parser.parse_args(shlex.split(command))
        places = [(ResourceType.TOPIC, name) for name in words.topic] + [(ResourceType.GROUP, name) for name in words.group]
        for kind, name in places:
            for operation in words.operation:
                what = re.sub(r"(?<!^)(?=[A-Z])", "_", operation).upper()  # DescribeConfigs -> DESCRIBE_CONFIGS
                pattern = ResourcePatternType[words.resource_pattern_type.upper()]
                yield AclBinding(kind, name, pattern, words.allow_principal, "*", AclOperation[what], AclPermissionType.ALLOW)


_MAY_WRITE = (AclOperation.WRITE, AclPermissionType.ALLOW)


def _administer(guarded: Guarded) -> None:
    """The users and their rights."""
    admin = AdminClient(librdkafka(guarded.settings("admin", ADMIN_PASSWORD, "PLAIN"), guarded.broker.bootstrap))
    how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    users: list[UserScramCredentialAlteration] = [
        UserScramCredentialUpsertion(name, how, password.encode()) for name, password in PASSWORDS.items()
    ]
    own = AclBinding(ResourceType.TOPIC, "acme", ResourcePatternType.PREFIXED, f"User:{VENDOR_TOOL}", "*", *_MAY_WRITE)
    bindings = [*granted(), own]
    for future in [*admin.alter_user_scram_credentials(users).values(), *admin.create_acls(bindings).values()]:
        future.result(20)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    made = Guarded(tmp_path_factory.mktemp("guarded"))
    made.broker.prepare()
    made.broker.child.launch()
    try:
        made.broker.wait_ready()
        _administer(made)
        yield made
    finally:
        made.broker.child.stop()


@pytest.fixture(scope="module")
async def topics(guarded: Guarded) -> None:
    """Made by the administrator: the services need no right to make any."""
    admin = connection(guarded.settings("admin", ADMIN_PASSWORD, "PLAIN"), guarded.broker.bootstrap)
    await ensure(admin, [Topic(name, 2, 1, {**KEPT, **ARRIVALS, "max.message.bytes": "1100000"}) for name in TOPICS])


class Site(Installation):
    """Each service signs in under its own name."""

    guarded: Guarded

    def launch(self, service: str, **settings: str) -> None:
        super().launch(service, **self.guarded.variables(f"slawatch-{service}"), **settings)


@pytest.fixture
async def site(tmp_path: Path, guarded: Guarded, topics: None, database_url: str) -> AsyncIterator[Site]:
    agreements = tmp_path / "terms.yaml"
    agreements.write_text(TERMS, "utf-8")
    names = {f"TOPIC_{name.partition('.')[2].upper()}": name for name in TOPICS}
    made = Site(tmp_path, guarded.broker.bootstrap, database_url, "slawatch", AGREEMENTS=str(agreements), **names)
    made.guarded = guarded
    try:
        await made.make_credentials()
        await made.start()
        yield made
    finally:
        made.stop()
        await made.http.aclose()


def _event(case: str) -> Event:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    event = {"specversion": "1.0", "id": case, "source": "/s", "type": "opened", "subject": case, "time": now}
    return event | {"vendor": "acme", "service": "desk"}


async def test_each_service_works_under_its_own_name_and_a_vendors_tool_may_forge_nothing(site: Site, guarded: Guarded) -> None:
    await site.post([_event("before")])
    assert [breach["case"] for breach in (await site.ledger_of(1)).values()] == ["before"]

    tool = guarded.settings(VENDOR_TOOL)
    forged = controls.Tick(aimed=0, reading=4_102_444_800_000)  # a tick of the year 2100
    entry = Entry(None, controls.encode(forged), controls.headers_of(forged), 0)
    async with KafkaWriter(connection(tool, guarded.broker.bootstrap), timeout=5) as writer:
        with pytest.raises(LogUnavailable, match="TopicAuthorizationFailed"):
            await writer.append("slawatch.events", [entry])
    async with FastWriter(librdkafka(tool, guarded.broker.bootstrap), timeout=5) as writer:
        with pytest.raises(LogUnavailable, match="Topic authorization failed"):
            await writer.append("slawatch.events", [entry])
    with pytest.raises(LogUnavailable, match="AuthorizationFailed"):
        await KafkaScanner(connection(tool, guarded.broker.bootstrap)).bounds("slawatch.events")

    await site.post([_event("after")])
    assert {breach["case"] for breach in (await site.ledger_of(2)).values()} == {"before", "after"}
    stood: list[Any] = []
    scanner = KafkaScanner(connection(guarded.settings("admin", ADMIN_PASSWORD, "PLAIN"), guarded.broker.bootstrap))
    for number, (first, end) in (await scanner.bounds("slawatch.events")).items():
        await scanner.scan("slawatch.events", number, first, end, stood.extend)
    assert not [record for record in stood if record.value == entry.value]


@pytest.mark.parametrize(
    ("who", "topic"),
    [("slawatch-ingest", "slawatch.breaches"), ("slawatch-notifier", "slawatch.events"), ("slawatch-notifier", "slawatch.breaches")],
)
async def test_no_service_may_write_what_is_not_its_own(guarded: Guarded, topics: None, who: str, topic: str) -> None:
    async with KafkaWriter(connection(guarded.settings(who), guarded.broker.bootstrap), timeout=5) as writer:
        with pytest.raises(LogUnavailable, match="TopicAuthorizationFailed"):
            await writer.append(topic, [Entry(b"acme", b"{}")])


async def test_a_wrong_password_opens_nothing(guarded: Guarded, topics: None) -> None:
    wrong = guarded.settings("slawatch-ingest", "guessed")
    async with KafkaWriter(connection(wrong, guarded.broker.bootstrap), timeout=5) as writer:
        with pytest.raises(LogUnavailable):
            await writer.append("slawatch.events", [Entry(b"acme", b"{}")])
    async with FastWriter(librdkafka(wrong, guarded.broker.bootstrap), timeout=2) as writer:
        with pytest.raises(LogUnavailable):
            await writer.append("slawatch.events", [Entry(b"acme", b"{}")])
