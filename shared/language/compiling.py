"""From the fields of an agreement that was read without a problem to its terms: defaults resolved, shorthands spelt out."""

from typing import Any, Final

import msgspec

from shared.language import checks
from shared.language.calendars import ALWAYS
from shared.language.readers import Fields
from shared.sla.terms import Agreement

_HEADER: Final = ("apiVersion", "kind", "description", "effective", "objectives")


def compile_agreement(fields: Fields) -> Agreement:
    """The terms. `fields` passed all checks, so that this cannot fail."""
    zone = fields.get("timezone", "UTC")
    calendar = fields.get("calendar", ALWAYS)
    period = fields.get("period", "month")
    effective = fields.get("effective", {})
    bounds = {f"effective_{key}": checks.instant_of(effective[key], zone, last=key == "to") for key in ("from", "to") if key in effective}
    plain = {key: value for key, value in fields.items() if key not in _HEADER and not key.startswith("x-")}
    objectives = [_objective(objective, calendar, period) for objective in fields["objectives"]]
    return msgspec.convert({"version": 1, "service": ["*"], "timezone": zone, **plain, **bounds, "objectives": objectives}, Agreement)


def _objective(fields: Fields, default_calendar: str, period: str) -> dict[str, Any]:
    plain: dict[str, Any] = {**fields, "calendar": fields.get("calendar", default_calendar)}
    if "labels" in fields:
        plain["labels"] = dict(fields["labels"])
    if "penalty" in fields:
        plain["penalty"] = _penalty(fields["penalty"])
    if "reward" in fields:
        plain["reward"] = {"tiers": [_tier(tier, "bonus") for tier in fields["reward"]["tiers"]]}
    if "earn_back" in fields:
        plain["earn_back"] = {"periods": fields["earn_back"]["periods"], **_edge(fields["earn_back"])}
    _by_kind(fields, plain, period)
    return plain


def _by_kind(fields: Fields, plain: dict[str, Any], period: str) -> None:
    if "targets" in fields:
        plain["targets"] = [_target(target, plain["calendar"]) for target in fields["targets"]]
    if "of" in fields:
        plain["of"] = _base(fields["of"])
    if fields.get("burn_rate") == "standard":
        plain["burn_rate"] = checks.standard_pairs(checks.burn_window(fields, period))
    if exclude := plain.pop("exclude", None):
        plain |= {"exclude_from": exclude["from"], "exclude_to": exclude["to"]}
    plain |= plain.pop("due", {})


def _target(fields: Fields, default_calendar: str) -> dict[str, Any]:
    plain = {"calendar": default_calendar, **fields}
    if plain.pop("at", None):
        plain["within"] = {**plain["within"], "same_time": True}
    return plain


def _base(fields: Fields) -> dict[str, Any]:
    """`of:` as the tagged union of terms."""
    if "objective" in fields:
        return {"of": "objective", "objective": fields["objective"]}
    events = dict(fields["events"])
    good = events.pop("good", None)
    return {"of": "events", "events": events, "good": good}


def _penalty(fields: Fields) -> dict[str, Any]:
    plain: dict[str, Any] = dict(fields)
    if isinstance(plain.get("per_started_hour"), dict):
        plain |= {"per_hour_late": plain["per_started_hour"], "per_started_hour": True}
    if "tiers" in plain:
        plain["tiers"] = [_tier(tier, "credit") for tier in plain["tiers"]]
    return plain


_EDGES: Final = {"below": "<", "above": ">", "at_least": ">=", "at_most": "<="}


def _edge(fields: Fields) -> dict[str, str]:
    """The edge of a tier or test as operator and value."""
    key = next(key for key in _EDGES if key in fields)
    return {"op": _EDGES[key], "value": fields[key]}


def _tier(fields: Fields, gain: str) -> dict[str, Any]:
    return {**_edge(fields), **fields[gain]}
