"""Named places where a test lets a process die.

`SLAWATCH_FAILPOINT=before-emit` ends it there as kill -9 would, `before-emit:3` at the third passing.
Without the variable (always, outside tests) a failpoint is one comparison.
"""

import os
import signal
from typing import Final

VARIABLE: Final = "SLAWATCH_FAILPOINT"
_NAME, _, _PASSINGS = os.environ.get(VARIABLE, "").partition(":")
_left = int(_PASSINGS or 1)


def failpoint(name: str) -> None:
    """Pass this place; or die here, with nothing flushed, closed or said."""
    global _left  # noqa: PLW0603 - a process dies once
    if name == _NAME:
        _left -= 1
        if _left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
