"""A deadline that nothing but time breaks: verdict and delivery arrive, at once."""

from pathlib import Path
from statistics import median

from tests.acceptance.alarms import delays


async def test_a_due_clock_is_told_at_once_although_nothing_happens(tmp_path: Path, kafka: str, database_url: str) -> None:
    found = await delays(tmp_path, kafka, database_url)

    assert found[0] > 0, "never before due + grace"
    assert median(found) < 100, f"milliseconds: {[round(ms) for ms in found]}"
    assert found[-1] < 500, f"milliseconds: {[round(ms) for ms in found]}"
