"""The synthesize step: hands the work to a Ray job and turns what comes back into the output."""

import json
from typing import Any, NoReturn

from components.launch.job import Job, run_job
from components.models.changes import CHANGES
from components.models.reference import as_parent
from components.models.teacher import TeacherSettings
from components.shared import errors
from components.shared.errors import EmptyDataError, JobError, NotFoundError, TutelageError
from components.shared.log import say
from components.shared.manifest import Cost, Manifest, Parent
from components.shared.output import Output
from components.shared.rows import Answered, Labelled, Origin
from components.shared.shards import count_rows, read_bytes, read_rows
from components.shared.store import Store, absolute, join
from components.synthesize.assignment import ASSIGNMENT, FAILURE, RESULT, Assignment
from components.synthesize.combine import Result
from components.synthesize.effort import Attempt, all_attempts, total_effort
from components.synthesize.settings import SynthesizeSettings

STEP = "synthesize"
VERSION = 2
REPORT = "report.json"
# What only an attempt in progress needs.
WORKING_PARTS = ("replies/", "failed/", "parts/", "attempts/")


def synthesize_responses(root: str, settings: SynthesizeSettings, dataset: Manifest) -> Manifest:
    """Get the responses to each instruction.

    Args:
        root: the store's root URI.
        settings: who answers.
        dataset: an output with Labelled rows in `rows/`.

    Raises:
        EmptyDataError: no instructions, or none has a response, for chat templates refuse them.
        InputError: rows that are not Labelled.
        TeacherError: a teacher cannot be reached, or too many of its answers failed.
        ModelError: a local model cannot be loaded.
    """
    output = Output(root, STEP, VERSION, settings, {"dataset": dataset, **_models(settings)})
    if (manifest := output.manifest()) is not None:
        return manifest
    _check(root, dataset)
    with output.writing(settings.launch.wait_seconds):
        if (manifest := output.manifest()) is not None:
            # Another pod of this step made it while this one waited.
            return manifest
        result = _result(output.store) or _run(output, settings, dataset)
        for shard in result.shards:
            output.adopt(shard)
        report = _report(settings, result, all_attempts(output.store))
        output.write_json(REPORT, report, record=True)
        for change in _changes(report):
            say(STEP, change)
        manifest = output.finish(Answered.content, _counts(result, report), _cost(report))
        _clean(output.store)
    return manifest


def _models(settings: SynthesizeSettings) -> dict[str, Parent]:
    """Models that run here are inputs by their content; those behind an endpoint are known by name alone."""
    local = {origin: settings.model_of(origin) for origin in settings.asked}
    return {origin: as_parent(model.model) for origin, model in local.items() if model.backend != "openai"}


def _check(root: str, dataset: Manifest) -> None:
    """See before any start that there are rows, and that they are the right ones."""
    if count_rows(dataset) == 0:
        raise EmptyDataError(
            f"{dataset.address} holds no instructions",
            rule="synthesize needs one row at least",
            remedy="see why curation dropped all rows (its dropped/ and report.json)",
            step=STEP,
        )
    try:
        next(read_rows(root, dataset, Labelled), None)
    except TutelageError as error:
        error.step = STEP
        raise


def _run(output: Output, settings: SynthesizeSettings, dataset: Manifest) -> Result:
    """Run the job to its end. Raises the error that the job met."""
    store = output.store
    store.delete(FAILURE)
    assignment = Assignment(
        root=absolute(output.root), address=output.address, dataset=dataset.address, settings=settings
    )
    store.write(ASSIGNMENT, assignment.model_dump_json().encode())
    job = Job(
        name=output.address.replace("/", "-"),
        program="ray",
        module="components.synthesize.generate",
        arguments=("--job", join(absolute(output.root), output.address, ASSIGNMENT)),
        launch=settings.launch,
    )
    try:
        run_job(job)
    except JobError as error:
        _raise_recorded(store, error)
    result = _result(store)
    if result is None:
        raise JobError(f"job {job.name} ended without a result", remedy="see its log above, then run again")
    return result


def _result(store: Store) -> Result | None:
    """What the job handed back, if it came to its end."""
    try:
        return Result.model_validate_json(store.read(RESULT))
    except NotFoundError:
        return None


