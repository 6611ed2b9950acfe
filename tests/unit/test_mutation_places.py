"""`make mutation` takes minutes, and is run by night: that its faults still have their places is seen by day."""

import pytest

from shared.runtime.settings import PROJECT
from tests.mutation.faults import FAULTS, Fault


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_has_its_place(fault: Fault) -> None:
    module = (PROJECT / "shared" / "sla" / f"{fault.module}.py").read_text("utf-8")
    assert module.count(fault.old) == 1, "the code has moved: plant it anew in tests/mutation/faults.py"
