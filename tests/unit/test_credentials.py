"""Keys and tokens: their form, their making, and how they are recognised while the store comes and goes."""

import asyncio
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.adapters.memory.credentials import MemoryCredentials
from shared.adapters.memory.time import VirtualTime
from shared.ports.credentials import Credential, CredentialsUnavailable, Kind, TooManyKeys
from shared.runtime.credentials import (
    Authenticator,
    BadCredential,
    create_credential,
    hash_of,
    load_pepper,
    new_text,
    parse,
    revoke,
    secret_file,
)
from shared.runtime.settings import Settings

PEPPER = b"pepper"


class Counting(MemoryCredentials):
    """Counts the look-ups."""

    asked = 0

    async def by_id(self, id: str) -> Credential | None:  # noqa: A002  # the port's name
        self.asked += 1
        await asyncio.sleep(0)
        return await super().by_id(id)


@pytest.fixture
def time() -> VirtualTime:
    return VirtualTime()


@pytest.fixture
def store() -> Counting:
    return Counting()


@pytest.fixture
def authenticator(store: Counting, time: VirtualTime) -> Authenticator:
    return Authenticator(store, PEPPER, "test", time, fresh_s=3, stale_s=600, retry_s=1)


async def make(store: MemoryCredentials, name: str = "n", *, env: str = "test", role: str = "vendor") -> tuple[Credential, str]:
    return await create_credential(store, PEPPER, env, "key", role, ["acme"] if role == "vendor" else [], name, 1_000)


class TestFormat:
    def test_says_environment_and_id(self) -> None:
        text = new_text("prod", "0123456789ab")
        assert text.startswith("slw_prod_0123456789ab_")
        assert parse(text) == ("prod", "0123456789ab")
        assert new_text("prod", "0123456789ab") != text

    def test_a_typing_mistake_is_told_by_the_checksum(self) -> None:
        text = new_text("prod", "0123456789ab")
        wrong = text[:30] + ("0" if text[30] != "0" else "1") + text[31:]
        with pytest.raises(BadCredential, match="mistyped"):
            parse(wrong)

    @pytest.mark.parametrize("text", ["", "slw", "slw_test_x", "slw_TEST_0123456789ab_" + "0" * 40 + "_00000000", "Bearer x", "é" * 80])
    def test_anything_else_is_no_key(self, text: str) -> None:
        with pytest.raises(BadCredential, match="not a slawatch key"):
            parse(text)


class TestMaking:
    async def test_the_secret_is_not_stored(self, store: Counting) -> None:
        made, text = await make(store)
        (stored,) = await store.all()
        assert stored == made
        assert stored.hash == hash_of(text, PEPPER)
        assert hash_of(text, b"other pepper") != stored.hash
        assert text not in repr(stored)

    @pytest.mark.parametrize(
        ("kind", "role", "vendors", "name", "said"),
        [
            ("key", "viewer", [], "n", "roles"),
            ("token", "customer", [], "n", "roles"),
            ("key", "vendor", [], "n", "exactly one"),
            ("key", "vendor", ["a", "b"], "n", "exactly one"),
            ("key", "operator", ["a"], "n", "not bound"),
            ("key", "customer", [""], "n", "not empty"),
            ("key", "operator", [], " ", "name"),
        ],
    )
    async def test_wrong_combinations(self, store: Counting, kind: Kind, role: str, vendors: list[str], name: str, said: str) -> None:
        with pytest.raises(BadCredential, match=said):
            await create_credential(store, PEPPER, "test", kind, role, vendors, name, 0)

    async def test_two_active_keys_a_vendor_and_no_third(self, store: Counting) -> None:
        await make(store, "one")
        await make(store, "two")
        with pytest.raises(TooManyKeys, match="one, two"):
            await make(store, "three")
        assert [c.name for c in await revoke(store, "one", 2_000)] == ["one"]
        await make(store, "three")

    async def test_revoking_by_name_or_id_takes_the_active_ones(self, store: Counting) -> None:
        (first, _), (second, _) = await make(store, "demo", role="customer"), await make(store, "demo", role="operator")
        assert {c.id for c in await revoke(store, "demo", 2_000)} == {first.id, second.id}
        assert await revoke(store, "demo", 3_000) == []
        third, _ = await make(store, "demo")
        assert [c.id for c in await revoke(store, third.id, 3_000)] == [third.id]

    def test_whose_data(self) -> None:
        def made(role: str, *vendors: str) -> Credential:
            return Credential(id="i", kind="key", role=role, vendors=vendors, name="n", hash=b"", created_at=0)

        assert made("vendor", "acme").may_act_for("acme")
        assert not made("vendor", "acme").may_act_for("globex")
        assert not made("vendor").may_act_for("acme")
        assert made("customer").may_act_for("acme")
        assert not made("customer", "globex").may_act_for("acme")
        assert made("operator").may_act_for("acme")


