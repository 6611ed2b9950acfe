"""Measuring in a process of its own: its memory and its collector know nothing of what was measured before."""

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import ParamSpec, TypeVar

import psutil

from shared.cli.stack import HUGE_PAGES

P = ParamSpec("P")
R = TypeVar("R")


def apart(measure: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """What a function of a module finds in a fresh process, whose memory is what an evaluator's is."""
    os.environ["GLIBC_TUNABLES"] = HUGE_PAGES
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, *args, **kwargs).result()


def resident() -> int:
    """Bytes that this process has in memory now."""
    return int(psutil.Process().memory_info().rss)