def _raise_recorded(store: Store, error: JobError) -> NoReturn:
    """Raise the error that the job recorded, else the job's own."""
    try:
        failure: dict[str, Any] = json.loads(store.read(FAILURE))
    except NotFoundError:
        raise error from None
    kind: type[TutelageError] = getattr(errors, failure.pop("type"))
    raise kind(failure.pop("problem"), **failure, step=STEP) from error


def _report(settings: SynthesizeSettings, result: Result, attempts: list[Attempt]) -> dict[str, Any]:
    """Rates, tokens, use of the slots and price, for each origin and together."""
    origins = {origin: _origin_report(settings, result, attempts, origin) for origin in settings.asked}
    seconds = sum(attempt.seconds for attempt in attempts)
    rows = result.counts["rows"]
    return {
        "rows": rows,
        "rows_without_response": result.counts["rows_without_response"],
        "responses_original": result.counts["responses_original"],
        "reasoned_original": result.counts["reasoned_original"],
        "origins": origins,
        "attempts": len(attempts),
        "seconds": round(seconds, 3),
        "rows_per_second": round(rows / seconds, 3) if seconds else 0.0,
        "price": round(sum(origin["price"] for origin in origins.values()), 6),
        "currency": settings.currency,
    }


def _origin_report(
    settings: SynthesizeSettings, result: Result, attempts: list[Attempt], origin: Origin
) -> dict[str, Any]:
    model, effort = settings.model_of(origin), total_effort(attempts, origin)
    counted = ("responses", "failed", "refused", "cut_short", "tokens_in", "tokens_out", *CHANGES, "empty")
    counts = {name: result.counts[f"{name}_{origin}"] for name in counted}
    return {
        "model": model.model,
        "backend": model.backend,
        **counts,
        "retries": effort.retries,
        "prompts_cut": effort.truncated,
        "prompts_with_control_text": effort.control_text,
        "seconds": round(effort.seconds, 3),
        "replies_per_second": round(effort.per_second, 3),
        "slots": effort.slots,
        "slot_utilisation": round(effort.utilisation, 4),
        "price": round(_price(model, counts["tokens_in"], counts["tokens_out"]), 6),
    }


def _changes(report: dict[str, Any]) -> list[str]:
    """What was changed in answers, in words; nothing where nothing was."""
    lines = [
        f"{facts[count]:,} answers of the {origin} {what}"
        for origin, facts in report["origins"].items()
        for count, what in CHANGES.items()
        if facts[count]
    ]
    lines += [
        f"{facts['empty']:,} answers of the {o} are empty" for o, facts in report["origins"].items() if facts["empty"]
    ]
    reasoned = report["reasoned_original"]
    return [*lines, *([f"{reasoned:,} original responses {CHANGES['reasoned']}"] if reasoned else [])]


def _price(model: TeacherSettings, tokens_in: int, tokens_out: int) -> float:
    """By the model's price list, which is for a million tokens."""
    return (tokens_in * model.price.per_million_in + tokens_out * model.price.per_million_out) / 1e6


def _counts(result: Result, report: dict[str, Any]) -> dict[str, float]:
    rates = {"rows_per_second": report["rows_per_second"]}
    for origin, facts in report["origins"].items():
        rates[f"prompts_with_control_text_{origin}"] = facts["prompts_with_control_text"]
        rates[f"replies_per_second_{origin}"] = facts["replies_per_second"]
        rates[f"slot_utilisation_{origin}"] = facts["slot_utilisation"]
    return {**{name: float(count) for name, count in result.counts.items()}, **rates}


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
    """Remove what only an attempt in progress needs."""
    for part in WORKING_PARTS:
        for entry in list(store.list(part)):
            store.delete(entry.key)
    store.delete(RESULT)


def summarise(root: str, manifest: Manifest) -> str:
    """The report as Markdown."""
    report = json.loads(read_bytes(root, manifest, REPORT))
    lines = [
        f"**{report['rows']:,} rows** in {report['seconds']:.0f} s ({report['rows_per_second']:.1f} rows/s); "
        f"{report['responses_original']:,} came with a response; price {report['price']:.2f} {report['currency']}",
        "",
        "| origin | model | responses | failed | refused | cut short | tokens in | tokens out | replies/s | slots used "
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
