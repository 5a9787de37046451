"""Open the original files of an evaluation set: those of a folder, or those inside a zip."""

import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from components.collect.files.data_file import DataFile, is_hidden
from components.collect.files.encodings import AUTO, as_utf8
from components.collect.files.streams import PIECE
from components.collect.files.unpack import unpack
from components.collect.importers.importer import OriginalFile
from components.shared.errors import InputError
from components.shared.store.uri import join

ZIP_SUFFIX = ".zip"


def open_originals(files: list[DataFile]) -> Iterator[OriginalFile]:
    """The original files, sorted by name. Hidden ones, such as `__MACOSX/._x.csv`, are skipped in a zip too."""
    for file in files:
        if not file.name.endswith(ZIP_SUFFIX):
            yield OriginalFile(file.name, file.uri, file.text_chunks, file.chunks)
            continue
        with ExitStack() as stack:
            archive = _open_zip(file, stack.enter_context(file.local()))
            stack.enter_context(archive)
            for name in sorted(archive.namelist()):
                if not name.endswith("/") and not is_hidden(name):
                    opened = partial(_unzipped, archive, name, file)
                    yield OriginalFile(name, file.uri, partial(_as_text, opened), opened)


def _open_zip(file: DataFile, path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise _damaged(file, error) from error


def _as_text(opened: Callable[[], Iterator[bytes]]) -> Iterator[bytes]:
    return as_utf8(opened(), AUTO)


def _unzipped(archive: zipfile.ZipFile, name: str, file: DataFile) -> Iterator[bytes]:
    try:
        with archive.open(name) as member:
            yield from unpack(iter(lambda: member.read(PIECE), b""), join(file.uri, name))
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise _damaged(file, error) from error
    except (RuntimeError, NotImplementedError) as error:
        # zipfile raises these for an encrypted member and for an unsupported compression method.
        raise InputError(
            f"{file.uri}: {name} cannot be unpacked: {error}", remedy="unpack the archive, and set `uri` to the folder"
        ) from error


def _damaged(file: DataFile, error: Exception) -> InputError:
    return InputError(f"{file.uri} is a damaged zip: {error}", remedy="copy the file again; `unzip -t` checks it")
