"""What can happen at a vendor: short stories of one case each, fitted to the targets of `examples/demo/agreements.yaml`.

Seconds count from the story's beginning. A story says what happens and when; the numbers, names and places vary with `rng`.
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import NamedTuple

NOTHING: Mapping[str, object] = {}


class In(NamedTuple):
    """In a moment's data: the instant so many seconds after the story's beginning."""

    seconds: float


class Moment(NamedTuple):
    """One event. It happens at `after_s`; the vendor's system tells it `told_late_s` later."""

    after_s: float
    type: str
    data: Mapping[str, object] = NOTHING
    told_late_s: float = 0.0


class Trade(NamedTuple):
    """A vendor, and how its cases are called."""

    vendor: str
    service: str
    source: str
    prefix: str


Story = Callable[[Random], tuple[Trade, list[Moment]]]

DESK = Trade("acme-desk", "helpdesk", "/acme/ticketing", "INC")
PARCELS = Trade("swift-parcels", "delivery", "/swift/tracking", "PKG")
PAYRUNS = Trade("payday", "payroll", "/payday/processes", "RUN")
QUERIES = Trade("payday", "payroll", "/payday/processes", "QRY")
HOSTING = Trade("northhost", "web-platform", "/northhost/status", "OUT")
ROOMS = Trade("campus-move", "campus-logistics", "/campus-move/jobs", "SET")
SPILLS = Trade("campus-move", "campus-logistics", "/campus-move/jobs", "SPILL")
VENDORS = tuple(sorted({trade.vendor for trade in (DESK, PARCELS, PAYRUNS, QUERIES, HOSTING, ROOMS, SPILLS)}))


def _ticket(rng: Random, priority: str) -> dict[str, object]:
    return {
        "priority": priority,
        "region": rng.choice(("de-north", "de-south", "de-west")),
        "category": rng.choice(("mail", "network", "access")),
    }


def ticket_solved(rng: Random) -> tuple[Trade, list[Moment]]:
    return DESK, [
        Moment(0, "ticket.opened", _ticket(rng, "P2")),
        Moment(rng.uniform(3, 8), "ticket.replied"),
        Moment(rng.uniform(15, 30), "ticket.resolved"),
    ]


def ticket_answered_late(rng: Random) -> tuple[Trade, list[Moment]]:
    return DESK, [
        Moment(0, "ticket.opened", _ticket(rng, "P1")),
        Moment(rng.uniform(14, 16), "ticket.replied"),
        Moment(rng.uniform(17, 19), "ticket.resolved"),
    ]


def ticket_solved_late(rng: Random) -> tuple[Trade, list[Moment]]:
    return DESK, [
        Moment(0, "ticket.opened", _ticket(rng, "P1")),
        Moment(rng.uniform(2, 6), "ticket.replied"),
        Moment(rng.uniform(34, 70), "ticket.resolved"),
    ]


def ticket_waits_for_customer(rng: Random) -> tuple[Trade, list[Moment]]:
    """50 s by the wall clock, 30 s by the contract: met."""
    return DESK, [
        Moment(0, "ticket.opened", _ticket(rng, "P2")),
        Moment(rng.uniform(3, 8), "ticket.replied"),
        Moment(10, "ticket.waiting_customer", {"reason": "screenshot"}),
        Moment(30, "ticket.customer_replied"),
        Moment(rng.uniform(48, 52), "ticket.resolved"),
    ]


def ticket_raised(rng: Random) -> tuple[Trade, list[Moment]]:
    """A P2 becomes a P1 on the way: what was used stays used, and the shorter target is missed."""
    return DESK, [
        Moment(0, "ticket.opened", _ticket(rng, "P2")),
        Moment(rng.uniform(3, 8), "ticket.replied"),
        Moment(12, "ticket.priority_changed", {"priority": "P1"}),
        Moment(rng.uniform(26, 32), "ticket.resolved"),
    ]


