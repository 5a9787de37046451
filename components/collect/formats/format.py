"""What a container format is."""

from collections.abc import Callable
from dataclasses import dataclass

from components.collect.files.data_file import DataFile
from components.collect.files.records import Found


@dataclass(frozen=True)
class Format:
    """How the records of a file are read.

    `suffixes` identify files of this format (compressed files too); without any, only a source's settings do. `read`
    streams a file's records; its second argument is the largest size of a record in bytes.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Callable[[DataFile, int], Found]
