"""`python -m examples.simulator`: composition root of the vendor simulator."""

import asyncio
import os
import signal
from contextlib import suppress
from functools import partial
from typing import Annotated

import httpx2
import typer

from examples.simulator.keys import MissingKeys, keys_of
from examples.simulator.play import Tally, play
from examples.simulator.poster import Poster
from examples.simulator.script import script
from examples.simulator.stories import VENDORS
from shared.adapters.system_time import SystemTime


def simulate(
    url: Annotated[str, typer.Option(help="address of ingest")] = "http://127.0.0.1:8001",
    seed: Annotated[int, typer.Option(help="the same seed tells the same stories")] = 1,
    duration: Annotated[float | None, typer.Option(help="seconds to play; left out: for ever", min=0)] = None,
    speed: Annotated[float, typer.Option(help="new cases after the first minute come so many times as often", min=0.01, max=1000)] = 1.0,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="a line per event; otherwise only what was not taken")] = False,
) -> None:
    """Play five vendors that post their service events to slawatch, as in the agreements of examples/demo.

    Keys come from the environment: SIM_KEY_ACME_DESK, SIM_KEY_SWIFT_PARCELS and so on, or all in SIM_KEYS as JSON.

    Example: SIM_KEYS='{"acme-desk": "slw_...", ...}' python -m examples.simulator --seed 7 --duration 120 --verbose
    """
    try:
        keys = keys_of(VENDORS, os.environ)
    except MissingKeys as missing:
        typer.echo(str(missing), err=True)
        raise typer.Exit(2) from None
    tally = asyncio.run(_run(url, keys, seed, duration, speed, verbose))
    typer.echo(f"simulator: {tally.posted} events posted, {tally.refused} not taken")
    raise typer.Exit(1 if tally.refused else 0)


async def _run(url: str, keys: dict[str, str], seed: int, duration: float | None, speed: float, verbose: bool) -> Tally:
    time = SystemTime()
    tally = Tally()
    how_long = "for ever" if duration is None else f"for {duration:g} s"
    typer.echo(f"simulator: {', '.join(keys)} post to {url} {how_long} (seed {seed}, speed {speed:g})")

    def tell(line: str) -> None:
        if verbose or "NOT TAKEN" in line:
            typer.echo(line)

    async with httpx2.AsyncClient(timeout=10) as client:
        posters = {vendor: Poster(client, url, key, time, typer.echo) for vendor, key in keys.items()}
        playing = asyncio.ensure_future(play(script(seed, time.wall(), speed), posters, time, tally, tell, duration))
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, partial(playing.cancel))
        with suppress(asyncio.CancelledError):  # asked to stop: what was posted is posted
            await playing
    return tally


if __name__ == "__main__":
    typer.run(simulate)
