"""Looks at everything that a run needs and says what to do about what is missing."""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from rich.console import Console

from components.models.reference import as_parent
from components.models.teacher import Sampling, TeacherSettings
from components.shared.errors import TeacherError, TutelageError
from components.shared.sandbox import missing_mechanism
from components.shared.try_store import try_store
from pipelines.recipe import Recipe

NEEDED_MEMORY = 6 * 2**30
NEEDED_DISK = 10 * 2**30
PROBE_TOKENS = 64
"""Longest answer to the question that tries an endpoint, in tokens: a step's own limit where that is lower."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `warning`: it keeps nothing from running, but somebody may want to know."""

    what: str
    good: bool
    text: str
    remedy: str = ""
    warning: bool = False


def examine(recipe: Recipe | None) -> Iterator[Finding]:
    """Look at this machine, and at what a recipe names."""
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
    yield _checked("store", recipe.store, lambda: try_store(recipe.store))
    yield _checked("student", recipe.student, lambda: as_parent(recipe.student).digest[:12])
    for name, teacher, sampling in teachers_of(recipe):
        yield _checked(name, teacher.model, partial(_use_teacher, teacher, sampling))


def teachers_of(recipe: Recipe) -> list[tuple[str, TeacherSettings, Sampling]]:
    """Every model that will be asked, with its place in the recipe and how it is asked; each only once."""
    found: dict[str, tuple[str, TeacherSettings, Sampling]] = {}
    for place, settings, sampling in _asked(recipe):
        tokens = min(sampling.max_tokens, PROBE_TOKENS)
        found.setdefault(f"{tokens} {settings.model_dump_json()}", (place, settings, sampling))
    return list(found.values())


def _asked(recipe: Recipe) -> Iterator[tuple[str, TeacherSettings, Sampling]]:
    """The models that the steps will ask: a teacher that is named and not used need not be there."""
    if (labeller := recipe.curate.model_asked) is not None:
        yield "curate.teacher", *labeller
    for origin in recipe.synthesize.asked:
        yield f"synthesize.{origin}", recipe.synthesize.model_of(origin), recipe.synthesize.sampling_of(origin)
    for score, scorer in recipe.select.scorers.items():
        if (judge := scorer.model_asked) is not None:
            yield f"select.{score}.teacher", *judge


def print_findings(findings: Iterator[Finding]) -> bool:
    """A line for each finding as it comes; True when all are good."""
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
    text = f"{available / 2**30:.1f} GiB available, {NEEDED_MEMORY / 2**30:.0f} GiB wanted"
    return Finding("memory", available >= NEEDED_MEMORY, text, "close other programs, or use a larger machine")


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    text = f"{free / 2**30:.1f} GiB free at {folder}, {NEEDED_DISK / 2**30:.0f} GiB wanted"
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
    return Finding("packages", not wrong, "; ".join(wrong) or "all there, all of the right version", "make install")


def _accelerator() -> Finding:
    import torch

    if not torch.cuda.is_available():
        return Finding("accelerator", True, "none: small models only")
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return Finding("accelerator", True, ", ".join(names))


def _sandbox() -> Finding:
    missing = missing_mechanism()
    text = f"cannot be confined: {missing}" if missing else "code that a model wrote can be confined"
    return Finding(
        "sandbox", not missing, text, "use a kernel with seccomp, or leave out checks and benchmarks of code"
    )


def _checked(what: str, name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, f"{name} ({look()})")
    except TutelageError as error:
        return Finding(what, False, error.problem, error.remedy)


def _use_teacher(settings: TeacherSettings, sampling: Sampling) -> str:
    """Ask a teacher behind an endpoint one question; look whether a local model is there. Raises TutelageError."""
    if settings.backend != "openai":
        return f"{settings.backend}, {as_parent(settings.model).digest[:12]}"
    from components.models.settle_reply import needs_more_tokens
    from components.models.teacher import Request, open_teacher
    from components.shared.rows import Message

    tokens = min(sampling.max_tokens, PROBE_TOKENS)
    teacher = open_teacher(settings.model_copy(update={"attempts": 1, "timeout_seconds": 30.0}))
    try:
        request = Request(key="doctor", messages=(Message(role="user", content="Say: ready"),))
        reply = next(iter(teacher.answer([request], Sampling(max_tokens=tokens))))
    finally:
        teacher.close()
    if needs_more_tokens(reply) and tokens < sampling.max_tokens:
        return f"thinks before it answers, within max_tokens {sampling.max_tokens}"
    if reply.finish == "error":
        remedy = "check the endpoint, its key, and max_tokens, which the reasoning needs too"
        raise TeacherError(f"{settings.model} did not answer: {reply.text}", remedy=remedy)
    return "answers"
