"""Ticks: one at a time, aimed at broker time, never a storm. Broker time in ms, this machine's in s."""

from itertools import pairwise

from services.evaluator.ticks import TickPlan, Waiting

HOUR = 3_600_000


class Broker:
    """A partition whose appends are stamped by a broker's clock, `ahead` ms from this machine's; ticks are folded as soon as appended."""

    def __init__(self, ahead: int = 0) -> None:
        self.ahead, self.now, self.offset = ahead, 100.0, 0
        self.plan = TickPlan()
        self.ticks: list[float] = []  # when they were appended

    @property
    def wall(self) -> int:
        return round(self.now * 1000) + self.ahead

    def until(self, wake_at: int, seconds: float) -> bool:
        """Tick as planned until a record has passed `wake_at` (True), for at most so many seconds."""
        end = self.now + seconds
        while self.now <= end:
            plan = self.plan.plan({0: Waiting(wake_at, self.offset)}, self.now)
            if plan.now:
                self.ticks.append(self.now)
                arrival = self.wall
                self.plan.sent(0, self.offset, arrival, wake_at, self.now)
                self.offset += 1
                if arrival > wake_at:
                    return True
            self.now += min(0.25, plan.wait or 0.25)
        return False


def test_after_a_start_one_tick_tells_broker_time_for_all_partitions() -> None:
    plan = TickPlan()
    waiting = {number: Waiting(1_000_000 + number, 5) for number in range(64)}
    assert plan.plan(waiting, 10.0).now == [0]
    plan.sent(0, 5, 500_000, 1_000_000, 10.0)
    waiting[0] = Waiting(1_000_000, 6)
    then = plan.plan(waiting, 10.0)
    assert then.now == []
    assert then.wait == 500.001


def test_no_timer_no_tick() -> None:
    assert TickPlan().plan({}, 10.0) == ([], None)


def test_a_tick_comes_right_after_its_timer() -> None:
    broker = Broker(ahead=123_456)
    assert broker.until(broker.wall + 10_000, 60)
    assert len(broker.ticks) == 2  # the first tells the time
    assert 0 < broker.now - 110 < 0.01


def test_a_tick_on_its_way_is_waited_for_whatever_stands_before_it() -> None:
    plan = TickPlan()
    plan.sent(0, 700, 50_000, 60_000, 10.0)
    assert plan.plan({0: Waiting(60_000, 300)}, 1_000.0) == ([], None)
    assert plan.plan({0: Waiting(60_000, 701)}, 1_000.0).now == [0]


def test_a_broker_set_back_by_an_hour_gets_one_tick_that_falls_short_and_then_time() -> None:
    broker = Broker()
    assert broker.until(broker.wall + 1_000, 60)
    wake_at = broker.wall + 1_000
    broker.ahead -= HOUR
    before = len(broker.ticks)
    assert broker.until(wake_at, 2 * 3_600), "the timer is stuck"
    assert len(broker.ticks) - before <= 3


def test_a_broker_set_forward_is_believed_when_a_record_says_so() -> None:
    broker = Broker()
    assert broker.until(broker.wall + 1_000, 60)
    wake_at = broker.wall + HOUR - 1_000
    broker.ahead += HOUR
    broker.plan.saw(0, broker.wall, broker.now)
    assert broker.until(wake_at, 1)


def test_neighbours_on_a_broker_whose_clock_is_ahead_do_not_hurry_it() -> None:
    """Else each of their records would cost a tick that falls short."""
    slow, ahead = Broker(), 5_000
    assert slow.until(slow.wall + 1, 1)
    slow.ticks.clear()
    wake_at = slow.wall + 2_000
    while not slow.until(wake_at, 0.1) and slow.now < 110:
        slow.plan.saw(1, slow.wall + ahead, slow.now)
    assert len(slow.ticks) <= 2


def test_a_machine_that_runs_fast_ticks_early_a_few_times_not_forever() -> None:
    broker = Broker()
    assert broker.until(broker.wall + 1, 1)
    start, wake_at, ticks = broker.now, broker.wall + 60_000, 0
    while broker.now - start < 100:
        broker.ahead = -round((broker.now - start) * 10)  # a hundredth too fast
        if broker.until(wake_at, 0.1):
            break
        ticks = len(broker.ticks)
    assert broker.wall > wake_at
    assert ticks < 6


def test_a_partition_that_went_away_is_forgotten() -> None:
    plan = TickPlan()
    plan.sent(0, 700, 50_000, 60_000, 10.0)
    plan.forget(0)
    assert plan.broker_time(0, 10.0) is None
    plan.sent(1, 3, 50_000, 60_000, 10.0)
    assert plan.plan({0: Waiting(45_000, 0)}, 10.0).now == [0], "an old tick does not count for the partition's next stay"


def test_broker_time_goes_on_with_this_machine() -> None:
    plan = TickPlan()
    plan.saw(0, 1_000, 10.0)
    assert plan.broker_time(0, 10.0) is None, "the record may be old"
    plan.sent(0, 0, 50_000, 60_000, 10.0)
    times = [plan.broker_time(0, now) for now in (10.0, 11.0, 12.5)]
    assert times == [50_000, 51_000, 52_500]
    assert all(first < second for first, second in pairwise(t or 0 for t in times))
