"""The guides agree with the code they describe."""

import re
from pathlib import Path

import pytest

from shared.runtime.settings import PREFIX, Settings, table

PROJECT = Path(__file__).parents[3]
GUIDE = PROJECT / "docs" / "guide"
SETTINGS = {PREFIX + name.upper() for name in Settings.model_fields}
TEXTS = [*sorted(GUIDE.glob("*.md")), *sorted(path for path in (PROJECT / "deploy").rglob("*") if path.is_file() and path.suffix != ".pyc")]
PAGES = [path for folder in ("docs", "deploy", "examples") for path in sorted((PROJECT / folder).rglob("*.md"))]


def test_settings_table_is_that_of_the_code() -> None:
    text = (GUIDE / "operator.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- settings: begin -->\n(.*)\n<!-- settings: end -->", text, re.DOTALL)
    assert found is not None
    assert found[1] == table(), "put the output of shared.runtime.settings.table() between the marks in docs/guide/operator.md"


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_only_settings_that_exist_are_named(path: Path) -> None:
    named = set(re.findall(r"SLAWATCH_[A-Z_]*[A-Z]", path.read_text(encoding="utf-8")))
    assert named <= SETTINGS


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
        assert "://" in target or (path.parent / target).exists(), target
