"""TSV without quoting, as GLUE has it: every line is a record, split at its tabs; a quotation mark is a character.

A record's number counts the lines after the header. A line with another number of columns than the header, such as half
of a text with a line break in it, is not a record.
"""

from collections.abc import Sequence

from components.collect.files.data_file import DataFile
from components.collect.files.records import BadRowError, Broken, Found, Record, Rejection, oversize
from components.collect.files.streams import split_lines
from components.collect.formats.csv_rows import read_header
from components.collect.formats.format import Format


def read_unquoted(file: DataFile, limit: int) -> Found:
    """Stream the records of the file. Raises InputError for an unusable header."""
    lines = split_lines(file.text_chunks(), limit)
    first = next(lines, b"")
    header = read_header(file, oversize(0, limit) if first is None else cells(_decoded(first)))
    for number, line in enumerate(lines, start=1):
        if line is None:
            yield oversize(number, limit)
        elif line.strip():
            yield _record(number, header, _decoded(line))


def cells(line: str) -> list[str]:
    """The cells of one line, which may end with a carriage return."""
    return line.removesuffix("\r").split("\t")


def fields_of(header: Sequence[str], line: str) -> dict[str, str]:
    """The cells of a line by the names of their columns. Raises BadRowError."""
    values = cells(line)
    if len(values) != len(header):
        raise BadRowError(Rejection.wrong_columns, f"{len(values)} columns, the header has {len(header)}")
    return dict(zip(header, values, strict=True))


def _record(number: int, header: Sequence[str], line: str) -> Record | Broken:
    try:
        return Record(number, fields_of(header, line))
    except BadRowError as error:
        return Broken(number, error.reason, error.detail)


def _decoded(line: bytes) -> str:
    # Invalid UTF-8 becomes lone surrogates, which are detected when the row is normalised.
    return line.decode("utf-8", "surrogateescape")


FORMAT = Format("unquoted_tsv", (), read_unquoted)
