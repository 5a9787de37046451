#!/usr/bin/env python3
"""Which groups of tests a change can have touched: the others passed before with the very same files.

    .ci/groups.py todo GROUP          exit code 0 when the group has to run, 3 when it can be left out; says why
    .ci/groups.py passed GROUP        remember that the group has passed with the files of HEAD

A group's key is the hash of the files that it depends on, as git stores them, and of the real data where a test reads
some. Keys of what passed are kept outside of the tree, so that a fresh clone finds them. `make test-all` asks nobody.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

CODE = ("components", "pipelines", "demo", "pyproject.toml", "uv.lock")
JOBS = ("components/launch", "components/shared", "components/clean_up", "pyproject.toml", "uv.lock")
"""What the tests that stop parts of the cluster use of the product: they run jobs of one line, not its steps."""
VLLM_CPU = ("benchmarks/made_once.py", "benchmarks/vllm_cpu")
CLUSTER_TESTS = ("tests/cluster", "tests/charts", "tests/manifests")
SERVING = (
    "tests/serving",
    "tests/charts/*.py",
    *VLLM_CPU,
    "images/ray",
    "charts/teacher",
)
SHARED_TESTS = ("tests/*.py", "tests/tools", "Makefile", ".ci")
GROUPS = {
    "integration": (*CODE, *SHARED_TESTS, "tests/integration", "benchmarks"),
    "serving": (*CODE, *SHARED_TESTS, *SERVING),
    "cluster": (*CODE, *SHARED_TESTS, *VLLM_CPU, "images", ".dockerignore", "charts", "k8s", "tests/cluster"),
    "cluster-alone": (*JOBS, *SHARED_TESTS, *CLUSTER_TESTS, "images", ".dockerignore", "charts", "k8s"),
    "image-programs": (*CODE, *SHARED_TESTS, "images", ".dockerignore", "charts", "k8s", "tests/images"),
    "image-contents": ("pyproject.toml", "uv.lock", "images", ".dockerignore", "tests/images", *SHARED_TESTS),
}
"""Groups that take long, and what they depend on. Lint and the quick tests always run."""
KEPT = 50
"""Keys of a group that are remembered."""
LEFT_OUT = 3


def main(words: list[str]) -> int:
    """Answer one question; returns the exit code."""
    if len(words) != 2 or words[0] not in {"todo", "passed"} or words[1] not in GROUPS:
        print(f"{__doc__}\ngroups: {', '.join(GROUPS)}", file=sys.stderr)
        return 2
    action, group = words
    key, memory = key_of(group), memory_of(group)
    if action == "passed":
        remember(memory, key)
        return 0
    commit = dict(line.split() for line in lines_of(memory)).get(key)
    if commit is None:
        print(f"{group}: runs, since no run with these files has passed here ({key})")
        return 0
    print(f"{group}: left out, since its files are those of {commit[:12]}, where it passed: {', '.join(GROUPS[group])}")
    return LEFT_OUT


def key_of(group: str) -> str:
    """Hash of the files that a group depends on: the commit's, so nothing of them may differ from it."""
    listed = git("ls-tree", "-r", "--full-tree", "HEAD")
    files = [line for line in listed.splitlines() if depends(group, line.partition("\t")[2])]
    data = bool(os.environ.get("TUTELAGE_TEST_DATA"))
    return hashlib.sha256("\n".join([*files, str(data)]).encode()).hexdigest()[:16]


def depends(group: str, file: str) -> bool:
    """Whether a group depends on a file: it is named, is in a folder that is named, or matches a pattern.

    None depends on a document: the quick tests, which always run, read those.
    """
    return not file.endswith(".md") and any(
        file == place or file.startswith(f"{place}/") or _fits(file, place) for place in GROUPS[group]
    )


def _fits(file: str, pattern: str) -> bool:
    """Whether a file matches a pattern, in which * matches no folder."""
    return "*" in pattern and Path(file).parent == Path(pattern).parent and Path(file).match(pattern)


def memory_of(group: str) -> Path:
    """Where a group's keys are kept: lines of a key and the commit that passed."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "tutelage" / "passed" / group


def remember(memory: Path, key: str) -> None:
    """Add a key, unless files that it covers differ from the commit."""
    if changed := git("status", "--porcelain", "--untracked-files=no"):
        print(f"not remembered, since files differ from the commit:\n{changed}", file=sys.stderr)
        return
    memory.parent.mkdir(parents=True, exist_ok=True)
    lines = [line for line in lines_of(memory) if not line.startswith(key)]
    memory.write_text("\n".join([*lines[-KEPT:], f"{key} {git('rev-parse', 'HEAD').strip()}"]) + "\n")


def lines_of(memory: Path) -> list[str]:
    """The lines of a file that may be absent."""
    return memory.read_text().splitlines() if memory.exists() else []


def git(*words: str) -> str:
    """What git prints in this repository."""
    folder = Path(__file__).resolve().parents[1]
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout  # noqa: S607


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
