"""The synthesize step: runs a Ray job and turns its result into the output."""

import json
from collections.abc import Callable
from typing import Any

from components.launch.hand_back.files import JobResult
from components.launch.hand_back.hand_over import HandedJob
from components.models.generators.changes import CHANGES
from components.models.generators.generator import GeneratorSettings
from components.models.reference import as_parent
from components.models.stored.check_stored import require_complete
from components.models.stored.stored_model import read_model
from components.shared.errors import EmptyDataError, naming_step
from components.shared.log import say
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Cost, Manifest, Parent
from components.shared.outputs.output import Output
from components.shared.outputs.shards import count_rows
from components.shared.rows import Labelled, Origin
from components.shared.store.store import Store
from components.shared.text.counted import counted
from components.synthesize.effort import AttemptEffort, all_attempts, total_effort
from components.synthesize.settings import Assignment, SynthesizeSettings
from components.synthesize.step import ANSWERED, STEP

REPORT = "report.json"
# Needed only while a job is in progress.
WORKING_PARTS = ("replies/", "failed/", "parts/", "attempts/")


Answer = Callable[[Assignment, Manifest], JobResult]


def synthesize_responses(
    library: Library, settings: SynthesizeSettings, dataset: Manifest, answer: Answer | None = None
) -> Manifest:
    """Get the responses to each instruction.

    Args:
        library: where outputs are stored.
        settings: which models answer.
        dataset: an output with Labelled rows in `rows/`.
        answer: does what the job does, in its place; None: the job runs.

    Raises:
        EmptyDataError: no instructions, or none has a response, because chat templates refuse them.
        InputError: rows that are not Labelled.
        GenerationError: a model cannot be reached, or too many of its answers failed.
        ModelError: a local model is not complete, or cannot be loaded.
    """
    output = Output(library, ANSWERED, settings, {"dataset": dataset, **_models(settings)})

    def check() -> None:
        _check(library, dataset)
        _check_models(settings)

    def work() -> Manifest:
        handed = HandedJob(output, JobResult)
        result = handed.result() or _run(handed, output, settings, dataset, answer)
        for shard in result.shards:
            output.adopt(shard)
        report = _report(settings, result, all_attempts(output.store))
        output.write_json(REPORT, report, record=True)
        for change in _changes(report):
            say(STEP.name, change)
        manifest = output.finish(_counts(result, report), _cost(report))
        _clean(output.store)
        handed.clear()
        return manifest

    return output.made(work, prepare=check, wait_seconds=settings.launch.wait_seconds)


def _models(settings: SynthesizeSettings) -> dict[str, Parent]:
    """Local models are inputs by their content; remote ones are known by name only."""
    local = {origin: settings.model_of(origin) for origin in settings.asked}
    return {origin: as_parent(model.model) for origin, model in local.items() if not model.is_remote}


def _check_models(settings: SynthesizeSettings) -> None:
    """Check the files of local models before GPUs are allocated. Raises ModelError."""
    for origin in settings.asked:
        model = settings.model_of(origin)
        stored = read_model(model.model) if not model.is_remote else None
        if stored is not None:
            require_complete(stored)


def _check(library: Library, dataset: Manifest) -> None:
    """Check before the job starts that there are rows, and that they are Labelled."""
    if count_rows(dataset) == 0:
        raise EmptyDataError(
            f"{dataset.address} contains no instructions",
            rule="synthesize needs at least one row",
            remedy="check why curate dropped all rows (its dropped/ and report.json)",
            step=STEP.name,
        )
    with naming_step(STEP.name):
        next(library.read_rows(dataset, Labelled), None)


def _run(
    handed: HandedJob[JobResult],
    output: Output,
    settings: SynthesizeSettings,
    dataset: Manifest,
    answer: Answer | None,
) -> JobResult:
    """Run the job to its end, or what replaces it. Raises the error that it recorded."""
    assignment = Assignment(
        root=output.library.absolute_root, address=output.address, dataset=dataset.address, settings=settings
    )
    with naming_step(STEP.name):
        if answer:
            return answer(assignment, dataset)
        return handed.run_on_ray(assignment, "components.synthesize.generate", settings.launch)


def _report(settings: SynthesizeSettings, result: JobResult, attempts: list[AttemptEffort]) -> dict[str, Any]:
    """Rates, tokens, use of the slots and price, for each origin and in total."""
    origins = {origin: _origin_report(settings, result, attempts, origin) for origin in settings.asked}
    seconds = sum(attempt.seconds for attempt in attempts)
    counted = ("rows", "rows_without_response", "responses_original", "reasoned_original")
    counts = {name: int(result.counts[name]) for name in counted}
    return {
        **counts,
        "origins": origins,
        "attempts": len(attempts),
        "seconds": round(seconds, 3),
        "rows_per_second": round(counts["rows"] / seconds, 3) if seconds else 0.0,
        "price": round(sum(origin["price"] for origin in origins.values()), 6),
        "currency": settings.currency,
    }


