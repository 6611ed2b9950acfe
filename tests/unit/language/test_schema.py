"""The JSON Schemas for editors: committed, not drifted, and of one mind with the loader."""

from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from ruamel.yaml import YAML

from shared.language import load
from shared.language.loading import KINDS
from shared.language.schema import file_of, schema_of, text_of
from tests.unit.language.samples import CALENDAR, SOUND, with_lines, with_objective

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*/*.yaml"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_committed_schema_is_the_loaders(kind: str) -> None:
    assert file_of(kind).read_text("utf-8") == text_of(kind), "run `python -m shared.language.schema`"


def documents(text: str) -> list[Any]:
    """Documents as editors see them: dates stay texts."""
    yaml = YAML(typ="safe", pure=True)
    yaml.constructor.yaml_constructors["tag:yaml.org,2002:timestamp"] = lambda _, node: node.value
    return list(yaml.load_all(text))


def accepts(text: str) -> bool:
    return all(jsonschema_rs.validator_for(schema_of(document["kind"])).is_valid(document) for document in documents(text))


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: "/".join(file.parts[-2:]))
def test_examples_are_sound_for_the_loader_and_for_editors(file: Path) -> None:
    assert load([file]).problems == ()
    assert accepts(file.read_text("utf-8"))


@pytest.mark.parametrize(
    "text",
    [
        SOUND.replace("4h", "4"),
        SOUND.replace("kind: deadline", "kind: deadlin"),
        with_lines("warnat: [50%]"),
        with_lines("cancel: {when: data.x}"),
        CALENDAR.replace("mon-fri", "monday"),
        SOUND.replace("vendor: acme\n", ""),
        with_objective("name: n", "kind: aggregate", "of: {events: x}", "aggregate: cuont", 'target: "> 3"', "on_empty: met"),
        with_objective(
            "name: n", "kind: aggregate", "of: {events: x}", "aggregate: count", 'target: "> 3"', "on_empty: met", "window: sliding 1h"
        ),
    ],
)
def test_editors_mark_what_the_loader_refuses(text: str) -> None:
    assert not accepts(text)
