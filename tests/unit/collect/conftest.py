"""Files of a source, made from bytes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from components.collect.files import DataFile
from components.shared.store import open_store

MakeFile = Callable[[str, bytes], DataFile]


@pytest.fixture
def make_file(tmp_path: Path) -> MakeFile:
    """Write bytes under a name and give them as a source's file."""

    def make(name: str, data: bytes) -> DataFile:
        (tmp_path / name).write_bytes(data)
        return DataFile(open_store(str(tmp_path)), name, name)

    return make
