"""The agreements that were applied: who, when, which text; the log holds what is in force."""

from typing import Protocol

import msgspec


class AppliedAgreement(msgspec.Struct, frozen=True, kw_only=True):
    """One version of an agreement as it was applied. `document` is the YAML text, `digest` that of its compiled terms."""

    name: str
    version: int
    digest: str
    document: str
    applied_by: str
    applied_at: int  # ms since 1970
    activated_at: int | None = None  # when every partition of the log held its activation


class AgreementsUnavailable(Exception):
    """The store cannot be asked right now."""


class OtherTerms(Exception):
    """This version is stored with other terms: a changed agreement takes a new version."""


class AgreementStore(Protocol):
    async def put(self, agreement: AppliedAgreement) -> None:
        """Store a version; the same terms again change nothing, the same document with other holidays takes its place.

        Raises OtherTerms, AgreementsUnavailable.
        """

    async def activated(self, name: str, version: int, at: int) -> None:
        """Every partition holds the activation as of `at` (ms). Raises AgreementsUnavailable."""

    async def all(self) -> list[AppliedAgreement]:
        """Every version, by name and version. Raises AgreementsUnavailable."""
