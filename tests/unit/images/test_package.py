"""An image has Tutelage installed as a package, which must include the files beside the code."""

import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_the_package_holds_every_file_of_the_repository() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["*"]
    listed = ["git", "ls-files", "components", "pipelines"]
    files = subprocess.run(
        listed, cwd=ROOT, check=True, capture_output=True, text=True, timeout=3600
    ).stdout.splitlines()
    missing = [file for file in files if not any(fnmatch(Path(file).name, kind) for kind in ("*.py", *patterns))]
    assert files and not missing
