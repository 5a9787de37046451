"""The probe: runs a Ray job and turns its result into the output."""

from collections.abc import Callable
from typing import Any

from components.launch.hand_back.hand_over import HandedJob
from components.models.generators.asked_model import asked_parent
from components.models.rollouts.list_kept import list_kept
from components.models.stored.check_stored import require_complete
from components.models.stored.stored_model import read_model
from components.probe.results import ProbeResult
from components.probe.settings import ProbeAssignment, ProbeSettings
from components.probe.step import PROBED, ROLLOUTS, STEP
from components.shared.errors import EmptyDataError, InputError, naming_step
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output, address_of
from components.shared.outputs.shards import count_rows
from components.shared.rows import Labelled
from components.shared.text.counted import counted

REPORT = "report.json"

Draw = Callable[[ProbeAssignment, Manifest], ProbeResult]


def probe_problems(
    library: Library, settings: ProbeSettings, problems: Manifest, model: str, draw: Draw | None = None
) -> Manifest:
    """Estimate a model's pass rate on each problem.

    Args:
        library: where outputs are stored.
        settings: how the model is probed.
        problems: an output with Labelled rows in `rows/`, each with a check.
        model: reference of the model; empty where the settings name an endpoint, which answers in place of files.
        draw: does what the job does, in its place; None: the job runs.

    Returns:
        The manifest of an address with Probed in `rows/`, Dropped in `dropped/`, and `report.json`.

    Raises:
        EmptyDataError: no problems, or the model's chat template refuses all of them.
        InputError: a problem without a check, rows that are not Labelled, no model, or no verdict on any problem.
        SandboxError: code is to be run, and it cannot be confined where the job runs.
        GenerationError: a model cannot be reached, or too many rollouts failed.
        ModelError: a local model is not complete, or cannot be loaded.
    """
    parent = asked_parent(settings.generator, model, STEP.name)
    output = Output(library, PROBED, settings, {"problems": problems, "model": parent})
    assignment = ProbeAssignment(
        root=library.absolute_root,
        address=output.address,
        problems=problems.address,
        rollouts=address_of(ROLLOUTS, settings.source, {"model": parent}),
        model="" if settings.asks_endpoint else model,
        settings=settings,
    )

    def check() -> None:
        _require_checks(library, problems)
        stored = None if settings.asks_endpoint else read_model(model)
        if stored is not None:
            require_complete(stored)

    def work() -> Manifest:
        handed = HandedJob(output, ProbeResult)
        result = handed.result() or _run(handed, assignment, problems, draw)
        for shard in result.shards:
            output.adopt(shard)
        report = report_of(settings, result)
        output.write_json(REPORT, report)
        list_kept(library, ROLLOUTS, settings.source, {"model": parent})
        manifest = output.finish({**result.counts, **_estimates(result)}, settings.generator.price.on(result.cost))
        handed.clear()
        return manifest

    return output.made(work, prepare=check, wait_seconds=settings.launch.wait_seconds)


def _require_checks(library: Library, problems: Manifest) -> None:
    """Check before the job starts that there are problems, and that each can be checked."""
    if count_rows(problems) == 0:
        raise EmptyDataError(
            f"{problems.address} contains no problems",
            rule="the probe needs at least one row",
            remedy="check why the step before dropped all rows (its dropped/ and report.json)",
            step=STEP.name,
        )
    unchecked, first = 0, ""
    with naming_step(STEP.name):
        for row in library.read_rows(problems, Labelled):
            if row.check is None:
                unchecked, first = unchecked + 1, first or row.id
    if unchecked:
        raise InputError(
            f"{counted(unchecked, 'problem')} of {count_rows(problems):,} came without a check, the first: {first!r}",
            rule="a pass rate is known only where answers can be checked",
            remedy="collect these rows with a check (`check` of the source: math, exact, choice or code), or leave "
            "their source out",
            step=STEP.name,
        )


def _run(
    handed: HandedJob[ProbeResult], assignment: ProbeAssignment, problems: Manifest, draw: Draw | None
) -> ProbeResult:
    """Run the job to its end, or what replaces it. Raises the error that it recorded."""
    with naming_step(STEP.name):
        if draw:
            return draw(assignment, problems)
        return handed.run_on_ray(assignment, "components.probe.draw", assignment.settings.launch)


def report_of(settings: ProbeSettings, result: ProbeResult) -> dict[str, Any]:
    """What the summary shows: counts, the draws that stopping early saved, pass@k, and the histogram of rates."""
    counts = {name: int(count) for name, count in result.counts.items()}
    return {
        **counts,
        "draws_of_full": round(counts.get("tries", 0) / max(counts.get("full_tries", 0), 1), 4),
        "mean_length": round(counts["tokens_out"] / max(counts["rollouts"], 1), 1),
        "pass_at": {str(k): {"value": value, "standard_error": se} for k, (value, se) in result.pass_at.items()},
        "rates": result.rates,
        "rule": settings.rule.model_dump(mode="json"),
    }


def _estimates(result: ProbeResult) -> dict[str, float]:
    """pass@k as counts of the manifest: `pass_at_8`."""
    return {f"pass_at_{k}": value for k, (value, _) in sorted(result.pass_at.items())}
