"""Fixtures of tests that look at a whole notifier."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

from tests.integration.console_kit import ARGUMENTS, CHROMIUM
from tests.integration.notifier_kit import Notifier, notifier


@pytest.fixture
async def running(kafka: str, database_url: str, unique: str, tmp_path: Path) -> AsyncIterator[Notifier]:
    """A notifier without channels."""
    async with notifier(kafka, database_url, unique, tmp_path) as it:
        yield it


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Debian's chromium."""
    async with async_playwright() as playwright:
        it = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield it
        await it.close()
