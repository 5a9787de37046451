"""All container formats. A new one is a file beside this one and one name in `FORMATS`."""

from components.collect.files import GZIP_SUFFIX
from components.collect.formats import csv_rows, json_array, jsonl, parquet
from components.collect.formats.format import Format

FORMATS = {known.name: known for known in (jsonl.FORMAT, json_array.FORMAT, csv_rows.CSV, csv_rows.TSV, parquet.FORMAT)}


def format_of(name: str) -> Format | None:
    """The format that a file's name means, or None."""
    plain = name.lower().removesuffix(GZIP_SUFFIX)
    return next((known for known in FORMATS.values() if plain.endswith(known.suffixes)), None)
