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


FILES = {
    ".gitignore": "__pycache__/\n",
    "components/a.py": "from components.c import C\n",
    "components/b.py": "",
    "components/c.py": "C = 1\n",
    "components/words.txt": "word\n",
    "charts/values.yaml": "",
    "docs/a.md": "",
    "tests/images/test_image.py": "",
    "tests/unit/first/test_a.py": "def test_a():\n    from components import a\n",
    "tests/unit/second/test_b.py": 'PROGRAM = ["-m", "components.b"]\n',
    "tests/unit/third/test_charts.py": 'VALUES = ROOT / "charts" / "values.yaml"\n',
}
"""A small repository: each folder of its tests depends on something else."""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """That repository, committed."""
    folder = tmp_path / "checkout"
    (folder / ".ci").mkdir(parents=True)
    for program in ("groups.py", "imported.py"):
        shutil.copy(ROOT / ".ci" / program, folder / ".ci")
    for file, text in FILES.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)
    commit(folder)
    return folder


@pytest.fixture
def ask(checkout: Path, tmp_path: Path) -> Ask:
    """Run the program in the repository, with a separate record of passed groups."""

    def asked(action: str, *groups: str, **variables: str) -> int:
        return answer(checkout, tmp_path / "cache", action, *(groups or ("image-programs",)), **variables).returncode

    return asked


@pytest.fixture
def folders_to_run(checkout: Path, tmp_path: Path) -> Callable[[], list[str]]:
    """Which folders of unit tests have to run."""

    def found() -> list[str]:
        return answer(checkout, tmp_path / "cache", "folders", "unit").stdout.split()

    return found


def answer(checkout: Path, cache: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the program in a repository, with a separate record of passed groups."""
    environment = {"PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(cache), **variables}
    command = [sys.executable, str(checkout / ".ci" / "groups.py"), *words]
    return subprocess.run(command, env=environment, capture_output=True, timeout=60, text=True)


def commit(folder: Path, *files: str) -> None:
    """Add a line to files and commit them, along with whatever else is there."""
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(((folder / file).read_text() if (folder / file).exists() else "") + "# more\n")
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.org"]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "test"]):
        subprocess.run([*git, *words], cwd=folder, check=True, timeout=60)


def test_what_passed_with_the_same_files_is_left_out(checkout: Path, ask: Ask) -> None:
    assert ask("todo") == RUN
    assert ask("passed") == 0
    assert ask("todo") == LEFT_OUT
    commit(checkout, "docs/a.md", "components/README.md")
    assert ask("todo") == LEFT_OUT


@pytest.mark.parametrize("file", ["components/a.py", "components/new.py", "tests/images/test_image.py", "uv.lock"])
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
    assert ask("todo", "cluster-steps") == RUN
    assert ask("todo", TUTELAGE_TEST_DATA="/data") == RUN


def test_files_that_differ_from_the_commit_are_not_remembered(checkout: Path, ask: Ask) -> None:
    (checkout / "components/a.py").write_text("changed")
    ask("passed")
    assert ask("todo") == RUN


def test_an_unknown_group_is_refused(ask: Ask) -> None:
    assert ask("todo", "nothing") == 2


UNITS = [f"tests/unit/{name}" for name in ("first", "second", "third")]


@pytest.mark.parametrize(
    ("changed", "run"),
    [
        ("components/a.py", UNITS[:1]),
        ("components/c.py", UNITS[:1]),  # imported by a
        ("components/b.py", UNITS[1:2]),  # named as a program
        ("charts/values.yaml", UNITS[2:]),
        ("components/words.txt", UNITS),  # who reads it cannot be seen
        ("tests/unit/second/data.json", UNITS[1:2]),
        ("tests/shared.py", UNITS),
        ("docs/a.md", []),
    ],
)
def test_a_folder_runs_when_something_changed_that_its_tests_import_or_name(
    checkout: Path, ask: Ask, folders_to_run: Callable[[], list[str]], changed: str, run: list[str]
) -> None:
    assert folders_to_run() == UNITS
    assert ask("passed", *UNITS) == 0
    assert folders_to_run() == []
    commit(checkout, changed)
    assert folders_to_run() == run


@pytest.mark.parametrize(
    ("code", "reads"),
    [
        ("ROOT / 'charts'", True),
        ("copytree('charts', folder)", True),
        ("{'values': 'charts/values.yaml'}", True),
        ("{'charts/values.yaml': 1}", True),
        ("[ROOT / name for name in ('charts', 'docs')]", True),
        ("{'charts': []}", False),
        ("recipe['charts']", False),
        ("'charts' in recipe", False),
        ("[make(step) for step in ('collect', 'charts')]", False),
    ],
)
def test_a_key_that_is_called_like_a_folder_does_not_name_it(
    checkout: Path, ask: Ask, folders_to_run: Callable[[], list[str]], code: str, reads: bool
) -> None:
    (checkout / "tests/unit/first/test_a.py").write_text(f"FOUND = {code}\n")
    commit(checkout)
    assert ask("passed", *UNITS) == 0
    commit(checkout, "charts/values.yaml")
    assert ("tests/unit/first" in folders_to_run()) == reads


def test_folders_whose_tests_read_the_entire_tree_always_run(
    checkout: Path, ask: Ask, folders_to_run: Callable[[], list[str]]
) -> None:
    commit(checkout, "tests/unit/docs/test_links.py")
    assert ask("passed", *UNITS, "tests/unit/docs") == 0
    assert folders_to_run() == ["tests/unit/docs"]


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, imported."""
    monkeypatch.syspath_prepend(str(ROOT / ".ci"))
    return importlib.import_module("groups")


def test_groups_name_what_is_in_the_repository(groups: ModuleType) -> None:
    named = {place for places in groups.GROUPS.values() for place in places}
    assert {place for place in named if not list(ROOT.glob(place))} == set()
    assert {name for group in groups.FOLDERS for name in groups.ALWAYS if groups.is_folder(f"tests/unit/{name}")}


@pytest.mark.parametrize(
    ("folder", "file"),
    [
        ("tests/integration/train", "components/train/engine/run_training.py"),
        ("tests/integration/pipeline", "components/curate/component.py"),
        ("tests/integration/launch", "components/launch/here/torchrun.py"),
        ("tests/unit/publish", "demo/plant_defects.py"),
        ("tests/serving", "components/synthesize/generate.py"),
    ],
)
def test_programs_that_tests_start_are_found(groups: ModuleType, folder: str, file: str) -> None:
    assert groups.depends_on_imports(folder, *groups.files_of(folder), file)


@pytest.mark.parametrize("folder", ["curate", "evaluate", "pipeline", "publish"])
def test_a_recipes_benchmarks_are_not_the_folder(groups: ModuleType, folder: str) -> None:
    found = groups.files_of(f"tests/integration/{folder}")
    assert not groups.depends_on_imports(f"tests/integration/{folder}", *found, "benchmarks/results/demo_study.json")


def test_what_runs_jobs_or_stops_parts_of_the_cluster_uses_only_what_its_group_depends_on(groups: ModuleType) -> None:
    marks = ("mark.alone", "mark.jobs")
    tests = [file for file in (ROOT / "tests/cluster").glob("test_*.py") if any(m in file.read_text() for m in marks)]
    named = {module for file in [*tests, ROOT / "tests/cluster/jobs.py"] for module in imports_of(file)}
    used = {str(modules()[name].relative_to(ROOT)) for name in with_all_imports(named)}
    assert "components/launch/job.py" in used
    assert {file for file in used if not groups.depends("cluster-alone", file)} == set()
