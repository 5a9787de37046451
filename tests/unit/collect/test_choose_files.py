"""Only the wanted split of a folder is read, and every unread file is listed."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.collect.files.choose_files import Chosen, Wanted, choose_files
from components.collect.files.data_card import matches, read_card
from components.collect.files.splits import split_of
from components.collect.formats.registry import format_of
from components.shared.errors import InputError


def folder(root: Path, files: dict[str, str] | list[str]) -> Path:
    for name, text in (files if isinstance(files, dict) else dict.fromkeys(files, "")).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def choose(root: Path, split: str = "train", subset: str = "", any_name: bool = False) -> Chosen:
    return choose_files(str(root), Wanted("mine", split, subset, lambda name: format_of(name) is not None, any_name))


def names(chosen: Chosen) -> list[str]:
    return [file.name for file in chosen.files]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train.jsonl", "train"),
        ("data/train-00000-of-00002.parquet", "train"),
        ("data/train_sft-00000-of-00003.parquet", "train_sft"),
        ("en/c4-train.00000-of-01024.json.gz", "train"),
        ("test.jsonl.zst", "test"),
        ("gsm8k_test.jsonl", "test"),
        ("TEST.CSV", "test"),
        ("validation.csv", "validation"),
        ("val.csv", "validation"),
        ("dev/a.jsonl", "validation"),
        ("test/part-00000-of-00002.jsonl", "test"),
        ("a/eval/b.jsonl", "test"),
        ("train/test.jsonl", "test"),
        ("testData.json", "test"),
        ("a.test.jsonl", "test"),
        ("held_out.jsonl", "test"),
        ("heldout-1.csv", "test"),
        ("alpaca.jsonl", None),
        ("latest.jsonl", None),
        ("attest/contest.jsonl", None),
        ("train_test_split.jsonl", None),
        ("part-00000-of-00002.jsonl", None),
    ],
)
def test_split_of_a_name(name: str, split: str | None) -> None:
    assert split_of(name) == split


CLONE = [
    "README.md",
    ".gitattributes",
    "data/train-00000-of-00002.parquet",
    "data/train-00001-of-00002.parquet",
    "data/test-00000-of-00001.parquet",
    "validation.jsonl",
]


def test_clone_without_configurations(tmp_path: Path) -> None:
    chosen = choose(folder(tmp_path, CLONE))
    assert names(chosen) == CLONE[2:4]
    assert chosen.unread == {
        "README.md": "describes the data",
        "data/test-00000-of-00001.parquet": "split test",
        "validation.jsonl": "split validation",
    }
    assert names(choose(tmp_path, "test")) == [CLONE[4]]
    assert names(choose(tmp_path, "val")) == names(choose(tmp_path, "validation")) == [CLONE[5]]


def test_missing_split(tmp_path: Path) -> None:
    root = folder(tmp_path, ["data/train_sft-00000-of-00001.parquet", "data/test_sft-00000-of-00001.parquet"])
    with pytest.raises(InputError, match=r"source 'mine': .* has no split 'train'") as caught:
        choose(root)
    assert caught.value.allowed == ("test_sft", "train_sft") and "`split`" in caught.value.remedy
    assert names(choose(root, "train_sft")) == ["data/train_sft-00000-of-00001.parquet"]
    with pytest.raises(InputError, match="has no split 'test'"):
        choose(folder(tmp_path / "plain", ["a.jsonl"]), "test")


def test_a_folder_with_only_a_test_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no split 'train'"):
        choose(folder(tmp_path, ["test.jsonl"]))
    assert names(choose(tmp_path / "test.jsonl")) == ["test.jsonl"], "a named file is read whatever its split"


def test_files_without_a_split_belong_to_training(tmp_path: Path) -> None:
    chosen = choose(folder(tmp_path, ["a.jsonl", "b.csv", "test.jsonl"]))
    assert names(chosen) == ["a.jsonl", "b.csv"] and chosen.unread == {"test.jsonl": "split test"}


CARD = """---
license: mit
configs:
- config_name: main
  data_files:
  - split: train
    path: main/train-*
  - split: test
    path: [main/test-*]
