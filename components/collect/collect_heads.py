"""Collect only the first records of each source, for a preview: a source may be huge, and is not read to its end."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from components.collect.benchmarks.import_benchmarks import import_benchmarks
from components.collect.collect import Collected
from components.collect.files.data_file import identify_files
from components.collect.files.records import Found
from components.collect.settings import CollectSettings, DatasetSettings
from components.collect.source_settings import HUB, Source
from components.collect.sources.open_source import OpenSource, RecordStream, open_source
from components.collect.sources.read_sources import read_sources
from components.collect.step import STEP
from components.shared.log import say
from components.shared.outputs.library import Library


class HeadSettings(DatasetSettings):
    """Settings of the instructions of a preview. Any share may be rejected: a preview shows what is rejected."""

    head_records: int


@dataclass(frozen=True)
class RecordCount:
    """Records of a source; not exact: there are more, which were not counted."""

    records: int
    exact: bool


def collect_heads(library: Library, settings: CollectSettings, records: int) -> Collected:
    """Collect as `collect_data` does, but only from the first records of each source.

    Sources are identified by names, sizes and times of their files, since a digest would read all of them. Evaluation
    sets are read completely. Nothing is held out: which rows are depends on all rows of a source.

    Args:
        library: where outputs are stored.
        settings: of the step.
        records: of each source, rejected ones included.

    Raises:
        InputError: a source or evaluation set is missing or unreadable.
        EmptyDataError: none of the records is usable.
        StoreError: a store refuses access or is unreachable.
    """
    benchmarks = import_benchmarks(library, settings.benchmark_part)
    if settings.holdout is not None:
        say(STEP.name, "the first records include rows that the run may hold out for evaluation")
    part = {**dict(settings.dataset_part), "holdout": None, "max_rejected_share": 1.0, "head_records": records}
    return Collected(read_sources(library, HeadSettings(**part), partial(_open_head, records=records)), benchmarks)


def count_records(source: Source, settings: DatasetSettings, most: int) -> RecordCount | None:
    """The records of a source up to `most` of them, and up to its own limit; None for the hub, which is not asked."""
    if source.uri.startswith(HUB):
        return None
    opened = open_source(source, identify_files)
    limit = min(most, source.limit) if source.limit else most
    streams = opened.readings(settings.max_characters)
    counted = sum(1 for _ in itertools.islice((one for stream in streams for one in stream.records()), limit + 1))
    return RecordCount(min(counted, limit), exact=counted <= limit or limit == source.limit)


def _open_head(source: Source, records: int) -> OpenSource:
    opened = open_source(source, identify_files)
    return replace(opened, readings=partial(_first_records, opened.readings, records))


def _first_records(
    readings: Callable[[int], Iterator[RecordStream]], records: int, max_characters: int
) -> Iterator[RecordStream]:
    """The files that hold the first records, each with a stream that ends after the last of them."""
    left = records

    def limited(stream: RecordStream) -> Found:
        nonlocal left
        for record in itertools.islice(stream.records(), left):
            left -= 1
            yield record

    for stream in readings(max_characters):
        if left > 0:
            yield replace(stream, records=partial(limited, stream))
