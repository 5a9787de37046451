"""A part of the tests is left out only if it has passed with exactly the same files."""

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest

from tests.integration.conftest import LONGEST

ROOT = Path(__file__).resolve().parents[3]
MANIFESTS = "tests/manifests/test_role.py"

Ask = Callable[..., list[str]]


FILES = {
    ".gitignore": "__pycache__/\n",
    "components/a.py": "from components.c import C\n",
    "components/b.py": "",
    "components/c.py": "C = 1\n",
    "components/words.txt": "word\n",
    "charts/team/values.yaml": "command: [python, -m, components.b]\n",
    "charts/team/README.md": "",
    "docs/a.md": "",
    "k8s/base/role.yaml": "",
    "k8s/samples/job.yaml": "",
    "tests/shared.py": "",
    "tests/manifests/test_role.py": 'ROLE = ROOT / "k8s" / "base" / "role.yaml"\n',
    "tests/images/test_programs.py": "",
    "tests/unit/first/test_a.py": "def test_a():\n    from components import a\n",
    "tests/unit/second/test_b.py": 'import tests.shared\nPROGRAM = ["-m", "components.b"]\n',
    "tests/unit/third/test_charts.py": 'VALUES = ROOT / "charts" / "team"\n',
}
"""A small repository: each folder of its tests depends on something else."""


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with that repository, committed; tests have copies."""
    folder = tmp_path_factory.mktemp("committed")
    checkout = folder / "checkout"
    (checkout / ".ci").mkdir(parents=True)
    for program in ("groups.py", "imported.py"):
        shutil.copy(ROOT / ".ci" / program, checkout / ".ci")
    git(checkout, "init", "--quiet")
    write(checkout, FILES)
    return folder


@pytest.fixture
def checkout(committed: Path, tmp_path: Path) -> Path:
    """That repository, of a test's own."""
    shutil.copytree(committed, tmp_path, dirs_exist_ok=True)
    return tmp_path / "checkout"


@pytest.fixture
def passed(checkout: Path, tmp_path: Path) -> Callable[..., int]:
    """Have parts of a group passed, in a separate record; returns the exit code."""
    return lambda *words, **variables: answer(checkout, tmp_path / "cache", "passed", *words, **variables).returncode


@pytest.fixture
def to_run(checkout: Path, tmp_path: Path) -> Ask:
    """The parts of a group that have to run, by that record."""
    return lambda group="quick", **variables: answer(
        checkout, tmp_path / "cache", "parts", group, **variables
    ).stdout.split()


