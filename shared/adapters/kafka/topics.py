"""The three topics: made where they are missing, verified where they exist."""

from typing import Any, Final, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from shared.ports.log import LogUnavailable

EVENTS: Final = {"message.timestamp.type": "LogAppendTime", "retention.ms": "-1", "min.insync.replicas": "1"}
OTHERS: Final = {"retention.ms": "-1"}


class Topic(NamedTuple):
    """A topic as this installation wants it."""

    name: str
    partitions: int
    replication: int
    config: dict[str, str]


class WrongTopic(Exception):
    """A topic exists with settings under which verdicts would be wrong; the message holds the command that mends it."""


async def ensure(options: dict[str, Any], topics: list[Topic]) -> None:
    """Create the topics that are missing. Raises LogUnavailable."""
    admin = AIOKafkaAdminClient(request_timeout_ms=10_000, **options)
    try:
        await admin.start()
        wanted = [NewTopic(t.name, t.partitions, t.replication, topic_configs=t.config) for t in topics]
        answer = await admin.create_topics(wanted)
        for name, code, *rest in answer.topic_errors:
            error = for_code(code)
            if code and error is not TopicAlreadyExistsError:
                raise LogUnavailable(f"topic {name} cannot be created: {error.__name__} {rest}")
    except KafkaError as wrong:
        raise LogUnavailable(f"topics cannot be created: {wrong!r}") from wrong
    finally:
        await admin.close()


async def verify_events_topic(options: dict[str, Any], topic: str) -> None:
    """Raises WrongTopic if the events topic does not stamp arrivals itself (LogAppendTime), LogUnavailable."""
    admin = AIOKafkaAdminClient(request_timeout_ms=10_000, **options)
    try:
        await admin.start()
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    except KafkaError as wrong:
        raise LogUnavailable(f"topic {topic} cannot be described: {wrong!r}") from wrong
    finally:
        await admin.close()
    entries = {entry[0]: entry[1] for answer in answers for resource in answer.resources for entry in resource[4]}
    stamp = entries.get("message.timestamp.type")
    if stamp != "LogAppendTime":
        raise WrongTopic(
            f"topic {topic} has message.timestamp.type={stamp}: arrivals would be the senders' word. Mend it with\n"
            f"  kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config message.timestamp.type=LogAppendTime\n"
            "or set SLAWATCH_CLOCK=event for a backfill."
        )
