"""Collect instructions and evaluation questions: two outputs, each at an address of its own."""

from typing import NamedTuple

from components.collect.benchmarks.import_benchmarks import import_benchmarks
from components.collect.benchmarks.open_sets import open_sets
from components.collect.settings import CollectSettings
from components.collect.sources.read_sources import read_sources
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Cost, Manifest


class Collected(NamedTuple):
    """The manifests of both outputs."""

    dataset: Manifest
    benchmarks: Manifest

    @property
    def address(self) -> str:
        """Where the instructions are stored."""
        return self.dataset.address

    @property
    def cost(self) -> Cost:
        """The cost of both outputs."""
        return Cost(seconds=self.dataset.cost.seconds + self.benchmarks.cost.seconds)


def collect_data(library: Library, settings: CollectSettings) -> Collected:
    """Collect both; an output that is already complete is not read again.

    Args:
        library: where outputs are stored.
        settings: sources and evaluation sets. Each output's address depends only on its own part of them.

    Raises:
        InputError: a source or evaluation set is missing, unreadable, or has too many bad rows.
        StoreError: a store refuses access or is unreachable.
    """
    # Evaluation sets are small: read first, so that a fault in them is found early. Rows that are held out of the
    # sources come later, but a wrong URI still fails first.
    sets = open_sets(settings.benchmark_part)
    if settings.holdout is None:
        benchmarks = import_benchmarks(library, settings.benchmark_part, sets)
        return Collected(read_sources(library, settings.dataset_part), benchmarks)
    dataset = read_sources(library, settings.dataset_part)
    return Collected(dataset, import_benchmarks(library, settings.benchmark_part, sets, dataset))
