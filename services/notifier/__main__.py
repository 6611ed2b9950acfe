"""notifier: verdicts in from the log; ledger, messages, API and console out. The composition root."""

import asyncio
import platform
import random
import sys
from collections.abc import Mapping

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.notifier import api, silences, trying
from services.notifier.actions import Actions, CaseActions
from services.notifier.alerts import Desk, Routes
from services.notifier.catalogue import Catalogue
from services.notifier.channels.setup import channels_of
from services.notifier.console import duty, forms, pages
from services.notifier.console.panels import Panels
from services.notifier.console.rendering import Pages
from services.notifier.console.sessions import Sessions
from services.notifier.console.signin import SignIn, proxy_of
from services.notifier.corrections import Corrections
from services.notifier.credits import Credits
from services.notifier.dispatch import Dispatcher
from services.notifier.explanations import Explanations
from services.notifier.history import history_of
from services.notifier.links import LinkActions, Links
from services.notifier.links import install as install_links
from services.notifier.live import Hub, Relay
from services.notifier.messages import Composer
from services.notifier.metrics import Metrics
from services.notifier.pipeline import Pipeline, publish_delivery
from services.notifier.resending import Resender
from services.notifier.silences import Rotas, Silences
from shared.adapters.kafka.connection import connection
from shared.adapters.kafka.reader import KafkaGroupReader
from shared.adapters.kafka.topics import OTHERS, Topic, ensure, partitions_of, verify
from shared.adapters.kafka.writer import KafkaWriter
from shared.adapters.postgres.accounts import PostgresAccounts
from shared.adapters.postgres.agreements import PostgresAgreements
from shared.adapters.postgres.alerts import PostgresAlerts
from shared.adapters.postgres.bulletin import PostgresBulletin
from shared.adapters.postgres.cases import PostgresCases
from shared.adapters.postgres.credentials import PostgresCredentials
from shared.adapters.postgres.database import connect, migrate
from shared.adapters.postgres.ledger import PostgresLedger
from shared.adapters.postgres.links import PostgresLinks
from shared.adapters.postgres.resending import PostgresTold
from shared.adapters.system_time import SystemTime
from shared.local.program import run as run_program
from shared.ports.ledger import Actor
from shared.ports.log import GroupReader, LogUnavailable, RebalanceHandler
from shared.ports.time import TimeSource
from shared.runtime.credentials import Authenticator, load_pepper
from shared.runtime.metrics import process_registry
from shared.runtime.passwords import Accounts
from shared.runtime.serving import serve
from shared.runtime.settings import BadSettings, Settings
from shared.wire.verdicts import VerdictData

RETRY_S = 1
WRITE_TIMEOUT_S = 10
POOL = 10  # connections to PostgreSQL: the pipeline, the channels, pages and API


async def prepare(settings: Settings, engine: AsyncEngine, time: TimeSource) -> None:
    """Tables and topics, made where they are missing; waits for the database and the broker. Raises WrongTopic."""
    options = connection(settings, settings.kafka)
    names = (settings.topic_breaches, settings.topic_quarantine)
    while True:
        try:
            await migrate(engine)
            count = await partitions_of(options, settings.topic_events) or settings.partitions  # as many as the events have
            await ensure(options, [Topic(name, count, settings.replication, OTHERS) for name in names])
            if settings.clock == "log":
                await verify(options, breaches=settings.topic_breaches)
        except (LogUnavailable, SQLAlchemyError, OSError) as wrong:
            structlog.get_logger().warning("waiting for the broker and the database", error=str(wrong))
            await time.sleep(RETRY_S)
        else:
            return


def metrics_urls(settings: Settings) -> dict[str, str]:
    """What the console's health page reads, by service. Raises nothing: an address that answers nothing is shown as such."""
    here = {"ingest": settings.ingest_port, "evaluator": settings.evaluator_port}
    given = dict(pair.split("=", 1) for pair in settings.metrics_urls if "=" in pair)
    return given or {name: f"http://{settings.bind}:{port}/metrics" for name, port in here.items()}


def explanations_of(settings: Settings) -> Explanations:
    """Who tells why a clock stands as it does."""
    url = settings.evaluator_url or f"http://{settings.bind}:{settings.evaluator_port}"
    return Explanations(url, settings.evaluator_token.get_secret_value())


def words_of(settings: Settings, pepper: bytes, catalogue: Catalogue, time: TimeSource) -> tuple[Links, Composer]:
    """What makes messages, and the links in them."""
    public_url = settings.public_url.rstrip("/") or f"http://{settings.bind}:{settings.notifier_port}"
    links = Links(pepper, public_url, time)
    return links, Composer(public_url, objective_of=catalogue.objective_of, addresses=links.addresses, dashboard=settings.dashboard_url)


