"""What a breach will cost by its objective's penalty, for messages: an estimate; the ledger of credits is what counts."""

import math
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final, NamedTuple

from shared.sla.terms import Money, Objective, Penalty, Tier
from shared.wire.verdicts import VerdictData

_WHOLE: Final = frozenset(("CLP", "ISK", "JPY", "KRW", "PYG", "UGX", "VND", "XAF", "XOF", "XPF"))  # currencies without a minor unit
_THREE: Final = frozenset(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"))
HOUR_S: Final = 3_600


class Cost(NamedTuple):
    """Texts such as `500 CNY`; empty where there is nothing to say. `amount`: as it stands; `rate`: for each further hour late, while it
    is open; `most`: the cap, while it is open and grows; `share`: of the period's fee, instead of an amount."""

    amount: str = ""
    rate: str = ""
    most: str = ""
    share: str = ""


def estimate(objective: Objective, data: VerdictData) -> Cost | None:
    """The cost of the breach as the verdict tells it; None where the agreement names none, or nothing is broken."""
    penalty = objective.penalty
    if penalty is None or data.state not in ("breached", "breached_closed"):
        return None
    if penalty.tiers:
        return _tiers(penalty.tiers, data.value)
    currency = next((money.currency for money in (penalty.per_breach, penalty.per_hour_late) if money is not None), "")
    if not currency:
        return None
    amount = _decimal(penalty.per_breach) + _decimal(penalty.per_hour_late) * _hours(penalty, data)
    if penalty.at_most is not None:
        amount = min(amount, _decimal(penalty.at_most))
    grows = data.stopped is None and penalty.per_hour_late is not None
    return Cost(
        amount=money_text(amount, currency),
        rate=_text(penalty.per_hour_late) if grows else "",
        most=_text(penalty.at_most) if grows else "",
    )


def money_text(amount: Decimal, currency: str) -> str:
    """`500 CNY`, `62.50 CNY`: half-up to the currency's minor unit, which is left out where it is zero."""
    places = 0 if currency in _WHOLE else 3 if currency in _THREE else 2
    rounded = amount.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    shown = rounded.quantize(Decimal(1)) if rounded == rounded.to_integral_value() else rounded
    return f"{shown:,f} {currency}"


def _decimal(money: Money | None) -> Decimal:
    return Decimal(money.amount) if money is not None else Decimal(0)


def _text(money: Money | None) -> str:
    return money_text(Decimal(money.amount), money.currency) if money is not None else ""


def _hours(penalty: Penalty, data: VerdictData) -> Decimal:
    """Working hours late so far."""
    hours = Decimal(str(data.late_s or 0)) / HOUR_S
    return Decimal(math.ceil(hours)) if penalty.per_started_hour else hours


def _tiers(tiers: tuple[Tier, ...], value: Any) -> Cost | None:
    """The furthest tier that the level's value is in."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    level = Decimal(str(value))
    low = [tier for tier in tiers if (tier.op == "<" and level < Decimal(tier.value)) or (tier.op == "<=" and level <= Decimal(tier.value))]
    high = [
        tier for tier in tiers if (tier.op == ">" and level > Decimal(tier.value)) or (tier.op == ">=" and level >= Decimal(tier.value))
    ]
    if not low and not high:
        return None
    tier = min(low, key=lambda each: Decimal(each.value)) if low else max(high, key=lambda each: Decimal(each.value))
    if tier.amount is not None:
        return Cost(amount=_text(tier.amount))
    share = (Decimal(tier.share or 0) * 100).normalize()
    return Cost(share=f"{share:f}%")
