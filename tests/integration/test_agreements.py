"""The store of agreements: the same again changes nothing, other terms need a higher version, other holidays do not."""

import pytest
from msgspec.structs import replace

from shared.adapters.postgres.agreements import PostgresAgreements
from shared.adapters.postgres.database import connect, migrate
from shared.ports.agreements import AppliedAgreement, OtherTerms

APPLIED = AppliedAgreement(name="terms", version=1, digest="a", document="words", applied_by="jo", applied_at=1_772_000_000_000)


async def test_other_terms_need_a_higher_version_and_other_holidays_do_not(database_url: str) -> None:
    engine = connect(database_url, pool=1)
    try:
        await migrate(engine)
        store = PostgresAgreements(engine)
        await store.put(APPLIED)
        await store.put(replace(APPLIED, applied_by="another"))
        assert await store.all() == [APPLIED]
        with pytest.raises(OtherTerms, match="higher version"):
            await store.put(replace(APPLIED, digest="b", document="other words"))
        with_next_year = replace(APPLIED, digest="c", applied_at=1_795_000_000_000)
        await store.put(with_next_year)
        assert await store.all() == [with_next_year]
    finally:
        await engine.dispose()
