"""docs/faults.md names a test for each row, and each test that it names is there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
WANTED = {4, 8, 11, 12, 20, 21, 22, 23, 24}


def test_each_row_has_tests_and_they_exist() -> None:
    lines = (ROOT / "docs" / "faults.md").read_text("utf-8").splitlines()
    rows = {int(line.split("|")[1]): re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", line) for line in lines if re.match(r"\| \d+ \|", line)}
    assert set(rows) == WANTED
    for row, tests in rows.items():
        assert tests, f"row {row} names no test"
        for path, name in tests:
            assert name in functions(path), f"row {row}: {path} has no {name}"


def test_a_test_that_says_its_row_stands_in_the_table() -> None:
    table = (ROOT / "docs" / "faults.md").read_text("utf-8")
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for name in functions(path.relative_to(ROOT).as_posix()):
            if re.match(r"test_row_(4|8|11|12|2[0-4])_", name):
                assert name in table or path.parent.name == "notifier", f"{path.name}::{name} is missing in docs/faults.md"


def functions(path: str) -> set[str]:
    """Names of the functions of a file."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
