"""Blind time: what falls due while our own door is shut waits (engine.md, "Blind time"). Pure; of one partition's log.

    last pulse   + 15 s                            a pulse again       + 2 min
    ────┴──────────┴────────────────────────────────┴────────────────────┴────────►  log time
       may be called│◄────────── blind time ───────►│◄──── catch-up ────►│ here is called what fell due in blind time

ingest appends a pulse every 5 s. Without any in the log the rule rests. Instants in ms.
"""

from typing import Final, NamedTuple

from shared.sla.instants import MINUTE, SECOND, format_instant, or_none_instant

PULSE_LATE: Final = 15 * SECOND
CATCH_UP: Final = 2 * MINUTE


class Blind(NamedTuple):
    """A stretch of blind time, both ends excluded; `end` None: the door is still shut."""

    start: int
    end: int | None

    @property
    def release(self) -> int | None:
        """When what fell due in it is called, if nothing disproves it."""
        return None if self.end is None else self.end + CATCH_UP

    def told(self) -> dict[str, str | None]:
        """As a verdict tells it."""
        return {"from": format_instant(self.start), "until": or_none_instant(self.end)}


class Door:
    """What the pulses of one partition tell."""

    __slots__ = ("last_pulse", "stretches")

    def __init__(self) -> None:
        self.last_pulse: int | None = None  # log time
        self.stretches: list[Blind] = []  # ended, and their catch-up not yet over at the last pulse

    def pulse(self, log_time: int) -> Blind | None:
        """A pulse arrived; the blind time that it ends, if any. `log_time` never goes back."""
        last, self.last_pulse = self.last_pulse, log_time
        self.stretches = [blind for blind in self.stretches if (blind.release or 0) > log_time]
        if last is None or log_time - last <= PULSE_LATE:
            return None
        ended = Blind(last + PULSE_LATE, log_time)
        self.stretches.append(ended)
        return ended

    def blind_at(self, instant: int) -> Blind | None:
        """The blind time that holds an instant log time has passed; None: the door was open then, or stretch and catch-up are long over."""
        if self.last_pulse is None:
            return None
        if instant > self.last_pulse + PULSE_LATE:
            return Blind(self.last_pulse + PULSE_LATE, None)
        return next((blind for blind in self.stretches if blind.end is not None and blind.start < instant < blind.end), None)