- config_name: socratic
  data_files:
  - split: train
    path: socratic/**
---
# Problems
"""
CONFIGURED = {
    "README.md": CARD,
    "main/train-0.parquet": "",
    "main/test-0.parquet": "",
    "main/more.parquet": "",
    "socratic/a/b.parquet": "",
}


def test_configurations_of_the_readme(tmp_path: Path) -> None:
    root = folder(tmp_path, CONFIGURED)
    with pytest.raises(InputError, match="has several configurations") as caught:
        choose(root)
    assert caught.value.allowed == ("main", "socratic") and "`subset`" in caught.value.remedy
    chosen = choose(root, subset="main")
    assert names(chosen) == ["main/train-0.parquet"]
    assert chosen.unread["main/test-0.parquet"] == "split test"
    assert chosen.unread["main/more.parquet"] == "not in configuration main"
    assert names(choose(root, subset="socratic")) == ["socratic/a/b.parquet"]
    with pytest.raises(InputError, match="no configuration 'absent'"):
        choose(root, subset="absent")
    with pytest.raises(InputError, match="has no split 'test'"):
        choose(root, "test", "socratic")


def test_default_configuration(tmp_path: Path) -> None:
    card = CARD.replace("- config_name: main\n", "- config_name: main\n  default: true\n")
    assert names(choose(folder(tmp_path, CONFIGURED | {"README.md": card}))) == ["main/train-0.parquet"]


@pytest.mark.parametrize(
    "text", ["", "# Title", "---\n{[\n---\n", "---\nlicense: mit\n---\n", "---\nconfigs: 3\n---\n"]
)
def test_readme_without_configurations(text: str, tmp_path: Path) -> None:
    assert read_card(text) == []
    assert names(choose(folder(tmp_path, {"README.md": text, "a.jsonl": ""}))) == ["a.jsonl"]


def test_forms_of_data_files() -> None:
    card = read_card(
        "---\nconfigs:\n- config_name: a\n  data_dir: x\n  data_files: '*.csv'\n- data_files: [b.json]\n---\n"
    )
    assert [(each.name, each.splits) for each in card] == [
        ("a", {"train": ["x/*.csv"]}),
        ("default", {"train": ["b.json"]}),
    ]


@pytest.mark.parametrize(
    ("name", "pattern", "found"),
    [
        ("data/a.csv", "data/*.csv", True),
        ("data/deep/a.csv", "data/*.csv", False),
        ("data/deep/a.csv", "data/**/*.csv", True),
        ("data/a.csv", "data/**/*.csv", True),
        ("a.csv", "./a.csv", True),
        ("a1.csv", "a[0-9].csv", True),
        ("a1.csv", "a?.csv", True),
        ("a+csv", "a.csv", False),
    ],
)
def test_patterns(name: str, pattern: str, found: bool) -> None:
    assert matches(name, pattern) is found


def saved(*parts: str) -> dict[str, str]:
    state = json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]})
    prefixes = [f"{part}/" for part in parts] or [""]
    files = {f"{prefix}state.json": state for prefix in prefixes}
    files |= {f"{prefix}dataset_info.json": "{}" for prefix in prefixes}
    return files | {f"{prefix}data-00000-of-00001.arrow": "" for prefix in prefixes}


def test_data_set_that_was_saved_to_disk(tmp_path: Path) -> None:
    chosen = choose(folder(tmp_path, {**saved(), "cache-1234.arrow": ""}))
    assert names(chosen) == ["data-00000-of-00001.arrow"]
    assert chosen.unread["cache-1234.arrow"] == "not named by state.json"


def test_several_splits_that_were_saved_to_disk(tmp_path: Path) -> None:
    files = {**saved("train", "held"), "dataset_dict.json": json.dumps({"splits": ["train", "held"]})}
    root = folder(tmp_path, files)
    chosen = choose(root)
    assert names(chosen) == ["train/data-00000-of-00001.arrow"]
    assert chosen.unread["held/data-00000-of-00001.arrow"] == "split held"
    assert names(choose(root, "held")) == ["held/data-00000-of-00001.arrow"]
    with pytest.raises(InputError, match="no split 'validation'") as caught:
        choose(root, "validation")
    assert caught.value.allowed == ("held", "train")


@pytest.mark.parametrize(
    "name", ["b.zip", "b.tar.gz", "b.tgz", "b.jsonl.lz4", "b.jsonl.br", "b.7z", "b.xlsx", "b.pkl", "deep/b.ZIP"]
)
def test_files_with_rows_that_cannot_be_read_are_refused_by_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"source 'mine': .* holds files that cannot be read: {name}"):
        choose(folder(tmp_path, ["a.jsonl", name]))


@pytest.mark.parametrize("name", ["b.jsonl.zst", "b.csv.bz2", "b.json.xz", "b.tsv.zstd", "b.parquet", "b.ndjson.GZ"])
def test_compressed_files_are_read(name: str, tmp_path: Path) -> None:
    assert names(choose(folder(tmp_path, ["a.jsonl", name]))) == ["a.jsonl", name]


def test_other_files_are_listed(tmp_path: Path) -> None:
    left_by_a_mac = ["__MACOSX/._a.jsonl", "._a.jsonl", ".DS_Store"]
    chosen = choose(
        folder(tmp_path, ["a.jsonl", "notes.txt", "_old.jsonl", ".git/x.csv", "dataset_infos.json", *left_by_a_mac])
    )
    assert names(chosen) == ["a.jsonl"]
    assert chosen.unread == {
        ".git/x.csv": "hidden",
        "_old.jsonl": "hidden",
        "dataset_infos.json": "describes the data",
        "notes.txt": "unknown format",
    }


def test_named_format_reads_files_with_other_suffixes_if_none_has_its_own(tmp_path: Path) -> None:
    root = folder(tmp_path, ["a.txt", "README.md"])
    assert names(choose(root, any_name=True)) == ["a.txt"]
    with pytest.raises(InputError, match=r"no data at .*the folder holds README.md, a.txt"):
        choose(root)


def test_no_data(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no data at .*nowhere"):
        choose(tmp_path / "nowhere")


def test_damaged_state_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"state\.json is not valid JSON"):
        choose(folder(tmp_path, {**saved(), "state.json": "{"}))


def test_split_is_passed_to_a_file_with_several(tmp_path: Path) -> None:
    files: list[Any] = choose(folder(tmp_path, ["test.json"]), "test").files
    assert [file.split for file in files] == ["test"]
