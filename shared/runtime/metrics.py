"""What the metrics of all services share: a registry that shows the process too, and labels that stay few whatever the world sends."""

from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, disable_created_metrics

OTHER: Final = "other"
VENDORS_MAX: Final = 1_000  # vendors that one process tells apart


def process_registry() -> CollectorRegistry:
    """A registry that holds the process's own metrics: memory, processor, open files, garbage collection."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # one more series for each counter, which nobody reads
    registry = CollectorRegistry()
    for collector in (GCCollector, PlatformCollector, ProcessCollector):
        collector(registry=registry)
    return registry


class FewValues:
    """The values of one label: the first `most` are told apart, all later ones are `other`.

    Names that come from outside (a vendor, as a customer's key may post for any) would else make series without end.
    """

    def __init__(self, most: int = VENDORS_MAX) -> None:
        self._most = most
        self._told: set[str] = set()

    def __call__(self, value: str) -> str:
        """The label for a value; it is told apart from now on, if there is room."""
        if value in self._told:
            return value
        if len(self._told) >= self._most:
            return OTHER
        self._told.add(value)
        return value

    def known(self, value: str) -> str:
        """The label for a value that nobody vouches for: `other` unless it is told apart already."""
        return value if value in self._told else OTHER