def answer(checkout: Path, cache: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the program in a repository, with a separate record of what passed."""
    environment = {"PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(cache), **variables}
    command = [sys.executable, str(checkout / ".ci" / "groups.py"), *words]
    return subprocess.run(command, env=environment, capture_output=True, timeout=60, text=True)


def write(folder: Path, files: dict[str, str]) -> None:
    """Write files and commit them."""
    for file, text in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)
    commit(folder)


def commit(folder: Path, *files: str) -> None:
    """Add a line to files and commit them, along with whatever else is there."""
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(((folder / file).read_text() if (folder / file).exists() else "") + "# more\n")
    git(folder, "add", "--all")
    git(folder, "-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "--quiet", "--message", "test")


def git(folder: Path, *words: str) -> str:
    """What git prints in a repository."""
    command = ["git", *words]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60, text=True).stdout


PROGRAMS = "tests/images/test_programs.py"


def test_what_passed_with_the_same_files_is_left_out(checkout: Path, to_run: Ask, passed: Callable[..., int]) -> None:
    assert to_run("image-programs") == [PROGRAMS]
    assert passed("image-programs", PROGRAMS) == 0
    assert to_run("image-programs") == []
    commit(checkout, "docs/a.md", "components/README.md", "tests/images/README.md")
    assert to_run("image-programs") == []


@pytest.mark.parametrize("file", ["components/a.py", "components/new.py", PROGRAMS, "uv.lock", "k8s/samples/job.yaml"])
def test_a_change_of_what_a_part_depends_on_runs_it_again(
    checkout: Path, to_run: Ask, passed: Callable[..., int], file: str
) -> None:
    passed("image-programs", PROGRAMS)
    commit(checkout, file)
    assert to_run("image-programs") == [PROGRAMS]


def test_code_that_went_back_has_passed_before(checkout: Path, to_run: Ask, passed: Callable[..., int]) -> None:
    passed("image-programs", PROGRAMS)
    before = (checkout / "components/a.py").read_text()
    commit(checkout, "components/a.py")
    assert to_run("image-programs") == [PROGRAMS]
    write(checkout, {"components/a.py": before})
    assert to_run("image-programs") == []


def test_a_machine_without_a_record_goes_by_the_commit_that_landed(checkout: Path, to_run: Ask) -> None:
    parts = to_run()
    write(checkout, {".ci/landed": git(checkout, "rev-parse", "HEAD")})
    assert to_run() == []
    commit(checkout, "components/c.py")
    assert to_run() == ["tests/unit/first/test_a.py"], "what changed since then runs, and so after any further commit"
    commit(checkout, "docs/a.md")
    assert to_run() == ["tests/unit/first/test_a.py"]
    write(checkout, {"components/c.py": "C = 1\n"})
    assert to_run() == [], "what is as it landed"
    write(checkout, {".ci/landed": f"{'0' * 40}\n"})
    assert to_run() == parts, "a commit that this history does not have shows nothing"


def test_real_data_counts(to_run: Ask, passed: Callable[..., int]) -> None:
    passed("image-programs", PROGRAMS)
    assert to_run("image-programs", TUTELAGE_TEST_DATA="/data") == [PROGRAMS]


def test_files_that_differ_from_the_commit_are_not_remembered(
    checkout: Path, to_run: Ask, passed: Callable[..., int]
) -> None:
    (checkout / "components/a.py").write_text("changed")
    passed("image-programs", PROGRAMS)
    assert to_run("image-programs") == [PROGRAMS]


def test_an_unknown_group_or_part_is_refused(passed: Callable[..., int]) -> None:
    assert passed("nothing", PROGRAMS) == 2
    assert passed("quick", PROGRAMS) == 2


UNITS = [f"tests/unit/{name}.py" for name in ("first/test_a", "second/test_b", "third/test_charts")]
QUICK = [MANIFESTS, *UNITS]


@pytest.fixture(scope="module")
def quick_passed(committed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the repository and a record that all of the group quick have passed."""
    folder = tmp_path_factory.mktemp("quick")
    shutil.copytree(committed, folder, dirs_exist_ok=True)
    ask = partial(answer, folder / "checkout", folder / "cache")
    assert ask("parts", "quick").stdout.split() == QUICK
    assert ask("passed", "quick", *QUICK).returncode == 0
    assert ask("parts", "quick").stdout.split() == []
    return folder


@pytest.mark.parametrize(
    ("changed", "run"),
    [
        ("components/a.py", UNITS[:1]),
        ("components/c.py", UNITS[:1]),  # imported by a
        ("components/b.py", UNITS[1:]),  # named as a program, by a test and by a chart that a test names
        ("charts/team/values.yaml", UNITS[2:]),
        ("charts/team/README.md", UNITS[2:]),
        ("charts/other/values.yaml", []),
        ("k8s/base/role.yaml", [MANIFESTS]),
        ("k8s/samples/job.yaml", []),  # in the same folder as what is named
        ("components/words.txt", UNITS),  # who reads it cannot be seen
        ("tests/unit/second/data.json", UNITS[1:2]),
        ("tests/shared.py", UNITS[1:2]),
        ("tests/conftest.py", QUICK),
        ("uv.lock", QUICK),
        ("docs/a.md", []),
        ("Makefile", []),
        (".ci/run", []),
    ],
)
def test_a_part_runs_when_something_changed_that_its_tests_import_or_name(
    quick_passed: Path, tmp_path: Path, changed: str, run: list[str]
) -> None:
    shutil.copytree(quick_passed, tmp_path, dirs_exist_ok=True)
    commit(tmp_path / "checkout", changed)
    assert answer(tmp_path / "checkout", tmp_path / "cache", "parts", "quick").stdout.split() == run


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
    checkout: Path, to_run: Ask, passed: Callable[..., int], code: str, reads: bool
) -> None:
    write(checkout, {"tests/unit/first/test_a.py": f"FOUND = {code}\n"})
    assert passed("quick", *QUICK) == 0
    commit(checkout, "charts/team/values.yaml")
    assert (UNITS[0] in to_run()) == reads


