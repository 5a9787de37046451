"""A model is put where a server finds it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from components.models.place_model import place_model
from components.models.reference import CACHE_VARIABLE
from components.shared.errors import SettingsError

TEACHER = "package:demo/teacher"


def _place(*arguments: str, cache: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "components.models.place_model", *arguments]
    environment = {**os.environ, CACHE_VARIABLE: str(cache)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)


def test_a_packaged_model_is_copied_so_that_an_image_without_tutelage_reads_it(tmp_path: Path) -> None:
    folder = tmp_path / "served" / "Owner" / "Name"
    done = _place(TEACHER, str(folder), cache=tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    assert f"{TEACHER} is at {folder}" in done.stdout
    assert (folder / "model.safetensors").stat().st_size > 1_000_000
    assert folder.resolve().is_relative_to(tmp_path.resolve())
    moved = tmp_path.with_name(f"{tmp_path.name}-moved")
    tmp_path.rename(moved)
    assert (moved / "served" / "Owner" / "Name" / "config.json").exists()


def test_again_it_copies_nothing_and_another_model_takes_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    folder = tmp_path / "served"
    place_model(TEACHER, folder)
    first = (folder / "model.safetensors").stat()
    place_model(TEACHER, folder)
    assert (folder / "model.safetensors").stat().st_ino == first.st_ino
    place_model("package:demo/student", folder)
    assert (folder / "model.safetensors").stat().st_size < first.st_size
    assert not list(tmp_path.rglob(".*"))


def test_an_error_is_reported_without_a_traceback(tmp_path: Path) -> None:
    missing = _place(str(tmp_path / "nothing"), str(tmp_path / "served"), cache=tmp_path / "cache")
    assert missing.returncode == 1
    assert "no model at" in missing.stderr
    assert "remedy:" in missing.stderr
    assert "Traceback" not in missing.stderr
    assert _place(TEACHER, cache=tmp_path / "cache").returncode == 2


def test_a_folder_of_someone_else_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is not a link"):
        place_model(TEACHER, tmp_path)
