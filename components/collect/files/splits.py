"""The splits of a folder's files: from the README of a hub data set, from `save_to_disk`, or from the file names."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from components.collect.files.data_card import Configuration, default_of, read_card
from components.collect.files.data_file import TRAIN, DataFile
from components.shared.errors import InputError

WORDS = {
    "train": TRAIN,
    "training": TRAIN,
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
    "heldout": "test",
    "holdout": "test",
}
"""Words in file names that denote a split: those of the library `datasets`, and words for held-out data."""
JOINED = re.compile(r"(?<=[a-z])(?=[A-Z])")
"""Where a word begins within one: testData."""
HELD_OUT = re.compile(r"(held|hold)[-_ ]out")
SHARDED = re.compile(r"(?:^|/)([^/]+?)[-.]\d{5}-of-\d{5,}[^/]*$")
CARD = "readme.md"
SAVED_SPLITS, SAVED_STATE = "dataset_dict.json", "state.json"
ABOUT = frozenset({"dataset_infos.json", "dataset_info.json", SAVED_SPLITS, SAVED_STATE})
"""JSON files that describe a data set and contain no rows."""


@dataclass(frozen=True)
class Splits:
    """Each file's split, None for a file without one; `subset` is the configuration that defines them, if any."""

    by_name: Mapping[str, str | None]
    subset: str = ""

    @property
    def names(self) -> list[str]:
        """All splits."""
        return sorted({split for split in self.by_name.values() if split is not None})

    def of(self, name: str) -> str | None:
        """A file's split."""
        return self.by_name[name]

    def reason(self, name: str) -> str:
        """Why a file of another split is not read."""
        split = self.by_name[name]
        if split is not None:
            return f"split {split}"
        return f"not in configuration {self.subset}" if self.subset else "no split in its name"


def canonical_split(name: str) -> str:
    """The canonical name of a split: `val` and `dev` become `validation`."""
    return WORDS.get(name.lower(), name)


def splits_of(uri: str, present: list[DataFile], files: list[DataFile], subset: str) -> Splits:
    """The splits of a folder's files; a file whose name has no such word belongs to the training set.

    Raises:
        InputError: the configuration does not exist, or there are several and none is selected.
    """
    configuration = _configuration(uri, present, files, subset)
    if configuration is not None:
        return Splits({file.name: configuration.split_of(file.name) for file in files}, configuration.name)
    saved = [_read_json(file).get("splits") for file in present if file.name == SAVED_SPLITS]
    if saved and isinstance(saved[0], list):
        folders = {PurePosixPath(file.name): PurePosixPath(file.name).parts[0] for file in files}
        return Splits({str(path): folder if folder in saved[0] else None for path, folder in folders.items()})
    return Splits({file.name: split_of(file.name) or TRAIN for file in files})


def split_of(name: str) -> str | None:
    """The split in a path: from the file's name, or else from its folders'; None without one, or with two.

    The name of a sharded file (`train_sft-00000-of-00003.parquet`) contains the split's full name.
    """
    sharded = SHARDED.search(name)
    if sharded is not None and re.fullmatch(r"\w+", sharded[1]) and len(_words(sharded[1])) == 1:
        return canonical_split(sharded[1])
    for part in reversed(PurePosixPath(name).parts):
        found = _words(part)
        if found:
            return found.pop() if len(found) == 1 else None
    return None


def saved_files(present: list[DataFile], files: list[DataFile]) -> tuple[list[DataFile], dict[str, str]]:
    """Of a data set that `save_to_disk` wrote: the files that its state lists, and the others, which are caches."""
    left: dict[str, str] = {}
    for state in (file for file in present if PurePosixPath(file.name).name == SAVED_STATE):
        folder = PurePosixPath(state.name).parent
        named = _read_json(state).get("_data_files")
        if isinstance(named, list):
            own = {str(folder / str(each.get("filename"))) for each in named if isinstance(each, dict)}
            here = [file.name for file in files if PurePosixPath(file.name).parent == folder]
            left |= {name: f"not named by {state.name}" for name in here if name not in own}
    return [file for file in files if file.name not in left], left


def _configuration(uri: str, present: list[DataFile], files: list[DataFile], subset: str) -> Configuration | None:
    cards = [file for file in present if file.name.lower() == CARD]
    text = cards[0].store.read(cards[0].key).decode("utf-8", "replace") if cards else ""
    known = [each for each in read_card(text) if any(each.split_of(file.name) for file in files)]
    if not known and not subset:
        return None
    found = next((each for each in known if each.name == subset), None) if subset else default_of(known)
    if found is None:
        raise InputError(
            f"{uri} has no configuration {subset!r}" if subset else f"{uri} has several configurations",
            rule="configurations come from the README of a data set; several may contain the same rows",
            allowed=[each.name for each in known],
            remedy="set `subset` to one of them" if known else "remove `subset`, and set `uri` to the folder",
        )
    return found


def _words(part: str) -> set[str]:
    spelled = HELD_OUT.sub("heldout", JOINED.sub("_", part).lower())
    return {WORDS[word] for word in re.split(r"[^a-z]+", spelled) if word in WORDS}


def _read_json(file: DataFile) -> dict[str, Any]:
    try:
        value = json.loads(file.store.read(file.key))
    except ValueError as error:
        raise InputError(
            f"{file.uri} is not valid JSON: {error}", remedy="copy the folder again, or move this file elsewhere"
        ) from error
    return value if isinstance(value, dict) else {}
