"""Settings that are wrong are told at the start, each by its name, and secrets are not repeated."""

import pytest

from shared.adapters.postgres.database import connect
from shared.runtime.settings import BadSettings, load


@pytest.mark.parametrize("url", ["mysql://u:hidden@h/db", "hidden", "://hidden"])
def test_a_database_that_is_no_postgresql_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(BadSettings, match=r"SLAWATCH_DATABASE: .*postgresql://user:password@host") as refused:
        load({"SLAWATCH_DATABASE": url})
    assert "hidden" not in str(refused.value)


def test_every_wrong_one_is_named() -> None:
    with pytest.raises(BadSettings) as refused:
        load({"SLAWATCH_PARTITIONS": "many", "SLAWATCH_PORT": "1", "SLAWATCH_CLOCK": "wall"})
    said = str(refused.value)
    assert "SLAWATCH_PARTITIONS" in said
    assert "'many'" in said
    assert "SLAWATCH_PORT: no such setting" in said
    assert "SLAWATCH_CLOCK" in said


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
async def test_a_database_may_be_named_as_libpq_names_it(scheme: str) -> None:
    engine = connect(f"{scheme}://u:p@h:5433/db?sslmode=require&application_name=slawatch")
    assert (engine.url.drivername, engine.url.query) == ("postgresql+asyncpg", {"ssl": "require", "application_name": "slawatch"})
    await engine.dispose()