def ticket_reopened(rng: Random) -> tuple[Trade, list[Moment]]:
    return DESK, [
        Moment(0, "ticket.opened", _ticket(rng, "P2")),
        Moment(rng.uniform(3, 8), "ticket.replied"),
        Moment(15, "ticket.resolved"),
        Moment(25, "ticket.reopened"),
        Moment(rng.uniform(32, 40), "ticket.resolved"),
    ]


def ticket_withdrawn(rng: Random) -> tuple[Trade, list[Moment]]:
    return DESK, [
        Moment(0, "ticket.opened", _ticket(rng, "P2")),
        Moment(rng.uniform(4, 12), "ticket.cancelled", {"reason": "caller withdrew"}),
    ]


def _order(rng: Random, promised_s: float) -> dict[str, object]:
    return {"promised_at": In(promised_s), "region": rng.choice(("us-east", "us-west")), "parcels": rng.randint(1, 3)}


def parcel_in_time(rng: Random) -> tuple[Trade, list[Moment]]:
    return PARCELS, [
        Moment(0, "order.placed", _order(rng, 20)),
        Moment(rng.uniform(3, 6), "parcel.picked_up"),
        Moment(rng.uniform(10, 18), "parcel.delivered", {"damaged": False}),
    ]


def parcel_late(rng: Random) -> tuple[Trade, list[Moment]]:
    return PARCELS, [
        Moment(0, "order.placed", _order(rng, 20)),
        Moment(rng.uniform(3, 6), "parcel.picked_up"),
        Moment(rng.uniform(28, 60), "parcel.delivered", {"damaged": rng.random() < 0.2}),
    ]


def parcel_scanner_offline(rng: Random) -> tuple[Trade, list[Moment]]:
    """Delivered in time, but the courier's scanner had no network: the breach is called, then retracted."""
    return PARCELS, [
        Moment(0, "order.placed", _order(rng, 12)),
        Moment(rng.uniform(2, 4), "parcel.picked_up"),
        Moment(10, "parcel.delivered", {"damaged": False}, told_late_s=10),
    ]


def parcel_rescheduled(rng: Random) -> tuple[Trade, list[Moment]]:
    return PARCELS, [
        Moment(0, "order.placed", _order(rng, 18)),
        Moment(8, "order.rescheduled", {"promised_at": In(35)}),
        Moment(rng.uniform(26, 33), "parcel.delivered", {"damaged": False}),
    ]


def payrun_in_time(rng: Random) -> tuple[Trade, list[Moment]]:
    return PAYRUNS, [
        Moment(0, "payrun.approved", {"employees": rng.randint(80, 900)}),
        Moment(rng.uniform(12, 27), "payslips.issued"),
    ]


def payrun_late(rng: Random) -> tuple[Trade, list[Moment]]:
    return PAYRUNS, [
        Moment(0, "payrun.approved", {"employees": rng.randint(80, 900)}),
        Moment(rng.uniform(38, 60), "payslips.issued"),
    ]


def query_sent_back(rng: Random) -> tuple[Trade, list[Moment]]:
    """The first answer does not help: the clock begins anew."""
    return QUERIES, [
        Moment(0, "query.opened", {"topic": rng.choice(("tax", "bonus", "leave"))}),
        Moment(rng.uniform(8, 12), "query.answered"),
        Moment(18, "query.rejected", {"reason": "does not answer the question"}),
        Moment(rng.uniform(28, 36), "query.answered"),
    ]


def _incident(rng: Random, severity: str) -> dict[str, object]:
    return {"severity": severity, "region": rng.choice(("eu-west", "us-east")), "component": rng.choice(("checkout", "login", "search"))}


def outage_ended(rng: Random) -> tuple[Trade, list[Moment]]:
    return HOSTING, [
        Moment(0, "incident.started", _incident(rng, "sev2")),
        Moment(rng.uniform(3, 8), "incident.acknowledged"),
        Moment(rng.uniform(18, 35), "incident.ended"),
    ]


def outage_unacknowledged(rng: Random) -> tuple[Trade, list[Moment]]:
    return HOSTING, [
        Moment(0, "incident.started", _incident(rng, "sev2")),
        Moment(rng.uniform(15, 18), "incident.acknowledged"),
        Moment(rng.uniform(25, 35), "incident.ended"),
    ]


