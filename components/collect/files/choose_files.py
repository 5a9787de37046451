"""Choose the files of a folder that are read: those of one split and configuration.

A folder may be a clone of a hub data set (its README names configurations, or its file names their splits), a data set
that `save_to_disk` wrote, or plain files. Files that are not read are listed with the reason. A file that holds rows in
an unsupported form is an error.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from components.collect.files.data_file import DataFile, is_hidden, list_files, nothing_there, shown
from components.collect.files.splits import ABOUT, Splits, canonical_split, saved_files, splits_of
from components.collect.files.unpack import plain_name
from components.shared.errors import InputError

MAC_FILES = ("._", "__MACOSX")
DOCUMENTS = ("readme", "license", "licence", "notice")
UNREADABLE = (
    *(".zip", ".tar", ".tgz", ".tbz2", ".txz", ".7z", ".rar", ".lz4", ".br", ".z", ".lzo", ".sz", ".snappy"),
    *(".xlsx", ".xls", ".ods", ".avro", ".orc", ".pkl", ".pickle", ".npy", ".npz", ".tfrecord", ".db", ".sqlite"),
)
"""Suffixes of files that may hold rows in a form that no format here reads."""


@dataclass(frozen=True)
class Chosen:
    """The files of a source that are read, and those that are not, each with the reason."""

    files: list[DataFile]
    unread: dict[str, str]


@dataclass(frozen=True)
class Wanted:
    """Which files of a folder to read.

    Attributes:
        source: the source's name, for messages.
        split: the split to read.
        subset: the configuration to read; empty: the default one.
        is_data: whether a file's name has the suffix of a known format.
        any_name: the settings name the format, so files with other suffixes are read if none has a known one.
    """

    source: str
    split: str
    subset: str
    is_data: Callable[[str], bool]
    any_name: bool = False


def choose_files(uri: str, wanted: Wanted) -> Chosen:
    """Choose a source's files; a single file is read whatever its name.

    Raises:
        InputError: there is no data, the split or configuration does not exist, or files that hold rows would be left
            unread.
        StoreError: the store refuses access or is unreachable.
    """
    present, single = list_files(uri)
    if single:
        return Chosen([replace(file, split=wanted.split) for file in present], {})
    visible = [file for file in present if not is_hidden(file.name)]
    files = _data_files(visible, wanted)
    if not files:
        raise nothing_there(uri, visible)
    taken = {file.name for file in files}
    unread = {file.name: _what(file.name, wanted) for file in visible if file.name not in taken}
    _require_readable(uri, wanted, [file for file in unread if plain_name(file).endswith(UNREADABLE)])
    unread |= {file.name: "hidden" for file in present if _is_hidden_data(file.name, wanted)}
    files, caches = saved_files(visible, files)
    files, others = _of_split(uri, wanted, files, splits_of(uri, visible, files, wanted.subset))
    return Chosen(
        [replace(file, split=wanted.split) for file in files], dict(sorted((unread | caches | others).items()))
    )


def _data_files(visible: list[DataFile], wanted: Wanted) -> list[DataFile]:
    rows = [file for file in visible if PurePosixPath(file.name).name not in ABOUT]
    found = [file for file in rows if wanted.is_data(file.name)]
    if found or not wanted.any_name:
        return found
    return [file for file in rows if not PurePosixPath(file.name).name.lower().startswith(DOCUMENTS)]


def _what(name: str, wanted: Wanted) -> str:
    """Why a file does not count as data."""
    own = PurePosixPath(name).name
    if own in ABOUT or own.lower().startswith(DOCUMENTS):
        return "describes the data"
    return "not of the named format" if wanted.any_name else "unknown format"


def _is_hidden_data(name: str, wanted: Wanted) -> bool:
    """Whether a hidden file looks like data, unless macOS wrote it."""
    left_by_mac = any(part.startswith(MAC_FILES) for part in name.split("/"))
    return is_hidden(name) and wanted.is_data(name) and not left_by_mac


def _require_readable(uri: str, wanted: Wanted, unreadable: list[str]) -> None:
    if unreadable:
        raise InputError(
            f"source {wanted.source!r}: {uri} holds files that cannot be read: {shown(unreadable)}",
            rule="a file that holds rows is never skipped silently",
            remedy="unpack or convert them, move them elsewhere, or make each file to read a source of its own",
        )


def _of_split(uri: str, wanted: Wanted, files: list[DataFile], splits: Splits) -> tuple[list[DataFile], dict[str, str]]:
    """The files of the wanted split, and the others with theirs."""
    names = {wanted.split, canonical_split(wanted.split)}
    taken = [file for file in files if splits.of(file.name) in names]
    if not taken:
        raise InputError(
            f"source {wanted.source!r}: {uri} has no split {wanted.split!r}",
            rule="only files of one split are read, so that test data does not leak into training",
            allowed=splits.names,
            remedy="set `split` to one of these, or `uri` to the file to read",
        )
    chosen = {file.name for file in taken}
    return taken, {file.name: splits.reason(file.name) for file in files if file.name not in chosen}
