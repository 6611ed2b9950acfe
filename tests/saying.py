"""What engines say, where all of it is statements."""

from collections.abc import Iterable

from shared.sla.statements import Said, Statement


def unwritten(said: Iterable[Said]) -> list[Statement]:
    """What was said by an engine that keeps nothing on the swift path, which alone says bytes."""
    found = []
    for statement in said:
        assert isinstance(statement, Statement)
        found.append(statement)
    return found
