"""All container formats. To add one: a file in this folder, and its entry in `FORMATS`."""

from components.collect.files.unpack import plain_name
from components.collect.formats import arrow, csv_rows, json_file, parquet, texts, unquoted_rows
from components.collect.formats.format import Format

FORMATS = {
    known.name: known
    for known in (
        json_file.JSONL,
        json_file.JSON,
        csv_rows.CSV,
        csv_rows.TSV,
        unquoted_rows.FORMAT,
        parquet.FORMAT,
        arrow.FORMAT,
        texts.FORMAT,
    )
}


def format_of(name: str) -> Format | None:
    """The format of a file by its suffix, compressed or not, or None."""
    plain = plain_name(name)
    return next((known for known in FORMATS.values() if plain.endswith(known.suffixes)), None)
