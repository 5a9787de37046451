"""A group of tests is skipped only if it has passed with exactly the same files."""

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.product_imports import imports_of, modules, with_all_imports

ROOT = Path(__file__).resolve().parents[3]
RUN, LEFT_OUT = 0, 3

Ask = Callable[..., int]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small repository with one file of code and one of docs."""
    folder = tmp_path / "checkout"
    (folder / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "groups.py", folder / ".ci")
    commit(folder, "components/a.py", "docs/a.md", "tests/integration/test_a.py")
    return folder


@pytest.fixture
def ask(checkout: Path, tmp_path: Path) -> Ask:
    """Run the program in the repository, with a separate record of passed groups."""

    def asked(action: str, group: str = "integration", **variables: str) -> int:
        environment = {"PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(tmp_path / "cache"), **variables}
        command = [sys.executable, str(checkout / ".ci" / "groups.py"), action, group]
        return subprocess.run(command, env=environment, capture_output=True, timeout=60).returncode

    return asked


def commit(folder: Path, *files: str) -> None:
    """Write files and commit them, along with whatever else is there."""
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text((folder / file).read_text() + "more\n" if (folder / file).exists() else "first\n")
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.org"]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "test"]):
        subprocess.run([*git, *words], cwd=folder, check=True, timeout=60)


def test_what_passed_with_the_same_files_is_left_out(checkout: Path, ask: Ask) -> None:
    assert ask("todo") == RUN
    assert ask("passed") == 0
    assert ask("todo") == LEFT_OUT
    commit(checkout, "docs/a.md", "components/README.md")
    assert ask("todo") == LEFT_OUT


@pytest.mark.parametrize("file", ["components/a.py", "components/new.py", "tests/integration/test_a.py", "uv.lock"])
def test_a_change_of_what_a_group_depends_on_runs_it_again(checkout: Path, ask: Ask, file: str) -> None:
    ask("passed")
    commit(checkout, file)
    assert ask("todo") == RUN


def test_code_that_went_back_has_passed_before(checkout: Path, ask: Ask) -> None:
    ask("passed")
    before = (checkout / "components/a.py").read_text()
    commit(checkout, "components/a.py")
    assert ask("todo") == RUN
    (checkout / "components/a.py").write_text(before)
    commit(checkout)
    assert ask("todo") == LEFT_OUT


def test_each_group_has_a_memory_of_its_own_and_real_data_counts(ask: Ask) -> None:
    ask("passed")
    assert ask("todo", "cluster") == RUN
    assert ask("todo", TUTELAGE_TEST_DATA="/data") == RUN


def test_files_that_differ_from_the_commit_are_not_remembered(checkout: Path, ask: Ask) -> None:
    (checkout / "components/a.py").write_text("changed")
    ask("passed")
    assert ask("todo") == RUN


def test_an_unknown_group_is_refused(ask: Ask) -> None:
    assert ask("todo", "nothing") == 2


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, imported."""
    monkeypatch.syspath_prepend(str(ROOT / ".ci"))
    return importlib.import_module("groups")


def test_groups_name_what_is_in_the_repository(groups: ModuleType) -> None:
    named = {place for places in groups.GROUPS.values() for place in places}
    assert {place for place in named if not list(ROOT.glob(place))} == set()


def test_what_stops_parts_of_the_cluster_uses_only_what_its_group_depends_on(groups: ModuleType) -> None:
    tests = [file for file in (ROOT / "tests/cluster").glob("test_*.py") if "mark.alone" in file.read_text()]
    named = {module for file in [*tests, ROOT / "tests/cluster/jobs.py"] for module in imports_of(file)}
    used = {str(modules()[name].relative_to(ROOT)) for name in with_all_imports(named)}
    assert "components/launch/job.py" in used
    assert {file for file in used if not groups.depends("cluster-alone", file)} == set()