def outage_long(rng: Random) -> tuple[Trade, list[Moment]]:
    return HOSTING, [
        Moment(0, "incident.started", _incident(rng, "sev1")),
        Moment(rng.uniform(3, 8), "incident.acknowledged"),
        Moment(rng.uniform(30, 60), "incident.ended"),
    ]


def outage_waits_for_customer(rng: Random) -> tuple[Trade, list[Moment]]:
    return HOSTING, [
        Moment(0, "incident.started", _incident(rng, "sev2")),
        Moment(rng.uniform(3, 8), "incident.acknowledged"),
        Moment(12, "incident.waiting_customer"),
        Moment(32, "incident.customer_answered"),
        Moment(rng.uniform(45, 55), "incident.ended"),
    ]


def _setup(rng: Random, starts_s: float) -> dict[str, object]:
    return {"event_starts_at": In(starts_s), "room": rng.choice(("A-101", "A-204", "Aula", "Lab-3")), "seats": rng.randrange(20, 200, 10)}


def room_ready(rng: Random) -> tuple[Trade, list[Moment]]:
    return ROOMS, [
        Moment(0, "setup.requested", _setup(rng, 30)),
        Moment(rng.uniform(18, 28), "setup.completed"),
    ]


def room_moved_forward(rng: Random) -> tuple[Trade, list[Moment]]:
    """The event begins earlier than first said, and the room is not ready."""
    return ROOMS, [
        Moment(0, "setup.requested", _setup(rng, 40)),
        Moment(8, "setup.moved", {"event_starts_at": In(20)}),
        Moment(rng.uniform(27, 40), "setup.completed"),
    ]


def spill_cleaned(rng: Random) -> tuple[Trade, list[Moment]]:
    return SPILLS, [
        Moment(0, "spill.reported", {"building": rng.choice(("Chemistry", "Canteen", "Library"))}),
        Moment(rng.uniform(6, 13), "spill.cleaned"),
    ]


def spill_cleaned_late(rng: Random) -> tuple[Trade, list[Moment]]:
    return SPILLS, [
        Moment(0, "spill.reported", {"building": rng.choice(("Chemistry", "Canteen", "Library"))}),
        Moment(rng.uniform(22, 50), "spill.cleaned"),
    ]


# The first minute, always the same: everything slawatch can say about a deadline is said within two. (second, story)
OPENING: tuple[tuple[float, Story], ...] = (
    (0.5, ticket_answered_late),
    (1.0, parcel_in_time),
    (2.0, outage_ended),
    (3.0, payrun_in_time),
    (4.0, room_ready),
    (5.0, parcel_scanner_offline),
    (8.0, ticket_waits_for_customer),
    (10.0, outage_unacknowledged),
    (14.0, parcel_late),
    (18.0, spill_cleaned_late),
    (22.0, payrun_late),
    (26.0, ticket_solved_late),
    (30.0, outage_waits_for_customer),
    (34.0, ticket_withdrawn),
    (38.0, query_sent_back),
    (42.0, room_moved_forward),
    (46.0, parcel_rescheduled),
    (52.0, ticket_reopened),
)

# Afterwards, for ever: mostly good days. (story, weight)
CALM: tuple[tuple[Story, int], ...] = (
    (ticket_solved, 8),
    (ticket_waits_for_customer, 3),
    (ticket_reopened, 2),
    (ticket_raised, 1),
    (ticket_withdrawn, 1),
    (ticket_answered_late, 1),
    (ticket_solved_late, 1),
    (parcel_in_time, 8),
    (parcel_rescheduled, 2),
    (parcel_late, 2),
    (parcel_scanner_offline, 1),
    (payrun_in_time, 4),
    (payrun_late, 1),
    (query_sent_back, 2),
    (outage_ended, 4),
    (outage_waits_for_customer, 2),
    (outage_unacknowledged, 1),
    (outage_long, 1),
    (room_ready, 5),
    (room_moved_forward, 1),
    (spill_cleaned, 4),
    (spill_cleaned_late, 1),
)
