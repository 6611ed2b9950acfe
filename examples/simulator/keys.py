"""The vendors' API keys, from the environment: they never stand on a command line, where other users could read them."""

import json
from collections.abc import Iterable, Mapping


class MissingKeys(Exception):
    """Keys that are missing or unreadable; the message says which variables to set."""


def variable(vendor: str) -> str:
    """The vendor's own variable: acme-desk -> SIM_KEY_ACME_DESK."""
    return "SIM_KEY_" + vendor.upper().replace("-", "_")


def keys_of(vendors: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Key by vendor, from SIM_KEYS (one JSON object) and SIM_KEY_<VENDOR>, which comes first. Raises MissingKeys."""
    try:
        together = json.loads(environ.get("SIM_KEYS") or "{}")
    except json.JSONDecodeError as wrong:
        raise MissingKeys(f"SIM_KEYS is not JSON: {wrong}") from None
    if not isinstance(together, dict):
        raise MissingKeys('SIM_KEYS must be an object such as {"payday": "slw_..."}')
    keys = {vendor: str(environ.get(variable(vendor)) or together.get(vendor) or "") for vendor in vendors}
    missing = [vendor for vendor, key in keys.items() if not key]
    if missing:
        names = ", ".join(f"{variable(vendor)} for {vendor}" for vendor in missing)
        raise MissingKeys(f"no API key: set {names} (or all in SIM_KEYS, as JSON); `slawatch keys create` makes them")
    return keys
