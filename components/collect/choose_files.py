"""Which files of a folder are read: those of the wanted split and configuration, and no file with rows goes unseen.

A folder may be a clone of a data set of the hub (its README names configurations, or its files' names their splits), a
data set that `save_to_disk` wrote, or plain files. What is not read is listed by name, or refused where it holds rows
that nothing here can read.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from components.collect.files import DataFile, is_hidden, list_files, nothing_there, shown
from components.collect.splits import ABOUT, Splits, canonical_split, saved_files, splits_of
from components.collect.unpack import plain_name
from components.shared.errors import InputError

MAC_FILES = ("._", "__MACOSX")
DOCUMENTS = ("readme", "license", "licence", "notice")
UNREADABLE = (
    *(".zip", ".tar", ".tgz", ".tbz2", ".txz", ".7z", ".rar", ".lz4", ".br", ".z", ".lzo", ".sz", ".snappy"),
    *(".xlsx", ".xls", ".ods", ".avro", ".orc", ".pkl", ".pickle", ".npy", ".npz", ".tfrecord", ".db", ".sqlite"),
)
"""Ends of names of files that hold rows which no format here reads."""


@dataclass(frozen=True)
class Chosen:
    """The files of a source that are read, and the names of those that are not, each with the reason."""

    files: list[DataFile]
    unread: dict[str, str]


@dataclass(frozen=True)
class Wanted:
    """What of a folder is wanted.

    `source` is the source's name, for messages; `is_data` says whether a name means a known format, `any_name` that
    the format is named in the settings, so that files of other names are taken where none has the format's.
    """

    source: str
    split: str
    subset: str
    is_data: Callable[[str], bool]
    any_name: bool = False


def choose_files(uri: str, wanted: Wanted) -> Chosen:
    """Choose a source's files; a single file is taken whatever it is called.

    Raises:
        InputError: there is nothing to read, the split or configuration is not there, or files would be left unread
            that hold rows.
        StoreError: the store refuses or cannot be reached.
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
    """Why a file is not one of data."""
    own = PurePosixPath(name).name
    if own in ABOUT or own.lower().startswith(DOCUMENTS):
        return "describes the data"
    return "not of the named format" if wanted.any_name else "no known format"


def _is_hidden_data(name: str, wanted: Wanted) -> bool:
    """Whether a hidden file looks like data; what a Mac leaves behind does not."""
    left_by_mac = any(part.startswith(MAC_FILES) for part in name.split("/"))
    return is_hidden(name) and wanted.is_data(name) and not left_by_mac


def _require_readable(uri: str, wanted: Wanted, unreadable: list[str]) -> None:
    if unreadable:
        raise InputError(
            f"source {wanted.source!r}: {uri} holds files that cannot be read: {shown(unreadable)}",
            rule="no file that holds rows is passed over",
            remedy="unpack or convert them, move them elsewhere, or name the files to read one by one in `uri`",
        )


def _of_split(uri: str, wanted: Wanted, files: list[DataFile], splits: Splits) -> tuple[list[DataFile], dict[str, str]]:
    """The files of the wanted split, and the others with theirs."""
    names = {wanted.split, canonical_split(wanted.split)}
    taken = [file for file in files if splits.of(file.name) in names]
    if not taken:
        raise InputError(
            f"source {wanted.source!r}: {uri} has no split {wanted.split!r}",
            rule="only files of one split are read, so that no test set slips into training",
            allowed=splits.names,
            remedy="name one of its splits in `split`, or the files to read in `uri`",
        )
    chosen = {file.name for file in taken}
    return taken, {file.name: splits.reason(file.name) for file in files if file.name not in chosen}
