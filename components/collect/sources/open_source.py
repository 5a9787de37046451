"""Open a source: its digest as an input, and its files as streams of records."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from components.collect.files.choose_files import Wanted, choose_files
from components.collect.files.data_file import DataFile, digest_files
from components.collect.files.encodings import AUTO
from components.collect.files.records import Found, raw_limit
from components.collect.formats.format import Format
from components.collect.formats.registry import FORMATS, format_of
from components.collect.source_settings import HUB, Source
from components.collect.sources.hub import hub_parent, read_hub, resolve_revision
from components.shared.errors import InputError
from components.shared.outputs.manifest import Parent


@dataclass(frozen=True)
class RecordStream:
    """One file of a source: its path within the source, and a stream of its records."""

    name: str
    format: str
    records: Callable[[], Found]


@dataclass(frozen=True)
class OpenSource:
    """A source that was found and digested; its records are still to be read.

    `unread` maps the files of its folder that are not read to the reason.
    """

    source: Source
    parent: Parent
    readings: Callable[[int], Iterator[RecordStream]]
    unread: Mapping[str, str] = field(default_factory=dict)


def open_source(source: Source, digest: Callable[[str, list[DataFile]], Parent] = digest_files) -> OpenSource:
    """Find a source's files and digest them, by their content unless `digest` does it otherwise.

    Raises:
        InputError: there is no data, its format is unknown, or files that hold rows would be left unread.
        StoreError: the store refuses access or is unreachable.
    """
    if source.uri.startswith(HUB):
        commit = resolve_revision(source)
        reading = RecordStream(source.split, "hub", partial(read_hub, source, commit))
        return OpenSource(source, hub_parent(source, commit), lambda _: iter([reading]))
    chosen = choose_files(source.uri, _wanted(source))
    files = [replace(file, encoding=source.encoding) for file in chosen.files]
    formats = [_known_format(source, file) for file in files]

    def readings(max_characters: int) -> Iterator[RecordStream]:
        limit = raw_limit(max_characters)
        for file, known in zip(files, formats, strict=True):
            yield RecordStream(file.name, known.name, partial(known.read, file, limit))

    return OpenSource(source, digest(source.uri, files), readings, chosen.unread)


def _wanted(source: Source) -> Wanted:
    """What to read of a folder: files of the named format, or of any known one."""

    def is_data(name: str) -> bool:
        found = format_of(name)
        return found is not None and source.format in {AUTO, found.name}

    return Wanted(source.name, source.split, source.subset, is_data, source.format != AUTO)


def _known_format(source: Source, file: DataFile) -> Format:
    known = format_of(file.name) if source.format == AUTO else FORMATS[source.format]
    if known is None:
        raise InputError(
            f"source {source.name!r}: the suffix of {file.uri} is not one of a known format",
            allowed=[suffix for each in FORMATS.values() for suffix in each.suffixes],
            remedy="set the source's `format`",
        )
    return known
