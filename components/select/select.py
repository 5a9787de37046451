"""Choose from each instruction's responses what to learn from: SFT rows, KTO rows, and a verdict on every row."""

from collections.abc import Iterator, Mapping

from components.select.check_answers import CheckMeasure
from components.select.choose import Choice, Evidence, choose
from components.select.measure import Plan, chunks, measure_all, read_chunk
from components.select.measured import Measured
from components.select.report import Tally, remarks
from components.select.scorers.scorer import Measure
from components.select.scorers.verifier import CHECKS
from components.select.settings import SelectSettings
from components.shared.errors import EmptyDataError
from components.shared.log import say, track
from components.shared.manifest import Manifest
from components.shared.output import Output, RowWriter
from components.shared.rows import Answered, KtoRow, Response, SftRow, Verdict
from components.shared.shards import count_rows
from components.shared.thought import with_thought

STEP, VERSION = "select", 2
CONTENT = "selection/1"


def select_responses(root: str, settings: SelectSettings, responses: Manifest) -> Manifest:
    """Score, check and choose.

    Args:
        root: the store's root URI.
        settings: of this step.
        responses: content answered/1, rows in `rows/`.

    Returns:
        The manifest of an address with SftRow in `sft/`, KtoRow in `kto/`, Verdict in `verdicts/`, Measured in
        `scores/MEASUREMENT/`, and `report.json`.

    Raises:
        EmptyDataError: there are no responses, or none was chosen.
        ModelError, SettingsError, TeacherError, SandboxError: a scorer or check cannot do its work.
    """
    parents = {score: scorer.parents() for score, scorer in settings.scorers.items()}
    inputs = {f"{score}-{name}": parent for score, found in parents.items() for name, parent in found.items()}
    output = Output(root, STEP, VERSION, settings, {"responses": responses, **inputs})
    if (done := output.manifest()) is not None:
        return done
    if count_rows(responses) == 0:
        raise EmptyDataError(f"{responses.address} holds no responses", remedy="see what the steps before it dropped")
    with output.writing():
        names = {score: scorer.measurement(parents[score]) for score, scorer in settings.scorers.items()}
        for plan in plans(settings, names):
            measure_all(root, responses, output, plan)
        tally = _write(root, settings, responses, output, names)
        return output.finish(CONTENT, tally.counts())


def plans(settings: SelectSettings, names: Mapping[str, str]) -> list[Plan]:
    """The measurements to make, each once; the checks come first, for they need no model.

    Args:
        settings: of the step.
        names: of the measurement by score; empty where nothing is measured.
    """

    def open_checks() -> Measure:
        return CheckMeasure(settings.code_limits, settings.check_threads)

    openers = {CHECKS: open_checks}
    for score, name in names.items():
        if name:
            openers.setdefault(name, settings.scorers[score].open)
    return [Plan(name, opener) for name, opener in openers.items()]


def evidence_by_row(
    root: str, settings: SelectSettings, responses: Manifest, output: Output, names: Mapping[str, str]
) -> Iterator[tuple[Answered, Evidence]]:
    """Every row with what was measured on it, in order; one chunk is in memory at a time."""
    likely = next((names[score] for score in ("quality", "perplexity") if settings.scorers[score].gives_likelihood), "")
    wanted = {"checks": CHECKS, **names, "likelihood": likely}
    for number, chunk in enumerate(chunks(root, responses)):
        read = {name: read_chunk(output, name, number) for name in set(wanted.values()) - {""}}
        for index, row in enumerate(chunk):
            found: dict[str, Measured] = {key: read[name][index] for key, name in wanted.items() if name}
            yield row, Evidence(**found)


def _write(root: str, settings: SelectSettings, responses: Manifest, output: Output, names: Mapping[str, str]) -> Tally:
    """Choose on every row and write what comes of it. Raises EmptyDataError."""
    writers = {part: RowWriter(output, part) for part in ("sft", "kto", "verdicts")}
    tally = Tally(settings)
    rows = evidence_by_row(root, settings, responses, output, names)
    for row, evidence in track(rows, STEP, "choosing", count_rows(responses)):
        choice = choose(row, evidence, settings)
        tally.add(row, evidence, choice)
        _add_rows(writers, row, choice, settings.learn_reasoning)
    for writer in writers.values():
        writer.close()
    report = tally.report()
    output.write_json("report.json", report)
    for line in remarks(report):
        say(STEP, line)
    if note := tally.reasoning_in_words():
        say(STEP, note)
    if writers["sft"].rows == 0 and tally.labelled_alone == 0:
        raise EmptyDataError(
            f"none of {tally.rows} rows has a response to learn from: {tally.flags_in_words()}"
            + (f"; the first refusal: {tally.refusal}" if tally.refusal else ""),
            rule=f"a best response is whole, safe, not known to be wrong, and has a total of {settings.minimum_total}",
            remedy="lower minimum_total, or see the scores in report.json at this step's address",
        )
    return tally


def _add_rows(writers: Mapping[str, RowWriter], row: Answered, choice: Choice, learn_reasoning: bool) -> None:
    writers["verdicts"].add(
        Verdict(
            id=row.id,
            source=row.source,
            line=row.line,
            origins=tuple(response.origin for response in row.responses),
            scores=choice.scores,
            best=choice.best,
            worst=choice.worst,
            flags=choice.flags,
        )
    )
    prompt, scores = tuple(row.prompt()), choice.scores
    if choice.best is not None:
        best = row.responses[choice.best]
        writers["sft"].add(
            SftRow(
                id=row.id,
                prompt=prompt,
                completion=_completion(best, learn_reasoning),
                origin=best.origin,
                scores=scores[choice.best],
            )
        )
    for index, label in choice.kto:
        response = row.responses[index]
        kto = KtoRow(
            id=row.id,
            prompt=prompt,
            completion=_completion(response, learn_reasoning),
            label=label,
            origin=response.origin,
            scores=scores[index],
        )
        writers["kto"].add(kto)


def _completion(response: Response, learn_reasoning: bool) -> str:
    """What is learnt of a response: its text, and its reasoning only where the recipe asks for it."""
    return with_thought(response.reasoning, response.text) if learn_reasoning else response.text