async def main(settings: Settings) -> None:
    """Serve until SIGTERM."""
    time, hub, registry = SystemTime(), Hub(), process_registry()
    metrics = Metrics(registry)
    engine = connect(settings.database.get_secret_value(), pool=POOL)
    ledger, alerts = PostgresLedger(engine), PostgresAlerts(engine)
    history = history_of(ledger)
    try:
        routes = Routes(settings.routes, lambda routing: channels_of(settings, routing, time, history=history), time)
        channels = routes.first_channels if settings.routes else channels_of(settings, None, time, history=history)
        proxy = proxy_of(settings)
    except BadSettings as wrong:
        sys.exit(str(wrong))
    options = connection(settings, settings.kafka)
    pepper = load_pepper(settings)
    catalogue = Catalogue(PostgresAgreements(engine), settings.agreements, time)
    links, composer = words_of(settings, pepper, catalogue, time)
    authenticator = Authenticator(PostgresCredentials(engine), pepper, settings.environment, time)
    dispatcher = Dispatcher(
        channels,
        ledger,
        time,
        metrics,
        composer=composer,
        jitter=random.random,
        on_delivery=lambda *about: publish_delivery(hub, *about),
    )

    def labels_of(data: VerdictData) -> Mapping[str, str]:
        objective = catalogue.objective_of(data.agreement, data.version, data.objective)
        return objective.labels if objective is not None else {}

    desk = Desk(routes, alerts, dispatcher, metrics, time, labels_of)

    def make_reader(on_assigned: RebalanceHandler, on_revoked: RebalanceHandler) -> GroupReader:
        group = f"{settings.group}-notifier"
        return KafkaGroupReader(
            options,
            [settings.topic_breaches],
            group,
            on_assigned=on_assigned,
            on_revoked=on_revoked,
            instance=f"{group}-{settings.topic_breaches}-{platform.node()}-{settings.notifier_port}",
        )

    try:
        async with KafkaWriter(options, timeout=WRITE_TIMEOUT_S) as writer, explanations_of(settings) as explanations:
            pipeline = Pipeline(make_reader, writer, ledger, dispatcher, desk, hub, metrics, time, quarantine=settings.topic_quarantine)
            panels = Panels(registry, metrics_urls(settings), time)
            relay = Relay(hub, PostgresBulletin(settings.database.get_secret_value()), time)
            cases, actions = PostgresCases(engine), Actions(ledger, hub, time, lambda: dispatcher.by_breach)
            case_actions = CaseActions(cases, actions, hub, time)
            trials = trying.Trials(lambda: dispatcher.channels, composer, time)
            watches = (Corrections(cases, ledger, desk, dispatcher, hub, metrics, time), Credits(cases, catalogue, metrics, time))
            silencer, rotas = Silences(alerts, time), Rotas(desk, alerts, time)
            console = pages.Console(
                pages.Context(
                    ledger=ledger,
                    cases=cases,
                    work=case_actions,
                    deliveries=ledger,
                    channels=dispatcher.states,
                    catalogue=catalogue,
                    panels=panels,
                    explanations=explanations,
                    readiness=lambda: pipeline.missing,
                    routes_error=lambda: routes.error,
                    sign_in=SignIn(authenticator, Sessions(pepper), time, proxy, settings.public_url),
                    accounts=Accounts(PostgresAccounts(engine), time),
                    pages=Pages(settings.environment),
                    time=time,
                )
            )

            resender = Resender(lambda: dispatcher.channels, lambda: dispatcher.off, PostgresTold(engine), composer, time)

            async def acknowledge(breach_id: str, by: Actor) -> bool:
                return await actions.act_as(breach_id, "acknowledge", by) is not None

            async def work() -> None:
                await prepare(settings, engine, time)
                await catalogue.read()  # before the first verdict: routes may ask for labels
                structlog.get_logger().info("ready", port=settings.notifier_port, channels=dispatcher.names)
                async with asyncio.TaskGroup() as tasks:
                    for part in (pipeline, catalogue, panels, relay, resender, *watches):
                        tasks.create_task(part.run())

            app = api.build(
                ledger,
                ledger,
                case_actions,
                hub,
                authenticator,
                registry,
                lambda: pipeline.missing,
                dispatcher.states,
                silences.routes(silencer, rotas, time),
                trying.routes(trials),
            )
            beside = duty.Desk(silencer, rotas, trials)
            pages.install(app, console, hub, lambda to: forms.install(to, console), lambda to: duty.install(to, console, beside))
            install_links(app, LinkActions(links, PostgresLinks(engine), ledger, time, acknowledge=acknowledge, snooze=silencer.snooze))
            await serve(app, settings.bind, settings.notifier_port, work, hub.close)
    finally:
        await engine.dispose()


def run() -> None:
    """`slawatch serve notifier`."""
    run_program("notifier", main)


if __name__ == "__main__":
    run()
