"""What benchmarks make once, out of packages, and keep in ~/.cache/tutelage by content."""

import contextlib
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tutelage"


class CommandError(Exception):
    """A program could not be started, took too long, or failed; the text has the end of what it printed."""


def uv() -> str:
    """The program uv: the machine's own, or the one that `make install` fetched."""
    return shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")


def run_to_end(command: Sequence[str], seconds: float, variables: Mapping[str, str] | None = None) -> None:
    """Run a program from the repository's root, with variables besides this process's own. Raises CommandError."""
    environment = {**os.environ, "UV_SYSTEM_CERTS": "1", **(variables or {})}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandError(f"{command[0]}: {error}") from error
    if done.returncode:
        said = " ".join(done.stderr.split())[-500:]
        raise CommandError(f"{' '.join(command[:3])} ended with {done.returncode}: {said}")


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Only one process at a time makes the folder; the others wait for it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
