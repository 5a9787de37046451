"""Bridge: runs a Ray job and turns its result into the output."""

from collections.abc import Callable
from typing import Any

from components.bridge.combine import BridgeResult, BridgeTally
from components.bridge.replay import REPLAY, replay_rows, wanted
from components.bridge.results import SFT, BridgeShards
from components.bridge.settings import BridgeAssignment, BridgeSettings
from components.bridge.step import BRIDGED, REWRITINGS, STEP, TRACES
from components.bridge.token_cap import Cap, token_cap
from components.launch.hand_back.hand_over import HandedJob
from components.models.reference import as_parent
from components.models.rollouts.list_kept import list_kept
from components.models.rollouts.teacher_replies import teacher_parent
from components.models.stored.check_stored import require_complete
from components.models.stored.stored_model import read_model
from components.shared.errors import EmptyDataError, InputError, naming_step
from components.shared.log import say
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output
from components.shared.outputs.shards import count_rows
from components.shared.rollout_rows import Probed, Routed
from components.shared.rows import SftRow
from components.shared.text.counted import counted

REPORT = "report.json"
TOO_FEW_SOLVED = "the student solves too few of the problems that are not taught"

Write = Callable[[BridgeAssignment], BridgeResult]


def bridge_traces(
    library: Library,
    settings: BridgeSettings,
    routed: Manifest,
    probed: Manifest,
    student: str,
    *,
    write: Write | None = None,
) -> Manifest:
    """Get a text to learn for each problem that SFT is to teach.

    Args:
        library: where outputs are stored.
        settings: the teacher, and how its traces become texts.
        routed: route's output, with Routed in `sft/`, each with a check.
        probed: the probe's output, with the student's rollouts, whose lengths give the token cap.
        student: reference of the student.
        write: does what the job does, in its place; None: the job runs.

    Returns:
        The manifest of an address with SftRow in `sft/` (replayed ones in `sft/replay/`), Bridged in `bridged/`,
        Dropped in `dropped/`, and `report.json`.

    Raises:
        EmptyDataError: no problems, or no text for any of them, and the settings do not take that for a result.
        InputError: a problem without a check, rows of another kind, or no student.
        SandboxError: code is to be run, and it cannot be confined where the job runs.
        GenerationError: the teacher cannot be reached, or too many of its replies failed.
        ModelError: a model is not complete, or cannot be loaded.
    """
    if not student:
        raise InputError(
            "no student to rewrite for",
            rule="the student's files measure the texts: log-probabilities of an endpoint are not enough",
            remedy="pass the reference of the student",
            step=STEP.name,
        )
    teacher = teacher_parent(settings.teacher)
    output = Output(
        library, BRIDGED, settings, {"routed": routed, "probed": probed, "student": as_parent(student), **teacher}
    )

    def check() -> None:
        _require_problems(settings, routed)
        _require_checks(library, routed)
        for reference in (student, *([settings.teacher.model] if teacher else [])):
            if (stored := read_model(reference)) is not None:
                require_complete(stored)

    def work() -> Manifest:
        cap = _cap(library, probed, settings)
        assignment = BridgeAssignment(
            root=library.absolute_root,
            address=output.address,
            routed=routed.address,
            traces=settings.trace_source.kept_at(TRACES, teacher),
            rewritings=settings.rewrite_source.kept_at(REWRITINGS, teacher),
            student=student,
            cap=cap.tokens,
            settings=settings,
        )
        handed = HandedJob(output, BridgeResult)
        if count_rows(routed, SFT) == 0:
            say(STEP.name, f"{routed.address} has no problems for SFT: nothing is bridged")
            result = BridgeTally().result((), 0.0, may_be_empty=True)
        else:
            result = handed.result() or _run(handed, assignment, write)
        for shard in result.shards:
            output.adopt(shard)
        result = _with_replay(output, settings, routed, probed, result)
        output.write_json(REPORT, report_of(settings, result, cap))
        list_kept(library, TRACES, settings.trace_source, teacher)
        list_kept(library, REWRITINGS, settings.rewrite_source, teacher)
        manifest = output.finish(
            {**result.counts, **result.moved, "token_cap": cap.tokens}, settings.teacher.price.on(result.cost)
        )
        BridgeShards(output.store).clean()
        handed.clear()
        return manifest

    manifest = output.made(work, prepare=check, wait_seconds=settings.launch.wait_seconds)
    _require_texts(settings, manifest)
    return manifest


