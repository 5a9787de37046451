"""Open a source: what it is as an input, and its files as streams of records."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from components.collect.choose_files import Wanted, choose_files
from components.collect.encodings import AUTO
from components.collect.files import DataFile, digest_files
from components.collect.formats.format import Format
from components.collect.formats.registry import FORMATS, format_of
from components.collect.hub import hub_parent, read_hub, resolve_revision
from components.collect.records import Found, raw_limit
from components.collect.settings import HUB, Source
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
    """A source whose place and content are known; nothing is read into memory.

    `unread` names the files of its folder that are not read, each with the reason.
    """

    source: Source
    parent: Parent
    readings: Callable[[int], Iterator[Reading]]
    unread: Mapping[str, str] = field(default_factory=dict)


def open_source(source: Source) -> OpenSource:
    """Find a source's files and digest them.

    Raises:
        InputError: nothing is there, its format is not known, or files would be left unread that hold rows.
        StoreError: the store refuses or cannot be reached.
    """
    if source.uri.startswith(HUB):
        commit = resolve_revision(source)
        reading = Reading(source.split, "hub", partial(read_hub, source, commit))
        return OpenSource(source, hub_parent(source, commit), lambda _: iter([reading]))
    chosen = choose_files(source.uri, _wanted(source))
    files = [replace(file, encoding=source.encoding) for file in chosen.files]
    formats = [_known_format(source, file) for file in files]

    def readings(max_characters: int) -> Iterator[Reading]:
        limit = raw_limit(max_characters)
        for file, known in zip(files, formats, strict=True):
            yield Reading(file.name, known.name, partial(known.read, file, limit))

    return OpenSource(source, digest_files(source.uri, files), readings, chosen.unread)


def _wanted(source: Source) -> Wanted:
    """What is wanted of a folder: files of the named format, or of any known one."""

    def is_data(name: str) -> bool:
        found = format_of(name)
        return found is not None and source.format in {AUTO, found.name}

    return Wanted(source.name, source.split, source.subset, is_data, source.format != AUTO)


def _known_format(source: Source, file: DataFile) -> Format:
    known = format_of(file.name) if source.format == AUTO else FORMATS[source.format]
    if known is None:
        raise InputError(
            f"source {source.name!r}: the suffix of {file.uri} means no known format",
            allowed=[suffix for each in FORMATS.values() for suffix in each.suffixes],
            remedy="name the source's `format`",
        )
    return known
