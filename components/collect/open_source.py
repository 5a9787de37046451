"""Open a source: what it is as an input, and its files as streams of records."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from components.collect.files import DataFile, digest_files, find_files
from components.collect.formats.format import Format
from components.collect.formats.registry import FORMATS, format_of
from components.collect.hub import hub_parent, read_hub, resolve_revision
from components.collect.records import Found, raw_limit
from components.collect.settings import AUTO, HUB, Source
from components.shared.errors import InputError
from components.shared.manifest import Parent


@dataclass(frozen=True)
class Reading:
    """One file of a source: its path within the source, and a stream of its records."""

    name: str
    format: str
    records: Callable[[], Found]


@dataclass(frozen=True)
class OpenSource:
    """A source whose place and content are known; nothing is read into memory."""

    source: Source
    parent: Parent
    readings: Callable[[int], Iterator[Reading]]


def open_source(source: Source) -> OpenSource:
    """Find a source's files and digest them.

    Raises:
        InputError: nothing is there, or its format is not known.
        StoreError: the store refuses or cannot be reached.
    """
    if source.uri.startswith(HUB):
        commit = resolve_revision(source)
        reading = Reading(source.split, "hub", partial(read_hub, source, commit))
        return OpenSource(source, hub_parent(source, commit), lambda _: iter([reading]))
    files = find_files(source.uri, lambda name: format_of(name) is not None)
    formats = [_known_format(source, file) for file in files]

    def readings(max_characters: int) -> Iterator[Reading]:
        limit = raw_limit(max_characters)
        for file, known in zip(files, formats, strict=True):
            yield Reading(file.name, known.name, partial(known.read, file, limit))

    return OpenSource(source, digest_files(source.uri, files), readings)


def _known_format(source: Source, file: DataFile) -> Format:
    known = format_of(file.name) if source.format == AUTO else FORMATS[source.format]
    if known is None:
        raise InputError(
            f"source {source.name!r}: the suffix of {file.uri} means no known format",
            allowed=[suffix for each in FORMATS.values() for suffix in each.suffixes],
            remedy="name the source's `format`",
        )
    return known
