"""The native code's own tests, and the engine where it is not built."""

import shutil
import subprocess

import pytest

from shared.runtime.settings import PROJECT
from shared.sla import engine
from shared.sla.engine import Engine
from shared.wire.forms import swift_forms

MANIFEST = PROJECT / "shared" / "sla" / "native" / "Cargo.toml"


@pytest.mark.skipif(shutil.which("cargo") is None, reason="there is no cargo (Rust) on this machine")
def test_native_code_passes_its_own_tests() -> None:
    command = ["cargo", "test", "--quiet", "--locked", "--offline", "--manifest-path", str(MANIFEST)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]


def test_an_engine_without_native_code_keeps_everything_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "is_built", lambda: False)
    assert Engine("event", forms_of=swift_forms).swift is None
