#!/usr/bin/env python3
"""Which tests a change can have touched: the others passed before with the very same files.

    .ci/groups.py parts GROUP           print those parts of a group that have to run; says why on stderr
    .ci/groups.py passed GROUP PART…    remember that parts of a group have passed with the files of HEAD

A group is what one command of .ci/run runs; its parts are its files with tests. A part depends on what
its tests import or name (imported.py), and on the files that are not Python beside those modules. A part's key is the
hash of those files, as git stores them, and of the real data where a test reads some. Keys of what passed are kept
outside of the tree, so that a fresh clone finds them. On a machine that keeps none, a part has passed if none of its
files has changed since the commit in .ci/landed, the newest for which all of .ci/run passed. `make test-all` asks
nobody.
"""

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from imported import PACKAGES, ROOT, Found, find

PRODUCT = ("components", "pipelines", "demo")
BUILDS = ("images", ".dockerignore")
"""What images are built from, beside the product and its lock file."""
ALWAYS_NEEDED = ("pyproject.toml", "uv.lock", "tests/tools", ".ci/packages")

QUICK = tuple(f"tests/{name}" for name in ("unit", "contract", "golden", "charts", "manifests"))
PROGRAMS = "tests/images/test_programs.py"
GROUPS = {
    "quick": tuple(f"{folder}/**/test_*.py" for folder in QUICK),
    "integration": ("tests/integration/**/test_*.py",),
    "serving": ("tests/serving/test_*.py",),
    "image-contents": ("tests/images/test_*.py",),
    "image-programs": (PROGRAMS,),
    "cluster-alone": ("tests/cluster/test_*.py",),
    "cluster-shared": ("tests/cluster/test_*.py",),
}
"""Where each group's parts are. Lint always runs."""
ALWAYS = tuple(f"tests/unit/{name}" for name in ("architecture", "ci", "docs", "images", "registries", "test_*.py"))
"""Parts whose tests read the entire tree: they always run."""
FURTHER = {
    "tests/serving": ("images/ray",),
    "tests/images/*": BUILDS,
    PROGRAMS: (*PRODUCT, "charts", "k8s"),
    "tests/cluster/*": (*BUILDS, "tests/cluster/node"),
}
"""What parts depend on beside what they import or name."""
LANDED = ROOT / ".ci" / "landed"
KEPT = 50
"""Keys of a part that are remembered."""


def main(words: list[str]) -> int:
    """Answer one question; returns the exit code."""
    match words:
        case ["parts", group] if group in GROUPS:
            print(*parts_to_run(group))
            return 0
        case ["passed", group, *passed] if group in GROUPS and passed and set(passed) <= set(parts(group)):
            for part in passed:
                remember(memory_of(group, part), key_of(Needs(part, find(part))))
            return 0
    print(f"{__doc__}\ngroups: {', '.join(GROUPS)}", file=sys.stderr)
    return 2


def parts(group: str) -> list[str]:
    """The files with tests of a group, in alphabetical order."""
    found = {path for pattern in GROUPS[group] for path in ROOT.glob(pattern)}
    return sorted(str(path.relative_to(ROOT)) for path in found if is_of(group, path))


def is_of(group: str, path: Path) -> bool:
    """Whether a file has tests of the group: those of the cluster and of images share a folder."""
    match group:
        case "cluster-alone":
            return "mark.alone" in path.read_text()
        case "cluster-shared":
            return not re.search(r"^pytestmark = .*\bmark\.(alone|whole)\b", path.read_text(), re.MULTILINE)
        case "image-contents":
            return str(path.relative_to(ROOT)) != PROGRAMS
    return True


def parts_to_run(group: str) -> list[str]:
    """Those parts of a group that have to run; says why on stderr."""
    found = parts(group)
    needed = [part for part in found if has_to_run(group, part)]
    left = len(found) - len(needed)
    print(
        f"{group}: {left} of {len(found)} parts are left out, since they have passed with these files", file=sys.stderr
    )
    return needed


