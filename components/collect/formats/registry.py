"""All container formats. A new one is a file beside this one and one name in `FORMATS`."""

from components.collect.formats import arrow, csv_rows, json_file, parquet
from components.collect.formats.format import Format
from components.collect.unpack import plain_name

FORMATS = {
    known.name: known
    for known in (json_file.JSONL, json_file.JSON, csv_rows.CSV, csv_rows.TSV, parquet.FORMAT, arrow.FORMAT)
}


def format_of(name: str) -> Format | None:
    """The format that a file's name means, however the file is packed, or None."""
    plain = plain_name(name)
    return next((known for known in FORMATS.values() if plain.endswith(known.suffixes)), None)
