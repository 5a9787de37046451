"""Collect instructions and evaluation questions: two outputs, each at an address of its own."""

from typing import NamedTuple

from components.collect.import_benchmarks import import_benchmarks
from components.collect.read_sources import read_sources
from components.collect.settings import CollectSettings
from components.shared.manifest import Cost, Manifest


class Collected(NamedTuple):
    """The manifests of both outputs."""

    dataset: Manifest
    benchmarks: Manifest

    @property
    def address(self) -> str:
        """Where the instructions lie."""
        return self.dataset.address

    @property
    def cost(self) -> Cost:
        """What making both outputs took."""
        return Cost(seconds=self.dataset.cost.seconds + self.benchmarks.cost.seconds)


def collect_data(root: str, settings: CollectSettings) -> Collected:
    """Collect both; what is whole already is not read again.

    Args:
        root: the store's root URI.
        settings: sources and evaluation sets. What only the other output needs does not change an output's address.

    Raises:
        InputError: a source or evaluation set is not there, not readable, or has too many bad rows.
        StoreError: a store refuses or cannot be reached.
    """
    # Evaluation sets first: they are small, so a wrong URI shows before long reading.
    benchmarks = import_benchmarks(root, settings.benchmark_part)
    return Collected(read_sources(root, settings.dataset_part), benchmarks)
