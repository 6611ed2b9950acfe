"""`slawatch agreements`: bring agreements into force."""

import getpass
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from shared.adapters.kafka.connection import connection
from shared.adapters.kafka.topics import ensure, events_topic
from shared.adapters.kafka.writer import KafkaWriter
from shared.adapters.postgres.agreements import PostgresAgreements
from shared.adapters.postgres.database import connect, migrate
from shared.adapters.system_time import SystemTime
from shared.cli.console import fail, load_documents, out, run, settings_of_stack
from shared.language import bundles
from shared.ports.agreements import AgreementsUnavailable, AppliedAgreement, OtherTerms
from shared.ports.log import Entry, LogWriter
from shared.runtime.settings import Settings
from shared.sla.instants import format_instant, or_none_instant
from shared.sla.terms import Bundle
from shared.sla.version import RULES
from shared.wire import controls
from shared.wire.controls import Activation

app = typer.Typer(no_args_is_help=True, help="Agreements in force.")


@app.command()
def apply(
    files: Annotated[list[Path], typer.Argument(help="YAML of agreements and calendars")],
    restate: Annotated[
        bool,
        typer.Option("--restate", help="rule the past too, from `effective.from` on: verdicts that differ are corrected"),
    ] = False,
) -> None:
    """Store agreements and bring them into force: clocks that start from now on run under them. Doing it again changes nothing.

    With --restate they also rule the past that they are effective for; look at `slawatch diff` first.

    Example: slawatch agreements apply examples/helpdesk/agreement.yaml
    """
    found = bundles(load_documents(files))
    document = "\n---\n".join(file.read_text("utf-8") for file in files)
    if not found:
        fail("the files hold no agreement")
    settings = settings_of_stack()
    try:
        run(lambda: _apply(settings, found, document, restate=restate))
    except (OtherTerms, AgreementsUnavailable) as wrong:
        fail(str(wrong))


async def _apply(settings: Settings, found: tuple[Bundle, ...], document: str, *, restate: bool) -> None:
    time, options = SystemTime(), connection(settings, settings.kafka)
    engine = connect(settings.database.get_secret_value(), pool=1)
    try:
        await migrate(engine)
        store = PostgresAgreements(engine)
        await ensure(options, [events_topic(settings)])
        async with KafkaWriter(options, timeout=30, max_record_bytes=1_048_576) as writer:
            for bundle in found:
                agreement, digest = bundle.agreement, sha256(msgspec.json.encode(bundle)).hexdigest()
                await store.put(
                    AppliedAgreement(
                        name=agreement.name,
                        version=agreement.version,
                        digest=digest,
                        document=document,
                        applied_by=getpass.getuser(),
                        applied_at=time.wall(),
                    )
                )
                name = f"{agreement.name}/{agreement.version}/{digest}" + ("/restated" if restate else "")
                activation = Activation(name, bundle, settings.clock, restate, RULES)
                count = await _activate(writer, settings.topic_events, activation)
                await store.activated(agreement.name, agreement.version, time.wall())
                said = "in force, and the past restated" if restate else "in force"
                out.print(f"{agreement.name} version {agreement.version}: {said}, in {count} partitions", markup=False)
    finally:
        await engine.dispose()


async def _activate(writer: LogWriter, topic: str, activation: Activation) -> int:
    """Append the activation to every partition; repeating it is harmless, the engine knows its id."""
    count = await writer.partitions(topic)
    value, headers = controls.encode(activation), controls.headers_of(activation)
    await writer.append(topic, [Entry(None, value, headers, partition=number) for number in range(count)])
    return count


@app.command("list")
def list_agreements() -> None:
    """The agreements that were applied.

    Example: slawatch agreements list
    """

    async def work() -> list[AppliedAgreement]:
        engine = connect(settings_of_stack().database.get_secret_value(), pool=1)
        try:
            return await PostgresAgreements(engine).all()
        finally:
            await engine.dispose()

    try:
        applied = run(work)
    except AgreementsUnavailable as wrong:
        fail(str(wrong))
    table = Table("agreement", "version", "applied", "by", "in force everywhere")
    for a in applied:
        activated = or_none_instant(a.activated_at) or "no: apply it again"
        table.add_row(a.name, str(a.version), format_instant(a.applied_at), a.applied_by, activated)
    out.print(table)
