"""The three topics: made where they are missing, verified where they exist."""

import asyncio
from typing import Any, Final, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from shared.adapters.kafka.administration import administration
from shared.adapters.kafka.bounded import AWAY
from shared.ports.log import LogUnavailable
from shared.runtime.settings import Settings

ARRIVALS: Final = {"message.timestamp.type": "LogAppendTime"}
KEPT: Final = {"retention.ms": "-1", "cleanup.policy": "delete"}  # "delete" of nothing: a compacted log forgets evidence
EVENTS: Final = {**ARRIVALS, **KEPT, "min.insync.replicas": "1"}
OTHERS: Final = KEPT
RECORD_OVERHEAD_BYTES: Final = 100_000  # a record's key and headers, and what the log adds around a batch
KNOWN_TRIES: Final = 50  # topics that were made this very moment are asked for so often
KNOWN_WAIT_S: Final = 0.1


class Topic(NamedTuple):
    """A topic as this installation wants it."""

    name: str
    partitions: int
    replication: int
    config: dict[str, str]


def events_topic(settings: Settings) -> Topic:
    """The topic of events: whoever comes first makes it, and all make it alike."""
    config = {**EVENTS, "max.message.bytes": str(settings.max_event_bytes + RECORD_OVERHEAD_BYTES)}
    return Topic(settings.topic_events, settings.partitions, settings.replication, config)


class WrongTopic(Exception):
    """A topic exists with settings under which verdicts would be wrong; the message holds the command that mends it."""


async def ensure(options: dict[str, Any], topics: list[Topic]) -> None:
    """Create the topics that are missing: who finds all of them needs no right to create any. Raises LogUnavailable."""
    try:
        async with administration(options) as admin:
            there = await _counts(admin, [topic.name for topic in topics])
            wanted = [NewTopic(t.name, t.partitions, t.replication, topic_configs=t.config) for t in topics if t.name not in there]
            if not wanted:
                return
            answer = await admin.create_topics(wanted)
    except (*AWAY, AttributeError) as wrong:  # AttributeError: how aiokafka says that no broker is the controller just now
        raise LogUnavailable(f"topics cannot be created: {wrong!r}") from wrong
    for name, code, *rest in answer.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise LogUnavailable(f"topic {name} cannot be created: {error.__name__} {rest}")


async def verify(options: dict[str, Any], *, events: str | None = None, breaches: str | None = None) -> dict[str, int]:
    """Whether the topics that are named are such that verdicts can be a function of them: arrivals by the broker's clock, everything
    kept, a vendor's verdicts in the partition of its events. Event-time mode takes any.

    Returns their numbers of partitions. Raises WrongTopic with the commands that mend them, LogUnavailable.
    """
    wanted = {**({events: ARRIVALS | KEPT} if events else {}), **({breaches: KEPT} if breaches else {})}
    try:
        async with administration(options) as admin:
            counts, settings = await _known(admin, wanted)
    except AWAY as wrong:
        raise LogUnavailable(f"topics {', '.join(wanted)} cannot be described: {wrong!r}") from wrong
    wrong_ones: list[str] = []
    for name, has in settings.items():
        mend = {key: value for key, value in wanted[name].items() if has.get(key) != value}
        if mend:
            wrong_ones.append(_mend_settings(options, name, {key: has.get(key) for key in mend}, mend))
    if events and breaches and counts[events] != counts[breaches]:
        wrong_ones.append(_mend_count(options, breaches, counts[breaches], counts[events]))
    if wrong_ones:
        raise WrongTopic("\n".join([*wrong_ones, "Or set SLAWATCH_CLOCK=event, for a backfill: it takes any topics."]))
    return counts


async def partitions_of(options: dict[str, Any], topic: str) -> int | None:
    """The number of a topic's partitions; None: there is no such topic. Raises LogUnavailable."""
    try:
        async with administration(options) as admin:
            return (await _counts(admin, [topic])).get(topic)
    except AWAY as wrong:
        raise LogUnavailable(f"topic {topic} cannot be described: {wrong!r}") from wrong


async def _counts(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, int]:
    """The numbers of partitions of those that exist."""
    return {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics(names) if not topic["error_code"]}


async def _known(admin: AIOKafkaAdminClient, wanted: dict[str, dict[str, str]]) -> tuple[dict[str, int], dict[str, dict[str, str]]]:
    """The numbers of partitions and the settings; topics made this very moment may take a while to be known. Raises LogUnavailable."""
    for _ in range(KNOWN_TRIES):
        counts = await _counts(admin, list(wanted))
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in wanted])
        settings = {found[3]: {entry[0]: entry[1] for entry in found[4]} for answer in answers for found in answer.resources}
        if len(counts) == len(wanted) and all(settings.get(name, {}).get(key) is not None for name in wanted for key in wanted[name]):
            return counts, settings
        await asyncio.sleep(KNOWN_WAIT_S)
    raise LogUnavailable(f"topics {', '.join(wanted)} are not known yet, or not all of them")


def _mend_settings(options: dict[str, Any], name: str, has: dict[str, str | None], mend: dict[str, str]) -> str:
    said = ", ".join(f"{key}={value}" for key, value in has.items())
    settings = ",".join(f"{key}={value}" for key, value in mend.items())
    return (
        f"topic {name} has {said}: verdicts would depend on senders' clocks, or on what was deleted. Mend it with\n"
        f"  kafka-configs.sh --bootstrap-server {options['bootstrap_servers']} --alter --entity-type topics --entity-name {name} "
        f"--add-config {settings}"
    )


def _mend_count(options: dict[str, Any], breaches: str, has: int, events: int) -> str:
    said = f"topic {breaches} has {has} partitions, the events have {events}: a vendor's verdicts belong where its events are. "
    if has > events:  # Kafka only adds partitions
        return said + "Kafka takes none away: set SLAWATCH_TOPIC_BREACHES to another name, and that topic is made as it must be"
    command = f"kafka-topics.sh --bootstrap-server {options['bootstrap_servers']} --alter --topic {breaches} --partitions {events}"
    return f"{said}Mend it with\n  {command}"


def verify_count(topic: str, partitions: int, first: int) -> None:
    """Raises WrongTopic if the topic's partitions are not as many as when it was first used: vendors' events would be torn apart."""
    if partitions != first:
        raise WrongTopic(
            f"topic {topic} has {partitions} partitions, and had {first} when it was first used: vendors' later events would lie in other "
            "partitions than their earlier ones. The number cannot change under a running history. Stop all services and copy it into "
            f"a new topic: `slawatch repartition --had {first} --partitions {2 * first} --into NAME` "
            "(docs/guide/operator.md, 'More partitions')"
        )
