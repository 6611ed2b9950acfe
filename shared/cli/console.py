"""What all commands share: where they print, and how they end when something is wrong."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NoReturn, TypeVar

import typer
import uvloop
from rich.console import Console

from shared.language import Loaded, load
from shared.local.program import NoStack, complete
from shared.ports.log import LogUnavailable
from shared.runtime.settings import BadSettings, Settings
from shared.runtime.settings import load as load_settings

PIPED_WIDTH = 160  # where no terminal says how wide it is


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, soft_wrap=True)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, soft_wrap=True, width=PIPED_WIDTH)


out = _console(stderr=False)
err = _console(stderr=True)
T = TypeVar("T")


def fail(message: str, code: int = 1) -> NoReturn:
    """Say what is wrong on stderr and end."""
    err.print(message, style="red", markup=False)
    raise typer.Exit(code)


def directory(path: Path) -> Path:
    """A directory for results, made where it is missing; ends with a word where that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as wrong:
        fail(f"{path} cannot be the directory for the results: {wrong.strerror}", 2)
    return path


def load_documents(files: Sequence[Path]) -> Loaded:
    """Agreements, calendars and mappings of files; ends with every problem and its place if there is any."""
    loaded = load(files)
    if loaded.problems:
        for problem in loaded.problems:
            err.print(str(problem), style="red", markup=False)
        raise typer.Exit(1)
    return loaded


def settings_of_stack() -> Settings:
    """The settings, completed by the running embedded stack; ends with a word where they are wrong or it is not there."""
    try:
        return complete(load_settings())
    except (BadSettings, NoStack) as wrong:
        fail(str(wrong))


def run(work: Callable[[], Awaitable[T]]) -> T:
    """Run a command's asynchronous part; a log that is away ends it with a word."""

    async def program() -> T:
        return await work()

    try:
        return uvloop.run(program())
    except LogUnavailable as wrong:
        fail(f"Kafka cannot be reached: {wrong}")