def test_folders_whose_tests_read_the_entire_tree_always_run(
    checkout: Path, to_run: Ask, passed: Callable[..., int]
) -> None:
    commit(checkout, "tests/unit/docs/test_links.py")
    assert passed("quick", *QUICK, "tests/unit/docs/test_links.py") == 0
    assert to_run() == ["tests/unit/docs/test_links.py"]


CLUSTER = {
    "components/train/component.py": "def train():\n    from components.train.train import work\n",
    "components/train/train.py": 'PROGRAM = "components.train.engine.run"\n',
    "components/train/engine/run.py": "",
    "components/merge/component.py": (
        "from components.merge.step import STEP\ndef merge():\n    from components.merge.merge import work\n"
    ),
    "components/merge/step.py": "",
    "components/merge/merge.py": "",
    "components/launch/job.py": "",
    "pipelines/compile.py": "from components.merge.component import merge\n"
    "from components.train.component import train\n",
    "images/train/Dockerfile": "",
    "tests/cluster/conftest.py": "import tests.cluster.node.start\n",
    "tests/cluster/node/start.py": "",
    "tests/cluster/job_fixtures.py": "from components.launch.job import Job\n",
    "tests/cluster/storage.yaml": "",
    "tests/cluster/test_jobs.py": 'pytest_plugins = "tests.cluster.job_fixtures"\n@mark.alone\ndef test(): ...\n',
    "tests/cluster/test_node.py": "pytestmark = pytest.mark.alone\n",
    "tests/cluster/test_train.py": (
        'from pipelines.compile import compile\nPODS = {"components.train.component"}\npytestmark = pytest.mark.long\n'
    ),
    "tests/cluster/test_study.py": "pytestmark = [pytest.mark.timeout(9), pytest.mark.whole]\n",
}
JOBS, NODE, TRAIN = (f"tests/cluster/test_{name}.py" for name in ("jobs", "node", "train"))
CLUSTER_GROUPS = {"cluster-alone": [JOBS, NODE], "cluster-shared": [JOBS, TRAIN]}
"""A file may have tests of both; none is whole."""


