"""Secrets that slipped into a text: keys and tokens of ours, webhooks' secrets, bearer tokens."""

import re

_SECRETS = re.compile(
    r"(slw_[a-z0-9]{1,12}_[0-9a-f]{12})_[0-9a-f]{8,}(?:_[0-9a-f]{8})?|(whsec_)[A-Za-z0-9+/=]{8,}|(?i:(bearer )[\w.~+/=-]{8,})"
)


def masked(text: str) -> str:
    """The text with `***` for what is secret; which key it was stays to be seen."""
    return _SECRETS.sub(lambda found: f"{found[1] or found[2] or found[3]}***", text)
