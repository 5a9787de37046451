"""Critique: runs a Ray job and turns its result into the output."""

from collections.abc import Callable, Mapping
from typing import Any

from components.critique.assigned import assigned
from components.critique.combine import KINDS, combine
from components.critique.results import SFT, CritiqueShards
from components.critique.settings import CritiqueAssignment, CritiqueSettings
from components.critique.step import CRITIQUED, DIAGNOSES, REPAIRS, STEP
from components.launch.hand_back.files import JobResult
from components.launch.hand_back.hand_over import HandedJob
from components.models.rollouts.list_kept import list_kept
from components.models.rollouts.teacher_replies import teacher_parent
from components.models.stored.check_stored import require_complete
from components.models.stored.stored_model import read_model
from components.shared.errors import InputError, naming_step
from components.shared.log import say
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output
from components.shared.outputs.shards import count_rows
from components.shared.rollout_rows import Probed
from components.shared.rows import SftRow
from components.shared.text.counted import counted

REPORT = "report.json"
NOTHING_UNSOLVED = "no problem is unsolved: there is nothing to critique"
NO_RIGHT_ONES = "no diagnosis is learnt: there is no right solution to balance the wrong ones"
NO_TRACES = "no critique is learnt: there are no traces, and the shares of the critiques are of all rows"

Write = Callable[[CritiqueAssignment], JobResult]


def critique_rollouts(
    library: Library,
    settings: CritiqueSettings,
    probed: Manifest,
    bridged: Manifest,
    *,
    write: Write | None = None,
) -> Manifest:
    """Add to the traces what is wrong in failed rollouts, and how they are corrected.

    Args:
        library: where outputs are stored.
        settings: the teacher, what it is asked, and how much of it is learnt.
        probed: the probe's output, with Probed, each with a check.
        bridged: the bridge's output for these problems, with SftRow in `sft/`.
        write: does what the job does, in its place; None: the job runs.

    Returns:
        The manifest of an address with SftRow in `sft/` (each kind in a folder of its own), Critique in `critiques/`,
        Dropped in `dropped/`, and `report.json`. Without an unsolved problem it has the traces alone.

    Raises:
        InputError: a problem without a check, or rows of another kind.
        SandboxError: code is to be run, and it cannot be confined where the job runs.
        GenerationError: the teacher cannot be reached, or too many of its diagnoses failed.
        ModelError: the teacher is not complete, or cannot be loaded.
    """
    teacher = teacher_parent(settings.teacher)
    output = Output(library, CRITIQUED, settings, {"probed": probed, "bridged": bridged, **teacher})

    def check() -> None:
        _require_inputs(library, probed, bridged)
        if teacher and (stored := read_model(settings.teacher.model)) is not None:
            require_complete(stored)

    def work() -> Manifest:
        assignment = CritiqueAssignment(
            root=library.absolute_root,
            address=output.address,
            probed=probed.address,
            bridged=bridged.address,
            diagnoses=settings.diagnosis_source.kept_at(DIAGNOSES, teacher),
            repairs=settings.repair_source.kept_at(REPAIRS, teacher),
            settings=settings,
        )
        handed = HandedJob(output, JobResult)
        result = handed.result() or _made(handed, assignment, write)
        for shard in result.shards:
            output.adopt(shard)
        output.write_json(REPORT, report_of(settings, result.counts))
        list_kept(library, DIAGNOSES, settings.diagnosis_source, teacher)
        list_kept(library, REPAIRS, settings.repair_source, teacher)
        manifest = output.finish(result.counts, settings.teacher.price.on(result.cost))
        CritiqueShards(output.store).clean()
        handed.clear()
        return manifest

    return output.made(work, prepare=check, wait_seconds=settings.launch.wait_seconds)


def _require_inputs(library: Library, probed: Manifest, bridged: Manifest) -> None:
    """Check before the job starts that every problem has a check, and that the traces are rows to learn."""
    with naming_step(STEP.name):
        unchecked = [row.id for row in library.read_rows(probed, Probed) if row.check is None]
        for _ in library.read_rows(bridged, SftRow, SFT):
            pass
    if unchecked:
        raise InputError(
            f"{counted(len(unchecked), 'problem')} of {count_rows(probed):,} came without a check, the first: "
            f"{unchecked[0]!r}",
            rule="a diagnosis is believed only where it agrees with the check, and a correction only where it passes",
            remedy="collect these rows with a check (`check` of the source: math, exact, choice or code)",
            step=STEP.name,
        )


def _made(handed: HandedJob[JobResult], assignment: CritiqueAssignment, write: Write | None) -> JobResult:
    """The result of the job, or of what replaces it; without a rollout to critique, nobody is asked."""
    chosen = assigned(assignment).chosen
    if not chosen.problems:
        say(STEP.name, "no rollout of an unsolved problem can be critiqued" if chosen.dropped else NOTHING_UNSOLVED)
        return combine(assignment, chosen, 0, 0.0)
    with naming_step(STEP.name):
        if write:
            return write(assignment)
        return handed.run_on_ray(assignment, "components.critique.write", assignment.settings.launch)


def report_of(settings: CritiqueSettings, counts: Mapping[str, float]) -> dict[str, Any]:
    """What the summary shows: counts, the shares of the mix with their caps, and remarks."""
    rows = max(counts["sft_rows"], 1)
    return {
        **{name: int(count) for name, count in sorted(counts.items())},
        "shares": {kind: round(counts[f"{kind}_rows"] / rows, 4) for kind in KINDS},
        "caps": {"diagnosis": settings.diagnosis_share, "repair": settings.repair_share},
        "remarks": list(_remarks(settings, counts)),
        "teacher": {"model": settings.teacher.model, "backend": settings.teacher.backend},
    }


def _remarks(settings: CritiqueSettings, counts: Mapping[str, float]) -> list[str]:
    found = []
    if not counts.get("unsolved_problems"):
        found.append(NOTHING_UNSOLVED)
    elif not counts["trace_rows"]:
        found.append(NO_TRACES)
    elif settings.right_share and not counts.get("right_attempts"):
        found.append(NO_RIGHT_ONES)
    return found
