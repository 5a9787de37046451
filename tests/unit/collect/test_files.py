"""Files are listed in a fixed order, and digested by name and content only."""

import os
from pathlib import Path

import pytest

from components.collect.files.data_file import digest_files, find_files
from components.shared.errors import InputError


def jsonl(name: str) -> bool:
    return name.endswith(".jsonl")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.jsonl", "a/2.jsonl", "a/10.jsonl", "notes.txt", ".hidden.jsonl", "_SUCCESS", "a/.git/x.jsonl"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_text(name)
    return tmp_path / "data"


def names(uri: str | Path) -> list[str]:
    return [file.name for file in find_files(str(uri), jsonl)]


def test_folder_is_read_in_the_order_of_names(folder: Path) -> None:
    assert names(folder) == names(f"{folder}/") == names(f"file://{folder}") == ["a/10.jsonl", "a/2.jsonl", "b.jsonl"]


def test_single_file_is_read_whatever_its_suffix(folder: Path) -> None:
    assert names(folder / "notes.txt") == ["notes.txt"]
    assert names(folder / "a" / "2.jsonl") == ["2.jsonl"]


def test_relative_paths(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert names("b.jsonl") == ["b.jsonl"] and names("./a") == names("a/") == ["10.jsonl", "2.jsonl"]
    assert names("../data/b.jsonl") == ["b.jsonl"]


def test_package_folder() -> None:
    assert "alpaca.jsonl" in names("package:demo/instructions")
    assert names("package:demo/instructions/chat.jsonl") == ["chat.jsonl"]


def test_no_data(folder: Path) -> None:
    with pytest.raises(InputError, match=r"no data at .*nowhere") as caught:
        find_files(str(folder / "nowhere"), jsonl)
    assert "check the URI" in caught.value.remedy
    with pytest.raises(InputError, match=r"the folder holds .*notes\.txt") as caught:
        find_files(str(folder), lambda name: name.endswith(".parquet"))
    assert "format" in caught.value.remedy


def test_digest_is_of_names_and_content(folder: Path, tmp_path: Path) -> None:
    def digest(uri: Path) -> str:
        return digest_files(str(uri), find_files(str(uri), jsonl)).digest

    first = digest(folder)
    (folder / "notes.txt").write_text("not read")
    os.utime(folder / "b.jsonl", (1, 1))
    folder.rename(tmp_path / "moved")
    moved = tmp_path / "moved"
    assert digest(moved) == first
    (moved / "b.jsonl").rename(moved / "c.jsonl")
    renamed = digest(moved)
    (moved / "c.jsonl").write_text("changed")
    assert len({first, renamed, digest(moved)}) == 3
    assert digest_files("x", find_files(str(moved), jsonl)).address == "x"
