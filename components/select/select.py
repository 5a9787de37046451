"""Choose from each instruction's responses what is learnt: SFT rows, KTO rows, pairs, and a verdict on every row."""

from collections.abc import Iterator, Mapping

from components.rewards.checks.check_answers import CheckMeasure
from components.rewards.measured import Measured
from components.rewards.scorers.scorer import Measure
from components.rewards.scorers.verifier import CHECKS
from components.select.choose import Choice, Evidence, choose
from components.select.measure import Measurement, chunks, measure_all, read_chunk
from components.select.report import SelectionTally, remarks
from components.select.settings import SelectSettings
from components.select.step import SELECTION, STEP
from components.shared.errors import EmptyDataError
from components.shared.log import say, track
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output, RowWriter
from components.shared.outputs.shards import count_rows
from components.shared.rows import Answered, KtoRow, Pair, Response, SftRow, Verdict
from components.shared.thought import with_thought


def select_responses(
    library: Library, settings: SelectSettings, responses: Manifest, *, may_be_empty: bool = False
) -> Manifest:
    """Score and check the responses, and choose what to learn from.

    Args:
        library: where outputs are stored.
        settings: of this step.
        responses: content answered/1, rows in `rows/`.
        may_be_empty: for a preview, which shows why nothing is chosen: an output without rows to learn from is then
            no error. A run must not find it, so the library is the preview's own.

    Returns:
        The manifest of an address with SftRow in `sft/`, KtoRow in `kto/`, Pair in `pairs/`, Verdict in `verdicts/`,
        Measured in `scores/MEASUREMENT/`, and `report.json`.

    Raises:
        EmptyDataError: there are no responses, or none is chosen.
        ModelError, SettingsError, GenerationError, SandboxError: a scorer or a check fails.
    """
    parents = {score: scorer.parents() for score, scorer in settings.scorers.items()}
    inputs = {f"{score}-{name}": parent for score, found in parents.items() for name, parent in found.items()}
    output = Output(library, SELECTION, settings, {"responses": responses, **inputs})

    def check() -> None:
        if count_rows(responses) == 0:
            raise EmptyDataError(
                f"{responses.address} contains no responses", remedy="check what the earlier steps dropped"
            )

    def work() -> Manifest:
        names = {score: scorer.measurement(parents[score]) for score, scorer in settings.scorers.items()}
        for measurement in measurements(settings, names):
            measure_all(library, responses, output, measurement)
        tally = _write(library, settings, responses, output, names)
        if not may_be_empty:
            _require_rows(tally)
        return output.finish(tally.counts())

    return output.made(work, prepare=check)


def measurements(settings: SelectSettings, names: Mapping[str, str]) -> list[Measurement]:
    """The measurements to make, each once; the checks come first, since they need no model.

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
    return [Measurement(name, opener) for name, opener in openers.items()]


def evidence_by_row(
    library: Library, settings: SelectSettings, responses: Manifest, output: Output, names: Mapping[str, str]
) -> Iterator[tuple[Answered, Evidence]]:
    """Every row with its measurements, in order; one chunk is in memory at a time."""
    likely = next((names[score] for score in ("quality", "perplexity") if settings.scorers[score].gives_likelihood), "")
    wanted = {"checks": CHECKS, **names, "likelihood": likely}
    for number, chunk in enumerate(chunks(library, responses)):
        read = {name: read_chunk(output, name, number) for name in set(wanted.values()) - {""}}
        for index, row in enumerate(chunk):
            found: dict[str, Measured] = {key: read[name][index] for key, name in wanted.items() if name}
            yield row, Evidence(**found)


def _write(
    library: Library, settings: SelectSettings, responses: Manifest, output: Output, names: Mapping[str, str]
) -> SelectionTally:
    """Choose the responses of every row and write the results."""
    writers = {part: RowWriter(output, part) for part in ("sft", "kto", "pairs", "verdicts")}
    tally = SelectionTally(settings)
    rows = evidence_by_row(library, settings, responses, output, names)
    for row, evidence in track(rows, STEP.name, "choosing", count_rows(responses)):
        choice = choose(row, evidence, settings)
        tally.add(row, evidence, choice)
        _add_rows(writers, row, choice, settings.learn_reasoning)
    for writer in writers.values():
        writer.close()
    report = tally.report()
    output.write_json("report.json", report)
    for line in remarks(report):
        say(STEP.name, line)
    if note := tally.reasoning_in_words():
        say(STEP.name, note)
    return tally


def _require_rows(tally: SelectionTally) -> None:
    """Raises EmptyDataError when nothing was chosen."""
    if tally.best.total() == 0 and tally.kto.total() == 0:
        raise EmptyDataError(
            f"none of {tally.rows} rows has a response to learn from: {tally.flags_in_words()}"
            + (f"; the first refusal: {tally.refusal}" if tally.refusal else ""),
            rule="the best response must be complete, safe, not known to be wrong, and have a total of at least "
            f"{tally.settings.minimum_total}",
            remedy="lower minimum_total, or look at the scores in report.json at this step's address",
        )


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
            no_pair=choice.no_pair,
        )
    )
    if choice.best is not None:
        writers["sft"].add(_sft_row(row, choice, choice.best, learn_reasoning))
    for index, label in choice.kto:
        writers["kto"].add(_kto_row(row, choice, index, label, learn_reasoning))
    if choice.pair is not None:
        writers["pairs"].add(_pair(row, choice, *choice.pair, learn_reasoning))


def _sft_row(row: Answered, choice: Choice, best: int, learn_reasoning: bool) -> SftRow:
    response = row.responses[best]
    return SftRow(
        id=row.id,
        prompt=tuple(row.prompt()),
        completion=_completion(response, learn_reasoning),
        origin=response.origin,
        scores=choice.scores[best],
    )


def _kto_row(row: Answered, choice: Choice, index: int, label: bool, learn_reasoning: bool) -> KtoRow:
    response = row.responses[index]
    return KtoRow(
        id=row.id,
        prompt=tuple(row.prompt()),
        completion=_completion(response, learn_reasoning),
        label=label,
        origin=response.origin,
        scores=choice.scores[index],
    )


def _pair(row: Answered, choice: Choice, chosen: int, rejected: int, learn_reasoning: bool) -> Pair:
    preferred, other = row.responses[chosen], row.responses[rejected]
    return Pair(
        id=row.id,
        prompt=tuple(row.prompt()),
        chosen=_completion(preferred, learn_reasoning),
        rejected=_completion(other, learn_reasoning),
        chosen_origin=preferred.origin,
        rejected_origin=other.origin,
        chosen_scores=choice.scores[chosen],
        rejected_scores=choice.scores[rejected],
        margin=choice.margin,
    )


def _completion(response: Response, learn_reasoning: bool) -> str:
    """The completion to learn: the text of a response, with its reasoning only where the recipe asks for it."""
    return with_thought(response.reasoning, response.text) if learn_reasoning else response.text
