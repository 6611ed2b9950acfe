"""JSON Schemas of the documents, for editors: `python -m shared.language.schema` writes them to docs/reference."""

import json
from pathlib import Path
from typing import Any, Final

from shared.language.loading import KINDS

FOLDER: Final = Path(__file__).parents[2] / "docs" / "reference"


def schema_of(kind: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of the documents of one kind."""
    defs: dict[str, Any] = {}
    reference = KINDS[kind].schema(defs)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"slawatch {kind}",
        "description": f"A YAML document of kind {kind}. Written by `python -m shared.language.schema`; do not edit.",
        **reference,
        "$defs": defs,
    }


def text_of(kind: str) -> str:
    """The text of the file that holds the schema."""
    return json.dumps(schema_of(kind), indent=2, ensure_ascii=False) + "\n"


def file_of(kind: str) -> Path:
    """Where the schema of a kind is committed."""
    return FOLDER / f"{kind.lower()}.schema.json"


if __name__ == "__main__":
    for kind in KINDS:
        file_of(kind).write_text(text_of(kind), "utf-8")
