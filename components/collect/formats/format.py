"""The face of a container format."""

from collections.abc import Callable
from dataclasses import dataclass

from components.collect.files import DataFile
from components.collect.records import Found


@dataclass(frozen=True)
class Format:
    """How the records of a file are read.

    `suffixes` are the names' ends that mean this format (each also with the end of a packed file). `read` streams the
    file's records; its second argument is the number of bytes that one record may take.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Callable[[DataFile, int], Found]