class TestRecognising:
    async def test_the_right_text_and_no_other(self, store: Counting, authenticator: Authenticator) -> None:
        made, text = await make(store)
        assert await authenticator.authenticate(text) == made
        with pytest.raises(BadCredential, match="unknown"):
            await authenticator.authenticate(new_text("test", made.id))
        with pytest.raises(BadCredential, match="unknown"):
            await authenticator.authenticate(new_text("test", "0" * 12))

    async def test_another_environments_key_is_named_as_such(self, store: Counting, authenticator: Authenticator) -> None:
        _, text = await make(store, env="prod")
        with pytest.raises(BadCredential, match="environment prod"):
            await authenticator.authenticate(text)

    async def test_looked_up_once_for_all_at_the_same_moment_and_again_when_no_longer_fresh(
        self, store: Counting, authenticator: Authenticator, time: VirtualTime
    ) -> None:
        _, text = await make(store)
        await asyncio.gather(*(authenticator.authenticate(text) for _ in range(100)))
        assert store.asked == 1
        await time.advance(3)
        await authenticator.authenticate(text)
        assert store.asked == 2

    async def test_revoked_means_refused_within_the_time_it_is_fresh(
        self, store: Counting, authenticator: Authenticator, time: VirtualTime
    ) -> None:
        made, text = await make(store)
        await authenticator.authenticate(text)
        await store.revoke(made.id, 2_000)
        await time.advance(3)
        with pytest.raises(BadCredential, match="revoked"):
            await authenticator.authenticate(text)
        store.available = False
        await time.advance(60)
        with pytest.raises(BadCredential, match="revoked"):
            await authenticator.authenticate(text)

    async def test_while_the_store_is_away_known_ones_go_on_for_a_while(
        self, store: Counting, authenticator: Authenticator, time: VirtualTime
    ) -> None:
        _, text = await make(store)
        _, unknown = await make(store, "unknown")
        await authenticator.authenticate(text)
        store.available = False
        await time.advance(599)
        await authenticator.authenticate(text)
        assert authenticator.has_known()
        with pytest.raises(CredentialsUnavailable):
            await authenticator.authenticate(unknown)
        await time.advance(1)
        assert not authenticator.has_known()
        with pytest.raises(CredentialsUnavailable):
            await authenticator.authenticate(text)
        store.available = True
        await time.advance(1)
        await authenticator.authenticate(text)

    async def test_a_store_that_is_away_is_not_asked_by_every_request(
        self, store: Counting, authenticator: Authenticator, time: VirtualTime
    ) -> None:
        _, text = await make(store)
        await authenticator.authenticate(text)
        store.available = False
        await time.advance(10)
        for _ in range(50):
            await authenticator.authenticate(text)
        assert store.asked == 2

    async def test_what_is_remembered_is_bounded(self, store: Counting, time: VirtualTime) -> None:
        authenticator = Authenticator(store, PEPPER, "test", time, remembered=2)
        texts = [(await make(store, f"n{n}", role="operator"))[1] for n in range(3)]
        for text in texts:
            await authenticator.authenticate(text)
        store.asked = 0
        for text in reversed(texts):
            await authenticator.authenticate(text)
        assert store.asked == 1


class TestPepper:
    def test_that_of_the_settings(self, tmp_path: Path) -> None:
        assert load_pepper(Settings.model_validate({"home": tmp_path, "pepper": "given"})) == b"given"

    def test_else_a_file_that_only_its_owner_reads_made_once(self, tmp_path: Path) -> None:
        settings = Settings.model_validate({"home": tmp_path / "home"})
        made = load_pepper(settings)
        assert len(made) == 64
        assert load_pepper(settings) == made
        (file,) = (tmp_path / "home").iterdir()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def test_those_who_race_see_one(self, tmp_path: Path) -> None:
        with ThreadPoolExecutor(16) as pool:
            seen = set(pool.map(lambda _: secret_file(tmp_path / "secret"), range(64)))
        assert len(seen) == 1
        assert [file.name for file in tmp_path.iterdir()] == ["secret"]
