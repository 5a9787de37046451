"""Checks this machine and what a recipe needs, and suggests remedies."""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from rich.console import Console

from components.shared.finding import Finding, Look, checked
from components.shared.sandbox.run_python import missing_mechanism
from components.shared.step import Location
from components.shared.store.try_store import try_store
from pipelines.pipeline import Recipe
from pipelines.placement.check_images import INSTALL_REMEDY, packages_missing_here
from pipelines.placement.task import Task
from pipelines.registry import pipeline_of, tasks_of

NEEDED_MEMORY = 6 * 2**30
NEEDED_DISK = 10 * 2**30


def examine(recipe: Recipe | None) -> Iterator[Finding]:
    """Check this machine, and what a recipe names."""
    yield from (
        _python(),
        _memory(),
        _disk(Path.cwd()),
        _disk(Path(tempfile.gettempdir())),
        _packages(),
        _accelerator(),
        _sandbox(),
    )
    if recipe is None:
        return
    yield from _backends(tasks_of(recipe))
    yield checked("store", recipe.store, lambda: try_store(recipe.store))
    yield from _findings(looks_at(recipe))


def _backends(tasks: Sequence[Task]) -> Iterator[Finding]:
    """Warnings about backends that this machine lacks: on a cluster, their tasks run in an image that has them."""
    for package, names in packages_missing_here(tasks).items():
        text = f"not installed in this environment; {', '.join(names)} need it in a run on this machine"
        yield Finding(package, True, text, INSTALL_REMEDY, warning=True)


def looks_at(recipe: Recipe) -> list[Look]:
    """The checks of the recipe's pipeline and steps, in the order of the tasks, without duplicates."""
    looks = [*pipeline_of(recipe).examine(recipe)]
    for task in tasks_of(recipe):
        looks += task.step.examine(task.settings, ".".join(map(str, _place(task))), task.inputs)
    found: dict[str, Look] = {}
    for look in looks:
        found.setdefault(look.key or f"{look.what} {look.name}", look)
    return list(found.values())


def _place(task: Task) -> Location:
    return tuple(part for part in task.location if part != "settings")


def _findings(looks: list[Look]) -> Iterator[Finding]:
    bad: set[str] = set()
    for look in looks:
        if look.needs in bad:
            continue
        finding = checked(look.what, look.name, look.look)
        if not finding.good and look.key:
            bad.add(look.key)
        yield finding


def print_findings(findings: Iterator[Finding]) -> bool:
    """Print a line for each finding as it arrives; True when all are good."""
    console = Console()
    good = True
    for finding in findings:
        mark = "[red]!![/]" if not finding.good else "[yellow]--[/]" if finding.warning else "[green]ok[/]"
        console.print(f"{mark} {finding.what}: ", end="")
        console.print(finding.text, markup=False, highlight=False, soft_wrap=True)
        if (finding.warning or not finding.good) and finding.remedy:
            console.print(f"   do: {finding.remedy}", markup=False, highlight=False, soft_wrap=True)
        good = good and finding.good
    return good


def _python() -> Finding:
    good = sys.platform == "linux" and sys.version_info >= (3, 11)
    return Finding(
        "python", good, f"{platform.python_version()} on {sys.platform}", "use Linux with Python 3.11 or later"
    )


def _memory() -> Finding:
    available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            available = int(line.split()[1]) * 1024
    text = f"{available / 2**30:.1f} GiB available, {NEEDED_MEMORY / 2**30:.0f} GiB needed"
    return Finding("memory", available >= NEEDED_MEMORY, text, "close other programs, or use a larger machine")


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    text = f"{free / 2**30:.1f} GiB free at {folder}, {NEEDED_DISK / 2**30:.0f} GiB needed"
    return Finding("disk", free >= NEEDED_DISK, text, "free some space, or set TMPDIR and the store to a larger disk")


def _packages() -> Finding:
    from packaging.requirements import Requirement

    wrong = []
    for text in requires("tutelage") or []:
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate({"extra": "all"}):
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
            continue
        if found not in requirement.specifier:
            wrong.append(f"{requirement.name} is {found}, not {requirement.specifier}")
    return Finding("packages", not wrong, "; ".join(wrong) or "installed, in the right versions", "make install")


def _accelerator() -> Finding:
    import torch

    if not torch.cuda.is_available():
        return Finding("accelerator", True, "none: small models only")
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return Finding("accelerator", True, ", ".join(names))


def _sandbox() -> Finding:
    missing = missing_mechanism()
    text = f"cannot be confined: {missing}" if missing else "code written by a model can be confined"
    return Finding(
        "sandbox", not missing, text, "use a kernel with seccomp, or do without checks and benchmarks of code"
    )
