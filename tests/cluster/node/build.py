"""Building the programs that are not in the cache: about 20 minutes on two cores from scratch."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.cluster.node.commands import run
from tests.cluster.node.errors import NodeError
from tests.cluster.node.places import CACHE
from tests.cluster.node.programs import PROGRAMS, Program

BUILD_CACHE = CACHE / "go-build"
"""Go's build cache while programs are missing. It grows to many gigabytes, so it is deleted when all are built."""

PAUSE = CACHE / "pause-1" / "pause"
"""The program of every pod's first container: it waits."""

PAUSE_SOURCE = """
#include <signal.h>
#include <unistd.h>
static void stop(int signal) { _exit(0); }
int main() { signal(SIGTERM, stop); signal(SIGINT, stop); for (;;) pause(); }
"""


def missing_programs() -> list[Program]:
    """Programs that must be built first."""
    return [program for program in PROGRAMS if not program.built]


def build_missing() -> None:
    """Build what the cache does not hold, and nothing else.

    Raises:
        NodeError: Go or a C compiler is missing, or a build failed.
    """
    missing = missing_programs()
    if missing and shutil.which("go") is None:
        raise NodeError(f"Go is needed once to build {', '.join(program.name for program in missing)}: put it on PATH")
    for number, program in enumerate(missing, 1):
        started = time.monotonic()
        print(f"building {program.name} {program.version} ({number} of {len(missing)})", file=sys.stderr, flush=True)
        _build(program)
        print(f"  {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    if missing:
        shutil.rmtree(BUILD_CACHE, ignore_errors=True)
    if not PAUSE.exists():
        _build_pause()


def source_of(program: Program) -> Path:
    """The module's source in Go's module cache, fetched when it is not there: it holds the official manifests."""
    found = run(["go", "mod", "download", "-json", f"{program.module}@v{program.version}"], folder=Path("/"))
    return Path(json.loads(found)["Dir"])


def _build(program: Program) -> None:
    program.folder.parent.mkdir(parents=True, exist_ok=True)
    # On the cache's own file system, so that the finished folder is moved into place atomically.
    with tempfile.TemporaryDirectory(prefix=".build-", dir=CACHE) as work:
        module, made = Path(work, "module"), Path(work, "made")
        module.mkdir()
        made.mkdir()
        (module / "go.mod").write_text(_module_file(program))
        # Without debugging information: a quarter less to compile, link and keep.
        lean = ["-gcflags=all=-dwarf=false", "-ldflags", f"-s -w {program.link_flags}"]
        # All of a module's programs in one command, so that one is linked while the next is compiled.
        target = f"{made}/" if program.files else str(made / program.name)
        command = ["go", "build", "-mod=mod", "-buildvcs=false", "-trimpath", *lean, "-o", target]
        _go([*command, *program.packages], module, program)
        shutil.rmtree(program.folder, ignore_errors=True)
        made.rename(program.folder)


def _go(command: list[str], folder: Path, program: Program) -> None:
    environment = {**os.environ, "GOCACHE": str(BUILD_CACHE), "GOTOOLCHAIN": "local", "GOFLAGS": ""}
    environment["CGO_ENABLED"] = "0" if program.static else os.environ.get("CGO_ENABLED", "1")
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=3600
    )
    if done.returncode:
        raise NodeError(f"{program.name} {program.version} does not build: {done.stdout.decode()[-1500:]}")


def _module_file(program: Program) -> str:
    """A module that requires just this program: `go install PKG@VERSION` refuses a module with replace lines."""
    replaced = _replacements(source_of(program) / "go.mod", program.version)
    lines = ["module build", "go 1.26.0", f"require {program.module} v{program.version}"]
    tools = [f"tool {package}" for package in program.packages]
    return "\n".join([*lines, *tools, *(f"replace {row}" for row in replaced), ""])


def _replacements(module_file: Path, version: str) -> list[str]:
    """The replace lines of a module, which Go obeys only in the main module.

    Kubernetes replaces its staging modules by folders of its own tree; they are published as v0.MINOR.PATCH.
    """
    text = module_file.read_text()
    rows = re.findall(r"(?m)^replace\s+(\S.*=>.*)$", text)
    for block in re.findall(r"(?ms)^replace \((.*?)^\)", text):
        rows += [row.split("//")[0].strip() for row in block.splitlines() if "=>" in row]
    published = re.sub(r"^1\.", "v0.", version)
    staged = [re.sub(r"=> \./staging/src/(\S+)", rf"=> \1 {published}", row) for row in rows]
    return [row for row in staged if "=> ./" not in row and "=> ../" not in row]


def _build_pause() -> None:
    PAUSE.parent.mkdir(parents=True, exist_ok=True)
    made = PAUSE.with_suffix(f".{os.getpid()}")
    run(["gcc", "-static", "-O2", "-x", "c", "-o", made, "-"], PAUSE_SOURCE)
    made.rename(PAUSE)
