"""Which rules this code folds by."""

from typing import Final

# Raised whenever the same log would give other verdicts. A checkpoint of other rules is refused (engine.md, "The log is the only input").
RULES: Final = 10