def _cap(library: Library, probed: Manifest, settings: BridgeSettings) -> Cap:
    cap = token_cap(library.read_rows(probed, Probed), settings.cap)
    rollouts = counted(cap.rollouts, "correct rollout")
    own = f"the {100 * settings.cap.percentile:g}th percentile of {rollouts} of the student"
    fallback = f"fallback_tokens: the student has only {rollouts}"
    say(STEP.name, f"texts of at most {cap.tokens} tokens ({own if cap.is_own else fallback})")
    return cap


def _with_replay(
    output: Output, settings: BridgeSettings, routed: Manifest, probed: Manifest, result: BridgeResult
) -> BridgeResult:
    """Write right answers of the student's own beside the texts, and count them."""
    library, texts, share, rows = output.library, int(result.counts["sft_rows"]), 0.0, list[SftRow]()
    if settings.replay is not None:
        share = settings.replay.share
        taught = library.read_rows(routed, Routed, SFT)
        rows = replay_rows(library.read_rows(probed, Probed), taught, texts, share, settings.replay.seed)
    if rows:
        output.write_rows(f"{SFT}/{REPLAY}/00000", rows)
    lacking = wanted(texts, share) - len(rows)
    if lacking:
        say(STEP.name, f"{counted(lacking, 'row')} of replay fewer than asked for: {TOO_FEW_SOLVED}")
    counts = {"sft_rows": texts + len(rows), "replay_rows": len(rows), "replay_lacking": lacking}
    return result.model_copy(update={"counts": {**result.counts, **counts}})


def _require_texts(settings: BridgeSettings, manifest: Manifest) -> None:
    """Refuse an output without rows to learn, where these settings do not take that for a result."""
    if settings.when_empty == "fail" and not manifest.counts["sft_rows"]:
        raise EmptyDataError(
            f"{manifest.address} has no texts to learn",
            rule="the step teaches something, unless when_empty is finish",
            remedy="look at its report for what became of the problems and of the teacher's texts",
            step=STEP.name,
        )


def _require_problems(settings: BridgeSettings, routed: Manifest) -> None:
    """Check that there are problems, unless the settings take nothing for a result."""
    if settings.when_empty == "fail" and count_rows(routed, SFT) == 0:
        raise EmptyDataError(
            f"{routed.address} has no problems for SFT",
            rule=f"bridge teaches the problems in {SFT}/ of route's output",
            remedy="nothing is to be bridged: train with RL alone, or choose a policy of route that sends some to SFT",
            step=STEP.name,
        )


def _require_checks(library: Library, routed: Manifest) -> None:
    """Check before the job starts that each problem can be checked."""
    with naming_step(STEP.name):
        unchecked = [row.id for row in library.read_rows(routed, Routed, SFT) if row.check is None]
    if unchecked:
        raise InputError(
            f"{counted(len(unchecked), 'problem')} of {count_rows(routed, SFT):,} came without a check, the first: "
            f"{unchecked[0]!r}",
            rule="only a text whose answer is checked is taught",
            remedy="collect these rows with a check (`check` of the source: math, exact, choice or code)",
            step=STEP.name,
        )


def _run(handed: HandedJob[BridgeResult], assignment: BridgeAssignment, write: Write | None) -> BridgeResult:
    """Run the job to its end, or what replaces it. Raises the error that it recorded."""
    with naming_step(STEP.name):
        if write:
            return write(assignment)
        return handed.run_on_ray(assignment, "components.bridge.write", assignment.settings.launch)


def report_of(settings: BridgeSettings, result: BridgeResult, cap: Cap) -> dict[str, Any]:
    """What the summary shows: counts, the cap, and how far the texts moved from the teacher's traces."""
    counts = {name: int(count) for name, count in result.counts.items() if name != "verified_share"}
    return {
        **counts,
        "verified_share": result.counts["verified_share"],
        "token_cap": {"tokens": cap.tokens, "rollouts": cap.rollouts, "is_own": cap.is_own},
        "texts": result.means,
        **result.moved,
        "teacher": {"model": settings.teacher.model, "backend": settings.teacher.backend},
        "prefix_test": settings.prefix is not None,
    }
