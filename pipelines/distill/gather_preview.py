"""What a preview of `distill` shows, from the outputs of its tasks."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from components.curate.choose_rows import REPORT, ChoiceReport
from components.select.explain import explain, meaning_of, why_dropped
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.rows import Answered, Check, Dropped, Instruction, KtoRow, Labelled, Rejected, Response, Verdict
from pipelines.distill.estimate_run import estimate_run
from pipelines.distill.preview_tasks import CHOOSE, COLLECT, CURATE, SELECT, SYNTHESIZE
from pipelines.distill.recipe import DistillRecipe
from pipelines.preview.document import (
    PreviewDocument,
    ShownDrop,
    ShownFlag,
    ShownResponse,
    ShownRow,
    ShownStep,
)

NO_RESPONSE = "synthesize: no response"


def gather_preview(
    library: Library, recipe: DistillRecipe, made: Mapping[str, Any], reused: frozenset[str]
) -> PreviewDocument:
    """The document of a preview.

    Args:
        library: where the outputs are stored.
        recipe: what was previewed.
        made: the manifests by task; for collect both.
        reused: the tasks whose output was there.

    Raises:
        InputError, StoreError: a source cannot be read while its records are counted.
    """
    estimated = estimate_run(library, recipe, made)
    rows = tuple(_Rows(library, recipe, made).all())
    return PreviewDocument(
        name=recipe.name,
        title=recipe.title,
        store=library.root,
        rows=rows,
        sources=estimated.sources,
        drops=(*_rejected(library, made), *_dropped_by_rules(library, made), *_dropped_later(library, made, rows)),
        steps=tuple(_step(name, result, name in reused) for name, result in made.items()),
        estimates=estimated.estimates,
        full_rows=estimated.rows,
        at_least=estimated.at_least,
        warnings=tuple(_warnings(recipe, made)),
        notes=estimated.notes,
    )


class _Rows:
    """Joins the rows of all tasks."""

    def __init__(self, library: Library, recipe: DistillRecipe, made: Mapping[str, Any]) -> None:
        self._settings = recipe.select
        self._chosen = list(library.read_rows(made[CHOOSE], Instruction))
        self._labelled = {row.id: row for row in library.read_rows(made[CURATE], Labelled)}
        self._dropped = {
            **{row.id: f"curate: {_reason(row)}" for row in library.read_rows(made[CURATE], Dropped, "dropped")},
            **{
                row.id: f"synthesize: {_reason(row)}" for row in library.read_rows(made[SYNTHESIZE], Dropped, "dropped")
            },
        }
        self._answered = {row.id: row for row in library.read_rows(made[SYNTHESIZE], Answered)}
        self._verdicts = {row.id: row for row in library.read_rows(made[SELECT], Verdict, "verdicts")}
        self._judged = {row.id for row in library.read_rows(made[SELECT], KtoRow, "kto")}

    def all(self) -> Iterator[ShownRow]:
        """Every chosen row, in the order in which it was collected."""
        return map(self._shown, self._chosen)

    def _shown(self, row: Instruction) -> ShownRow:
        labelled, verdict = self._labelled.get(row.id), self._verdicts.get(row.id)
        flags = {flag: meaning_of(flag, verdict) for flag in verdict.flags} if verdict else {}
        return ShownRow(
            id=row.id,
            source=row.source,
            line=row.line,
            type=labelled.type if labelled else "",
            labels=(labelled.primary, labelled.secondary) if labelled else (),
            system=row.system,
            history=row.history,
            instruction=row.instruction,
            check=_check_in_words(row.check),
            responses=self._responses(row),
            flags=tuple(ShownFlag(name=flag, meaning=meaning) for flag, meaning in flags.items()),
            dropped=self._dropped.get(row.id) or self._why_dropped(row.id, verdict),
        )

    def _responses(self, row: Instruction) -> tuple[ShownResponse, ...]:
        answered, verdict = self._answered.get(row.id), self._verdicts.get(row.id)
        if answered is None or verdict is None:
            # Dropped before there was anything to score: the original responses are all there is.
            originals = [text for text in (row.response, row.rejected) if text]
            return tuple(ShownResponse(origin="original", text=text, finish="stop") for text in originals)
        explained = explain(answered, verdict, self._settings)
        return tuple(
            _response(response, role=each.role, learnt=each.learnt, why=each.why, scores=verdict.scores[index])
            for index, (response, each) in enumerate(zip(answered.responses, explained, strict=True))
        )

    def _why_dropped(self, row: str, verdict: Verdict | None) -> str:
        if verdict is None:
            return NO_RESPONSE
        if verdict.best is not None or row in self._judged:
            return ""
        return f"{SELECT}: {why_dropped(verdict, self._settings)}"


def _reason(row: Dropped) -> str:
    return f"{row.reason.replace('_', ' ')}{f': {row.evidence}' if row.evidence else ''}"


def _response(response: Response, **decided: Any) -> ShownResponse:
    facts = response.model_dump(include={"origin", "text", "reasoning", "finish", "tokens_in", "tokens_out"})
    return ShownResponse(**facts, **decided)


def _check_in_words(check: Check | None) -> str:
    return f"{check.kind}{f': {check.answer}' if check.answer else ''}" if check else ""


def _rejected(library: Library, made: Mapping[str, Any]) -> Iterator[ShownDrop]:
    """The rejected records by reason, with an example each."""
    manifest: Manifest = made[COLLECT].dataset
    found: dict[str, list[Rejected]] = {}
    for row in library.read_rows(manifest, Rejected, "rejected"):
        found.setdefault(row.reason, []).append(row)
    for reason, rows in found.items():
        first = f"{rows[0].source} line {rows[0].line}{f': {rows[0].detail}' if rows[0].detail else ''}"
        records = int(manifest.counts["records"])
        yield ShownDrop(step=COLLECT, reason=reason, rows=len(rows), of=records, example=first)


def _dropped_by_rules(library: Library, made: Mapping[str, Any]) -> Iterator[ShownDrop]:
    report = ChoiceReport.model_validate_json(library.read_bytes(made[CHOOSE], REPORT))
    for reason, count in report.drops.items():
        example = report.examples[reason]
        evidence = f" ({example.evidence})" if example.evidence else ""
        shown = f"{example.source} line {example.line}: {example.instruction}{evidence}"
        yield ShownDrop(step=CURATE, reason=reason, rows=count, of=report.considered, example=shown)


def _dropped_later(library: Library, made: Mapping[str, Any], rows: Sequence[ShownRow]) -> Iterator[ShownDrop]:
    """The chosen rows that the later tasks dropped."""
    for task in (CURATE, SYNTHESIZE):
        found: dict[str, list[Dropped]] = {}
        for row in library.read_rows(made[task], Dropped, "dropped"):
            found.setdefault(row.reason.replace("_", "-"), []).append(row)
        for reason, dropped in found.items():
            first = f"{dropped[0].source} line {dropped[0].line}: {dropped[0].evidence}"
            yield ShownDrop(step=task, reason=reason, rows=len(dropped), of=len(rows), example=first)
    lost = [row for row in rows if row.dropped.startswith(SELECT)]
    if lost:
        first = f"{lost[0].source} line {lost[0].line}: {lost[0].instruction}"
        yield ShownDrop(step=SELECT, reason="nothing-learnt", rows=len(lost), of=len(rows), example=first)


def _step(name: str, result: Any, reused: bool) -> ShownStep:
    manifest: Manifest = result.dataset if name == COLLECT else result
    rows = manifest.counts.get("rows", manifest.counts.get("rows_out", 0))
    cost = result.cost
    return ShownStep(
        task=name,
        address=manifest.address,
        reused=reused,
        seconds=cost.seconds,
        rows=int(rows),
        tokens_in=cost.tokens_in,
        tokens_out=cost.tokens_out,
    )


def _warnings(recipe: DistillRecipe, made: Mapping[str, Any]) -> Iterator[str]:
    """What a complete run refuses if it goes on as in the preview."""
    counts = made[COLLECT].dataset.counts
    for source in recipe.collect.sources:
        rejected = int(counts[f"rejected_{source.name}"])
        records = rejected + int(counts[f"rows_{source.name}"])
        if rejected > recipe.collect.max_rejected_share * records:
            yield (
                f"source {source.name}: {rejected} of {records} records are rejected; a run fails above "
                f"max_rejected_share {recipe.collect.max_rejected_share:.1%}"
            )
    unlabelled, labelled = made[CURATE].counts["dropped_unlabelled"], made[CURATE].counts["rows_in"]
    if unlabelled > recipe.curate.unlabelled_share * labelled:
        yield (
            f"{unlabelled:.0f} of {labelled:.0f} replies have no label; a run fails above unlabelled_share "
            f"{recipe.curate.unlabelled_share:.1%}"
        )
    for origin in recipe.synthesize.asked:
        failed = made[SYNTHESIZE].counts[f"failed_{origin}"]
        asked = failed + made[SYNTHESIZE].counts[f"responses_{origin}"]
        if failed > recipe.synthesize.failed_share * asked:
            yield (
                f"{failed:.0f} of {asked:.0f} answers of the {origin} failed; a run fails above failed_share "
                f"{recipe.synthesize.failed_share:.1%}"
            )
    if not made[SELECT].counts["sft_rows"]:
        yield "no row gives an SFT row; a run fails if none does"
