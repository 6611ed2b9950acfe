"""`slawatch quarantine`: what could not be used, and another try for it."""

import getpass
from collections.abc import Awaitable, Callable
from typing import Annotated, NamedTuple, TypeVar

import typer
from rich.table import Table

from shared.adapters.kafka.connection import connection
from shared.adapters.kafka.reader import KafkaScanner
from shared.adapters.kafka.writer import KafkaWriter
from shared.cli.console import err, fail, out, run, settings_of_stack
from shared.ports.log import LogUnavailable, Record
from shared.ports.quarantine import NotRedrivable, place_in_quarantine, redriven_entry, redriven_place, trace_entry
from shared.runtime.settings import Settings
from shared.sla.instants import format_instant

app = typer.Typer(no_args_is_help=True, help="Records that could not be used: look at them, and try them again.")
T = TypeVar("T")
DETAIL_WIDTH = 80
Vendor = Annotated[str | None, typer.Option(help="only this vendor's")]
Reason = Annotated[str | None, typer.Option(help="only those refused for this reason, such as NotAnEvent, conflict, future")]
Place = Annotated[str, typer.Argument(help="its place in the quarantine, as `list` shows it: partition/offset")]


class _Held(NamedTuple):
    """A quarantined record, and where it went when it was tried again."""

    record: Record
    redriven: list[Record]

    def said(self, name: str) -> str:
        value = self.record.header(f"slw-{name}")
        return "" if value is None else value.decode("utf-8", "replace")

    @property
    def vendor(self) -> str:
        return "" if self.record.key is None else self.record.key.decode("utf-8", "replace")


async def _held(settings: Settings) -> dict[str, _Held]:
    """All that is in quarantine, by its place, in order of arrival. Raises LogUnavailable."""
    found: list[Record] = []
    scanner = KafkaScanner(connection(settings, settings.kafka))
    for number, (first, end) in (await scanner.bounds(settings.topic_quarantine)).items():
        await scanner.scan(settings.topic_quarantine, number, first, end, found.extend)
    found.sort(key=lambda record: (record.timestamp, record.partition, record.offset))
    held = {place_in_quarantine(record): _Held(record, []) for record in found if redriven_place(record) is None}
    for record in found:
        place = redriven_place(record)
        if place in held:
            held[place].redriven.append(record)
    return held


def _chosen(held: dict[str, _Held], vendor: str | None, reason: str | None) -> dict[str, _Held]:
    return {place: one for place, one in held.items() if vendor in (None, one.vendor) and reason in (None, one.said("reason"))}


def _with_settings(work: Callable[[Settings], Awaitable[T]]) -> T:
    settings = settings_of_stack()
    return run(lambda: work(settings))


@app.command("list")
def list_held(
    vendor: Vendor = None,
    reason: Reason = None,
    limit: Annotated[int, typer.Option(min=1, help="at most so many, the newest")] = 100,
) -> None:
    """Show what is in quarantine: place, when it came, vendor, reason, detail, and whether it was tried again.

    Example: slawatch quarantine list --vendor acme --reason conflict
    """
    chosen = _chosen(_with_settings(_held), vendor, reason)
    table = Table("place", "since", "vendor", "reason", "detail", "redriven", box=None)
    for place, one in list(chosen.items())[-limit:]:
        detail = one.said("detail")
        cells = (place, format_instant(one.record.timestamp), one.vendor, one.said("reason"))
        again = format_instant(one.redriven[-1].timestamp) if one.redriven else ""
        table.add_row(*cells, detail if len(detail) <= DETAIL_WIDTH else detail[: DETAIL_WIDTH - 1] + "…", again)
    out.print(table)
    if len(chosen) > limit:
        err.print(f"{len(chosen) - limit} older ones are not shown: --limit")


@app.command()
def show(place: Place) -> None:
    """Show one record: why it is there, where it stood, its headers, and its bytes as they came.

    Example: slawatch quarantine show 3/17
    """
    one = _with_settings(_held).get(place)
    if one is None:
        fail(f"nothing is in quarantine at {place}: see `slawatch quarantine list`")
    out.print(f"vendor: {one.vendor}\nsince:  {format_instant(one.record.timestamp)}", markup=False)
    for name, value in one.record.headers:
        out.print(f"{name}: {value.decode('utf-8', 'backslashreplace')}", markup=False)
    for trace in one.redriven:
        by, to = ((trace.header(f"slw-{name}") or b"").decode("utf-8", "replace") for name in ("by", "to"))
        out.print(f"redriven: {format_instant(trace.timestamp)} by {by}, to {to} of the events", markup=False)
    out.print(one.record.value.decode("utf-8", "backslashreplace"), markup=False)


@app.command()
def redrive(
    places: Annotated[list[str] | None, typer.Argument(help="which: partition/offset, as `list` shows it")] = None,
    all_: Annotated[bool, typer.Option("--all", help="all that --vendor and --reason leave, but for what was redriven before")] = False,
    vendor: Vendor = None,
    reason: Reason = None,
) -> None:
    """Write records to the events topic again, bytes and key as they were, once their cause is gone (an agreement, a version of slawatch).

    What slawatch has already is dropped as a duplicate, so trying twice does no harm; what still cannot be used comes back here.

    Example: slawatch quarantine redrive --all --vendor acme --reason Poison
    """
    if bool(places) == all_:
        fail("name the places, or say --all", 2)

    async def work(settings: Settings) -> tuple[int, list[str]]:
        held = await _held(settings)
        if places:
            missing = [place for place in places if place not in held]
            if missing:
                fail(f"nothing is in quarantine at {', '.join(missing)}: see `slawatch quarantine list`")
            chosen = {place: held[place] for place in places}
        else:
            chosen = {place: one for place, one in _chosen(held, vendor, reason).items() if not one.redriven}
        return await _redrive(settings, chosen)

    count, kept = _with_settings(work)
    for line in kept:
        err.print(line, style="yellow", markup=False)
    err.print(f"{count} redriven, {len(kept)} left")
    if kept and not all_:
        raise typer.Exit(1)


async def _redrive(settings: Settings, chosen: dict[str, _Held]) -> tuple[int, list[str]]:
    """How many went out again, and of the others why not. Raises LogUnavailable, after which what is traced has gone."""
    kept: list[str] = []
    async with KafkaWriter(connection(settings, settings.kafka), timeout=30) as writer:
        for done, (place, one) in enumerate(chosen.items()):
            try:
                entry = redriven_entry(one.record, settings.topic_events)
            except NotRedrivable as wrong:
                kept.append(f"{place}: {wrong}")
                continue
            try:
                (to,) = await writer.append(settings.topic_events, [entry])
                await writer.append(settings.topic_quarantine, [trace_entry(one.record, f"{to.partition}/{to.offset}", getpass.getuser())])
            except LogUnavailable:
                err.print(f"{done - len(kept)} were redriven before Kafka went away; do the same again for the others")
                raise
    return len(chosen) - len(kept), kept
