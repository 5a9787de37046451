"""Data sets of the Hugging Face hub, streamed. This needs the internet (or a mirror, HF_ENDPOINT)."""

import hashlib
from collections.abc import Iterator
from typing import Any

from components.collect.records import Found, Record, shorten
from components.collect.settings import HUB, Source
from components.shared.errors import InputError
from components.shared.interruption import may_pass
from components.shared.manifest import Parent, canonical


def resolve_revision(source: Source) -> str:
    """The commit that a hub source names: the same commit always has the same rows. Raises InputError."""
    from huggingface_hub import HfApi

    try:
        return str(HfApi().dataset_info(source.uri.removeprefix(HUB), revision=source.revision or None).sha)
    except Exception as error:
        raise _unavailable(source, error) from error


def hub_parent(source: Source, commit: str) -> Parent:
    """A hub source as an input: its name, commit, configuration and split."""
    facts = [source.uri, commit, source.subset, source.split]
    return Parent(address=f"{source.uri}@{commit}", digest=hashlib.sha256(canonical(facts)).hexdigest())


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
        f"source {source.name!r}: data set {source.uri!r} cannot be had from the hub: "
        f"{type(error).__name__}: {shorten(str(error))}",
        remedy="check name, subset, split and revision, the network and HF_TOKEN; or copy its files to the store and "
        "name their URI",
        temporary=may_pass(error),
    )
