"""The script of the demo: which event is posted when. Pure: the same seed and start give the same script."""

import hashlib
import heapq
from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from examples.simulator.stories import CALM, OPENING, In, Moment, Story, Trade
from shared.sla.instants import SECOND, format_instant

CALM_FROM_S = 60.0
CALM_GAP_S = 6.0  # between two new cases, on average, at speed 1


class Step(NamedTuple):
    """An event (CloudEvents JSON object), and when to post it, in seconds from the start."""

    offset_s: float
    event: dict[str, object]


def script(seed: int, start: int, speed: float = 1.0) -> Iterator[Step]:
    """The steps in order of posting, without end. `start` is the instant (ms since 1970) of offset 0.

    `speed` makes new cases of the calm phase come so many times as often; what happens within a case keeps its pace, as the targets do.
    Ids and cases carry the start, so that a second run does not speak of the cases of the first.
    """
    waiting: list[tuple[float, int, Step]] = []
    posted = 0  # tells steps of one instant apart, in the order in which they were written
    for number, (begins_s, story) in enumerate(_stories(seed, speed), 1):
        while waiting and waiting[0][0] <= begins_s:
            yield heapq.heappop(waiting)[2]
        trade, moments = story(Random(f"{seed}/{number}"))  # noqa: S311 - a demo's dice, not a secret
        case = f"{trade.prefix}-{start // SECOND % 1_000_000:06d}-{number}"
        for moment in moments:
            posted += 1
            offset_s = begins_s + moment.after_s + moment.told_late_s
            event = _event(trade, case, moment, start + int(begins_s * SECOND), f"{seed}/{start}/{posted}")
            heapq.heappush(waiting, (offset_s, posted, Step(offset_s, event)))


def _stories(seed: int, speed: float) -> Iterator[tuple[float, Story]]:
    """(second at which it begins, story), ascending: the opening, then the calm phase."""
    yield from OPENING
    rng = Random(seed)  # noqa: S311 - a demo's dice, not a secret
    stories, weights = zip(*CALM, strict=True)
    at_s = CALM_FROM_S
    while True:
        yield at_s, rng.choices(stories, weights)[0]
        at_s += min(rng.expovariate(1 / CALM_GAP_S), 4 * CALM_GAP_S) / speed


def _event(trade: Trade, case: str, moment: Moment, begins: int, identity: str) -> dict[str, object]:
    """The CloudEvent of a moment in a story that begins at the instant `begins`."""
    event: dict[str, object] = {
        "specversion": "1.0",
        "id": hashlib.blake2b(identity.encode(), digest_size=12).hexdigest(),
        "source": trade.source,
        "type": moment.type,
        "subject": case,
        "time": _instant(begins, moment.after_s),
        "vendor": trade.vendor,
        "service": trade.service,
    }
    if moment.data:
        data = {name: _instant(begins, value.seconds) if isinstance(value, In) else value for name, value in moment.data.items()}
        event |= {"datacontenttype": "application/json", "data": data}
    return event


def _instant(begins: int, after_s: float) -> str:
    return format_instant(begins + int(after_s * SECOND))
