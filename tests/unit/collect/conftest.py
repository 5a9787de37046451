"""Fixtures: files of a source."""

from collections.abc import Callable
from pathlib import Path

import pytest

from components.collect.files.data_file import DataFile
from components.shared.store.open_store import open_store

MakeFile = Callable[[str, bytes], DataFile]


@pytest.fixture
def make_file(tmp_path: Path) -> MakeFile:
    """Write bytes to a file of a source."""

    def make(name: str, data: bytes) -> DataFile:
        (tmp_path / name).write_bytes(data)
        return DataFile(open_store(str(tmp_path)), name, name)

    return make