def _origin_report(
    settings: SynthesizeSettings, result: JobResult, attempts: list[AttemptEffort], origin: Origin
) -> dict[str, Any]:
    model, effort = settings.model_of(origin), total_effort(attempts, origin)
    counted = ("responses", "failed", "refused", "cut_short", "tokens_in", "tokens_out", *CHANGES, "empty")
    counts = {name: int(result.counts[f"{name}_{origin}"]) for name in counted}
    return {
        "model": model.model,
        "backend": model.backend,
        **counts,
        **_sample_counts(settings.samples_of(origin), result, origin),
        "retries": effort.retries,
        "prompts_cut": effort.truncated,
        "prompts_with_control_text": effort.control_text,
        "seconds": round(effort.seconds, 3),
        "replies_per_second": round(effort.per_second, 3),
        "slots": effort.slots,
        "slot_utilisation": round(effort.utilisation, 4),
        "price": round(_price(model, counts["tokens_in"], counts["tokens_out"]), 6),
    }


def _sample_counts(samples: int, result: JobResult, origin: Origin) -> dict[str, int]:
    """Where an origin gives several answers: how many, rows that lack some of them, and answers that repeat another."""
    if samples == 1:
        return {}
    found = {name: int(result.counts[f"{name}_{origin}"]) for name in ("rows_lacking_samples", "repeated")}
    return {"samples": samples, **found}


def _changes(report: dict[str, Any]) -> list[str]:
    """A sentence for each kind of change that was made to answers."""
    lines = [
        f"{counted(facts[count], 'answer')} of the {origin} {what}"
        for origin, facts in report["origins"].items()
        for count, what in CHANGES.items()
        if facts[count]
    ]
    lines += [
        f"{counted(facts['empty'], 'empty answer')} of the {o}"
        for o, facts in report["origins"].items()
        if facts["empty"]
    ]
    for origin, facts in report["origins"].items():
        if facts.get("repeated"):
            lines.append(f"{counted(facts['repeated'], 'answer')} of the {origin} equal to an earlier one")
        if facts.get("rows_lacking_samples"):
            lines.append(
                f"{counted(facts['rows_lacking_samples'], 'row')} without some of the {origin}'s "
                f"{facts['samples']} answers"
            )
    reasoned = report["reasoned_original"]
    return [*lines, *([f"{counted(reasoned, 'original response')} {CHANGES['reasoned']}"] if reasoned else [])]


def _price(model: GeneratorSettings, tokens_in: int, tokens_out: int) -> float:
    """By the model's price list, whose prices are for a million tokens."""
    return (tokens_in * model.price.per_million_in + tokens_out * model.price.per_million_out) / 1e6


def _counts(result: JobResult, report: dict[str, Any]) -> dict[str, float]:
    rates = {"rows_per_second": report["rows_per_second"]}
    for origin, facts in report["origins"].items():
        rates[f"prompts_with_control_text_{origin}"] = facts["prompts_with_control_text"]
        rates[f"replies_per_second_{origin}"] = facts["replies_per_second"]
        rates[f"slot_utilisation_{origin}"] = facts["slot_utilisation"]
    return {**result.counts, **rates}


def _cost(report: dict[str, Any]) -> Cost:
    origins = report["origins"].values()
    return Cost(
        seconds=report["seconds"],
        tokens_in=sum(origin["tokens_in"] for origin in origins),
        tokens_out=sum(origin["tokens_out"] for origin in origins),
        price=report["price"],
        currency=report["currency"],
    )


def _clean(store: Store) -> None:
    """Delete what is needed only while a job is in progress."""
    for part in WORKING_PARTS:
        for entry in list(store.list(part)):
            store.delete(entry.key)


def summarise(library: Library, manifest: Manifest) -> str:
    """The report as Markdown."""
    report = json.loads(library.read_bytes(manifest, REPORT))
    lines = [
        f"**{counted(report['rows'], 'row')}** in {report['seconds']:.0f} s ({report['rows_per_second']:.1f} rows/s); "
        f"{report['responses_original']:,} came with a response; price {report['price']:.2f} {report['currency']}",
        "",
        "| origin | model | responses | failed | refused | truncated | tokens in | tokens out | replies/s | slots used "
        "| price |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, facts in report["origins"].items():
        lines.append(
            f"| {name} | {facts['model']} ({facts['backend']}) | {facts['responses']:,} | {facts['failed']:,} "
            f"| {facts['refused']:,} | {facts['cut_short']:,} | {facts['tokens_in']:,} | {facts['tokens_out']:,} "
            f"| {facts['replies_per_second']:.1f} | {facts['slot_utilisation']:.1%} of {facts['slots']} "
            f"| {facts['price']:.2f} |"
        )
    changes = [f"- {change}" for change in _changes(report)]
    return "\n".join([*lines, *(["", *changes] if changes else [])])
