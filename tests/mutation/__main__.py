"""`python -m tests.mutation`: plants one fault after another into a copy of shared/sla, and runs the tests of the engine there.

Every fault must turn them red. The project itself is never touched.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from tests.mutation.faults import FAULTS, Fault

ROOT = Path(__file__).parents[2]
out = Console(soft_wrap=True)
COPIED = ("shared", "tests", "examples", "pyproject.toml")
TESTS = "tests/unit/sla"
RUN_SECONDS_MAX = 120
GREEN, RED = 0, 1  # pytest's exit codes: all passed; some failed


def run_tests(copy: Path) -> tuple[int, str]:
    """pytest's exit code in a copy, and the test that failed first."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider", TESTS]
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=RUN_SECONDS_MAX, check=False)
    except subprocess.TimeoutExpired:
        return RED, f"no end within {RUN_SECONDS_MAX} s"
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    first = failed[0].split(" - ")[0].rpartition("::")[2] if failed else (done.stdout + done.stderr).strip()[-2_000:]
    return done.returncode, first


def plant(fault: Fault, copy: Path) -> str | None:
    """Put a fault into the copy; returns the module's sound text, or None if the fault has no place there any more."""
    module = copy / "shared" / "sla" / f"{fault.module}.py"
    sound = module.read_text(encoding="utf-8")
    if sound.count(fault.old) != 1:
        return None
    module.write_text(sound.replace(fault.old, fault.new), encoding="utf-8")
    return sound


def say(line: str) -> None:
    """A line of progress."""
    out.print(line, markup=False, highlight=False)


def survivors(copy: Path) -> list[str]:
    """The names of the faults that no test notices."""
    found = []
    for number, fault in enumerate(FAULTS, 1):
        place = f"{number:2}/{len(FAULTS)}  {fault.name}"
        sound = plant(fault, copy)
        if sound is None:
            found.append(fault.name)
            say(f"{place}: its place in {fault.module}.py is gone, plant it anew")
            continue
        code, first = run_tests(copy)
        (copy / "shared" / "sla" / f"{fault.module}.py").write_text(sound, encoding="utf-8")
        if code == RED:
            say(f"{place}: red ({first})")
        else:
            found.append(fault.name)
            say(f"{place}: NOT NOTICED (pytest said {code})")
    return found


def main() -> int:
    """0 if every fault was noticed."""
    with tempfile.TemporaryDirectory(prefix="slawatch-mutation-") as scratch:
        copy = Path(scratch)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, copy / name)
        code, first = run_tests(copy)
        if code != GREEN:
            say(f"the tests are not green without a fault: {first}")
            return 1
        say(f"{len(FAULTS)} faults; without any, the tests are green")
        found = survivors(copy)
    say(f"not noticed: {', '.join(found)}" if found else "every fault was noticed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