@pytest.fixture(scope="module")
def cluster_passed(committed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the repository, tests on a cluster, and a record that all of them have passed."""
    folder = tmp_path_factory.mktemp("cluster")
    shutil.copytree(committed, folder, dirs_exist_ok=True)
    write(folder / "checkout", CLUSTER)
    for group, parts in CLUSTER_GROUPS.items():
        ask = partial(answer, folder / "checkout", folder / "cache")
        assert ask("parts", group).stdout.split() == parts
        assert ask("passed", group, *parts).returncode == 0
    return folder


@pytest.mark.parametrize(
    ("changed", "run"),
    [
        ("components/train/train.py", [TRAIN]),  # imported in the component's function, which its pods run
        ("components/train/engine/run.py", [TRAIN]),
        ("components/merge/merge.py", []),  # no test runs a pod of it
        ("components/merge/step.py", [TRAIN]),  # a pipeline is compiled with it
        ("components/merge/component.py", [TRAIN]),
        ("components/launch/job.py", [JOBS]),
        ("tests/cluster/node/start.py", [JOBS, NODE, TRAIN]),
        ("tests/cluster/storage.yaml", [JOBS, NODE, TRAIN]),
        ("images/train/Dockerfile", [JOBS, NODE, TRAIN]),
        (NODE, [NODE]),
        ("tests/shared.py", []),
        ("docs/a.md", []),
    ],
)
def test_a_file_of_tests_on_the_cluster_runs_when_its_pods_or_what_it_imports_changed(
    cluster_passed: Path, tmp_path: Path, changed: str, run: list[str]
) -> None:
    shutil.copytree(cluster_passed, tmp_path, dirs_exist_ok=True)
    commit(tmp_path / "checkout", changed)
    for group, parts in CLUSTER_GROUPS.items():
        found = answer(tmp_path / "checkout", tmp_path / "cache", "parts", group).stdout.split()
        assert found == [part for part in parts if part in run]


def test_each_group_has_a_memory_of_its_own(checkout: Path, to_run: Ask, passed: Callable[..., int]) -> None:
    write(checkout, CLUSTER)
    passed("cluster-alone", JOBS)
    assert (to_run("cluster-alone"), to_run("cluster-shared")) == ([NODE], [JOBS, TRAIN])


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, imported."""
    monkeypatch.syspath_prepend(str(ROOT / ".ci"))
    return importlib.import_module("groups")


def needs(groups: ModuleType, part: str, file: str) -> bool:
    """Whether a part of this repository's tests depends on a file of it."""
    assert (ROOT / part).exists() and (ROOT / file).is_file()
    return file in groups.Needs(part, groups.find(part))


def test_groups_name_what_is_in_the_repository(groups: ModuleType) -> None:
    further = {*groups.FURTHER, *(place for places in groups.FURTHER.values() for place in places)}
    named = {
        *further,
        *groups.ALWAYS,
        *groups.ALWAYS_NEEDED,
        *(each for listed in groups.GROUPS.values() for each in listed),
    }
    assert {place for place in named if not list(ROOT.glob(place))} == set()


def test_every_test_is_in_a_group(groups: ModuleType) -> None:
    listed = groups.git("ls-files", "tests").splitlines()
    tests = {file for file in listed if Path(file).name.startswith("test_") and file.endswith(".py")}
    parts = {part for group in groups.GROUPS for part in groups.parts(group)}
    left = {file for file in tests if not groups.is_among(file, parts)}
    whole = {file for file in left if "mark.whole" in (ROOT / file).read_text()}
    assert {file for file in left - whole if not file.startswith("tests/gpu/")} == set()


@pytest.mark.parametrize(
    ("part", "file"),
    [
        ("tests/integration/train/test_training.py", "components/train/engine/run_training.py"),
        ("tests/integration/pipeline/test_run.py", "components/curate/component.py"),
        ("tests/integration/launch/test_torchrun.py", "components/launch/here/torchrun.py"),
        ("tests/integration/train/test_training.py", "components/launch/here/local.py"),
        ("tests/integration/train/test_training.py", "components/launch/api/resources.py"),
        ("tests/integration/train/test_lost_node.py", "components/launch/follow/attempt.py"),
        ("tests/integration/train/test_lost_node.py", "components/launch/kinds/jobset.py"),
        ("tests/integration/launch/test_torchrun.py", "components/launch/kinds/pod_template.py"),
        ("tests/integration/pipeline/test_run.py", "pipelines/kubeflow/find_run.py"),
        ("tests/unit/publish/test_planted.py", "demo/plant_defects.py"),
        ("tests/serving/test_steps.py", "components/synthesize/generate.py"),
        ("tests/serving/test_openai_backend.py", "benchmarks/vllm_cpu/environment.py"),
        ("tests/serving/test_openai_backend.py", "images/ray/requirements-vllm.txt"),
        ("tests/golden/test_compile.py", "components/select/settings.py"),
        ("tests/golden/test_compile.py", "pipelines/study/graph.py"),
        ("tests/golden/test_retry_budgets.py", "docs/operations.md"),
        ("tests/manifests/test_samples.py", "k8s/samples/rayjob.yaml"),
        ("tests/charts/test_both_charts.py", "charts/tutelage/README.md"),
        ("tests/contract/test_select.py", "components/select/select.py"),
        ("tests/cluster/test_training.py", "components/train/engine/run_training.py"),
        ("tests/cluster/test_training.py", "components/train/methods/kto.py"),
        ("tests/cluster/test_training.py", "components/launch/kinds/trainjob.py"),
        ("tests/cluster/test_training.py", "components/launch/here/torchrun.py"),
        ("tests/cluster/test_training.py", "components/select/settings.py"),
        ("tests/cluster/test_training.py", "components/shared/store/s3.py"),
        ("tests/cluster/test_training.py", "images/train/requirements.txt"),
        ("tests/cluster/test_training.py", "pipelines/placements/small-cluster.yaml"),
        ("tests/cluster/test_rollout_training.py", "components/train/rollouts/draw.py"),
        ("tests/cluster/test_components.py", "components/collect/collect.py"),
        ("tests/cluster/test_components.py", "components/clean_up/clean_up.py"),
        ("tests/cluster/test_demo.py", "components/select/select.py"),
        ("tests/cluster/test_demo.py", "components/synthesize/generate.py"),
        ("tests/cluster/test_demo.py", "charts/tutelage/values.yaml"),
        ("tests/cluster/test_samples.py", "components/synthesize/generate.py"),
        ("tests/cluster/test_chart.py", "pipelines/doctor/try_cluster.py"),
        ("tests/cluster/test_teacher_chart.py", "components/models/place_model.py"),
        ("tests/cluster/test_queue.py", "components/launch/job.py"),
        ("tests/cluster/test_doctor.py", "pipelines/doctor/rights.py"),
        ("tests/cluster/test_manifests.py", "charts/teacher/values.yaml"),
        ("tests/cluster/test_node.py", "tests/cluster/node/daemons.py"),
        ("tests/cluster/test_training.py", "tests/cluster/kubeflow/pod_program.py"),
        ("tests/cluster/test_rayjob.py", "tests/cluster/node/__main__.py"),
        ("tests/cluster/test_rayjob.py", "tests/tools/trim_crd.py"),
        ("tests/unit/rewards/test_math_check.py", "components/rewards/checks/math_worker.py"),
        ("tests/cluster/test_rayjob.py", "tests/cluster/node/storage.yaml"),
        ("tests/golden/test_compile.py", "tests/golden/demo.yaml"),
        ("tests/golden/test_compile.py", "pipelines/recipes/demo.yaml"),
    ],
)
def test_what_tests_import_and_what_their_pods_run_is_found(groups: ModuleType, part: str, file: str) -> None:
    assert needs(groups, part, file)


@pytest.mark.parametrize(
    ("part", "file"),
    [
        ("tests/golden/test_compile.py", "components/select/select.py"),
        ("tests/charts/test_tutelage_chart.py", "components/train/engine/run_training.py"),
        ("tests/contract/test_select.py", "components/merge/merge.py"),
        ("tests/integration/train/test_training.py", "components/launch/follow/attempt.py"),
        ("tests/integration/train/test_pipeline_stages.py", "pipelines/study/graph.py"),
        ("tests/integration/synthesize/test_generate.py", "components/launch/kinds/rayjob.py"),
        ("tests/integration/pipeline/test_run.py", "pipelines/kubeflow/submit.py"),
        ("tests/cluster/test_training.py", "components/select/select.py"),
        ("tests/cluster/test_training.py", "components/publish/publish.py"),
        ("tests/cluster/test_training.py", "charts/tutelage/values.yaml"),
        ("tests/cluster/test_training.py", "tests/hub_server.py"),
        ("tests/serving/test_teacher_chart.py", "components/select/select.py"),
        ("tests/cluster/test_rayjob.py", "components/train/engine/run_training.py"),
        ("tests/cluster/test_queue.py", "pipelines/registry.py"),
        ("tests/cluster/test_chart.py", "components/train/engine/run_training.py"),
        ("tests/cluster/test_chart.py", "charts/tutelage/README.md"),
        ("tests/cluster/test_manifests.py", "components/train/engine/run_training.py"),
        ("tests/cluster/test_node.py", "components/launch/job.py"),
        ("tests/cluster/test_rayjob.py", "tests/golden/demo.yaml"),
        ("tests/integration/pipeline/test_run.py", "tests/golden/demo.yaml"),
        ("tests/unit/shared/test_errors.py", "benchmarks/results/training.json"),
    ],
)
def test_what_tests_do_not_reach_is_not_needed(groups: ModuleType, part: str, file: str) -> None:
    assert not needs(groups, part, file)


def test_the_longest_files_are_there() -> None:
    assert [file for file in LONGEST if not (ROOT / "tests/integration" / file).is_file()] == []


@pytest.mark.parametrize("file", ["curate/test_real_data.py", "evaluate/test_endpoint_row.py", "pipeline/test_run.py"])
def test_a_recipes_benchmarks_are_not_the_folder(groups: ModuleType, file: str) -> None:
    assert not needs(groups, f"tests/integration/{file}", "benchmarks/results/demo_study.json")
