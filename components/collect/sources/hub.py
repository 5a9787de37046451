"""Stream data sets from the Hugging Face hub. Needs internet access, or a mirror in HF_ENDPOINT."""

from collections.abc import Iterator
from typing import Any

from components.collect.files.records import Found, Record, shorten
from components.collect.source_settings import HUB, Source
from components.shared.errors import InputError
from components.shared.outputs.digest import digest_value
from components.shared.outputs.manifest import Parent
from components.shared.process.interruption import may_pass


def resolve_revision(source: Source) -> str:
    """The commit that a hub source refers to: its rows never change. Raises InputError."""
    from huggingface_hub import HfApi

    try:
        return str(HfApi().dataset_info(source.uri.removeprefix(HUB), revision=source.revision or None).sha)
    except Exception as error:
        raise _unavailable(source, error) from error


def hub_parent(source: Source, commit: str) -> Parent:
    """A hub source as an input: its name, commit, configuration and split."""
    facts = [source.uri, commit, source.subset, source.split]
    return Parent(address=f"{source.uri}@{commit}", digest=digest_value(facts))


def read_hub(source: Source, commit: str) -> Found:
    """Stream the rows of a split; a record's number is its row. Raises InputError."""
    for number, fields in enumerate(_rows(source, commit), start=1):
        yield Record(number, fields)


def _rows(source: Source, commit: str) -> Iterator[dict[str, Any]]:
    from datasets import load_dataset

    name = source.uri.removeprefix(HUB)
    try:
        yield from load_dataset(name, source.subset or None, split=source.split, revision=commit, streaming=True)
    except Exception as error:
        raise _unavailable(source, error) from error


def _unavailable(source: Source, error: Exception) -> InputError:
    return InputError(
        f"source {source.name!r}: data set {source.uri!r} cannot be loaded from the hub: "
        f"{type(error).__name__}: {shorten(str(error))}",
        remedy="check name, subset, split, revision, the network and HF_TOKEN; or copy the files to the store and set "
        "`uri` to them",
        temporary=may_pass(error),
    )
