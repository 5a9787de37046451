"""A made-up container format: one record for each line `NAME=VALUE`."""

from components.collect.files.data_file import DataFile
from components.collect.files.records import Found, Record
from components.collect.formats.format import Format


def read(file: DataFile, limit: int) -> Found:
    for number, line in enumerate(b"".join(file.text_chunks()).decode().splitlines(), start=1):
        name, _, value = line.partition("=")
        yield Record(number, {name: value.replace("|", "\n")})


FORMAT = Format("pairs", (".pairs",), read)