def has_to_run(group: str, part: str) -> bool:
    """Whether a part has to run; if so, says why on stderr."""
    reason = "it reads the entire tree"
    if not is_among(part, ALWAYS):
        needs = Needs(part, find(part))
        key = key_of(needs)
        if any(line.startswith(f"{key} ") for line in lines_of(memory_of(group, part))):
            return False
        changed = [file for file in changed_since_landing() if file in needs]
        if not changed and landed():
            return False
        reason = f"it has not passed here with these files ({key}){': ' + some(changed) if changed else ''}"
    print(f"{group}: {part} runs, since {reason}", file=sys.stderr)
    return True


@cache
def landed() -> str:
    """The commit for which all of .ci/run passed; none where this history does not have it."""
    commit = LANDED.read_text().strip() if LANDED.exists() else ""
    known = ["git", "merge-base", "--is-ancestor", commit, "HEAD"]
    if commit and subprocess.run(known, cwd=ROOT, capture_output=True, check=False).returncode:
        print(f"{LANDED.name}: {commit} is not in the history of this clone, so it leaves out nothing", file=sys.stderr)
        return ""
    return commit


@cache
def changed_since_landing() -> tuple[str, ...]:
    """The files that differ between the commit that landed and HEAD."""
    if not landed():
        return ()
    return tuple(git("diff", "--name-only", "--no-renames", landed(), "HEAD").splitlines())


def some(files: list[str]) -> str:
    """The first of some files, and how many more there are."""
    return f"{files[0]} changed" if len(files) == 1 else f"{files[0]} and {len(files) - 1} more changed"


def key_of(needs: "Needs") -> str:
    """Hash of the files that a part depends on: the commit's, so nothing of them may differ from it."""
    files = [line for line in committed() if line.partition("\t")[2] in needs]
    data = bool(os.environ.get("TUTELAGE_TEST_DATA"))
    return hashlib.sha256("\n".join([*files, str(data)]).encode()).hexdigest()[:16]


@cache
def committed() -> tuple[str, ...]:
    """The files of HEAD, as git lists them: mode, kind, hash, a tab, and the path."""
    return tuple(git("ls-tree", "-r", "--full-tree", "HEAD").splitlines())


class Needs:
    """What a part depends on, given what its tests import and name."""

    def __init__(self, part: str, found: Found) -> None:
        self.modules = found.modules
        self.named = [part, *ALWAYS_NEEDED, *found.places]
        self.named += [place for pattern, places in FURTHER.items() if is_among(part, [pattern]) for place in places]
        self.folders = {folder_of(module) for module in found.modules}
        """A file that is not Python is read by a module in its folder or the one above, unless that is a package with
        everything in it, such as `tests`: what those modules read, as recipes and golden files, tests name."""
        if any(module.startswith(PRODUCT) for module in found.modules):
            self.named.append("demo")  # `package:demo/…` in a recipe
        self.documents = found.places if is_among(part, QUICK) else frozenset[str]()
        """Only quick tests read documents."""

    def __contains__(self, file: str) -> bool:
        """Whether the part depends on a file."""
        if file.endswith(".md"):
            return is_among(file, self.documents)
        if file.endswith(".py") and file.startswith(PACKAGES):
            return file in self.modules or is_among(file, self.named)
        folder = folder_of(file)
        beside = folder in self.folders or folder_of(folder) in self.folders - {*PACKAGES}
        return beside or is_among(file, self.named)


def folder_of(file: str) -> str:
    """The folder that a file or folder is in."""
    return file.rpartition("/")[0]


def is_among(file: str, places: Iterable[str]) -> bool:
    """Whether a file is named, is in a folder that is named, or fits a pattern, in which * matches no folder."""
    return any(file == place or file.startswith(f"{place}/") or _fits(file, place) for place in places)


def _fits(file: str, pattern: str) -> bool:
    return "*" in pattern and file.count("/") == pattern.count("/") and fnmatchcase(file, pattern)


def memory_of(group: str, part: str) -> Path:
    """Where a part's keys are kept: lines of a key and the commit that passed."""
    cache_folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache_folder / "tutelage" / "tests-passed" / group / part


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
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout  # noqa: S607


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
