"""Every `slawatch` command line in the guides exists, options included."""

import re
from pathlib import Path

import pytest
import typer

from shared.cli.__main__ import app

PROJECT = Path(__file__).parents[3]
PAGES = [path for folder in ("docs", "deploy", "examples") for path in sorted((PROJECT / folder).rglob("*.md"))]
IN_CODE = re.compile(r"`slawatch ([^`]+)`|^    slawatch ([^\n]+)", re.MULTILINE)


def command_lines(path: Path) -> list[str]:
    """What stands after `slawatch`, in code only, cut at `&&`, `>` and comments; `ingest | evaluator` are two words like others."""
    found = (inline or block for inline, block in IN_CODE.findall(path.read_text(encoding="utf-8")))
    return [re.split(r"&&|>|#", part)[0] for text in found for part in text.split("slawatch ")]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_command_lines_exist(path: Path) -> None:
    for line in command_lines(path):
        command, words = typer.main.get_command(app), line.split()
        while hasattr(command, "commands"):
            assert words, line
            assert words[0] in command.commands, f"slawatch {line}: no command {words[0]}"
            command = command.commands[words.pop(0)]
        options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert {word for word in words if word.startswith("--")} <= options, f"slawatch {line}"


def test_the_guides_do_show_commands() -> None:
    assert sum(len(command_lines(path)) for path in PAGES) > 15
