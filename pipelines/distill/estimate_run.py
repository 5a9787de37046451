"""What the complete run of a previewed recipe would ask for: the preview's counts, tokens and prices scaled up.

It covers labels and answers. Training, evaluation and the scorers of select cost no tokens, except a judge's.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.collect.collect_heads import count_records
from components.collect.source_settings import Source
from components.models.generators.generator import Price
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from pipelines.distill.preview_tasks import CHOOSE, COLLECT, CURATE, SYNTHESIZE
from pipelines.distill.recipe import DistillRecipe
from pipelines.preview.document import ShownEstimate, ShownSource

COUNTED_RECORDS = 100_000
"""Records that are counted, over all sources: a few seconds of reading."""


@dataclass(frozen=True)
class Estimated:
    """The estimate, and what it rests on."""

    sources: tuple[ShownSource, ...]
    rows: int
    at_least: bool
    estimates: tuple[ShownEstimate, ...]
    notes: tuple[str, ...]


def estimate_run(library: Library, recipe: DistillRecipe, made: Mapping[str, Any]) -> Estimated:
    """Scale the preview to all records of the sources.

    Args:
        library: where the preview's outputs are stored.
        recipe: what was previewed.
        made: the manifests by task; for collect both.
    """
    sources = tuple(_sources(recipe, made))
    at_least = any(not source.exact for source in sources)
    usable = sum(
        (source.records or source.considered) * source.usable / max(source.considered, 1) for source in sources
    )
    chosen, curated = made[CHOOSE].counts, made[CURATE]
    passing = usable * chosen["passed"] / max(chosen["considered"], 1)
    labelled = passing * curated.counts["rows_out"] / max(curated.counts["rows_in"], 1)
    rows = min(labelled, recipe.curate.maximum_rows or labelled)
    answers = _answers(library, recipe, made[SYNTHESIZE], rows / max(curated.counts["rows_out"], 1))
    estimates = (*_labels(recipe, curated, passing), *answers)
    return Estimated(sources, round(rows), at_least, estimates, tuple(_notes(recipe, at_least=at_least)))


def _sources(recipe: DistillRecipe, made: Mapping[str, Any]) -> Iterator[ShownSource]:
    counts = made[COLLECT].dataset.counts
    for source in recipe.collect.sources:
        usable, rejected = int(counts[f"rows_{source.name}"]), int(counts[f"rejected_{source.name}"])
        yield _source(recipe, source, usable, usable + rejected)


def _source(recipe: DistillRecipe, source: Source, usable: int, considered: int) -> ShownSource:
    most = COUNTED_RECORDS // len(recipe.collect.sources)
    found = count_records(source, recipe.collect.dataset_part, most)
    return ShownSource(
        name=source.name,
        records=found.records if found else None,
        exact=bool(found and found.exact),
        considered=considered,
        usable=usable,
    )


def _labels(recipe: DistillRecipe, curated: Manifest, passing: float) -> Iterator[ShownEstimate]:
    """The requests for labels; their rate is not measured apart from the loading of a model."""
    asked, model = int(curated.counts["rows_in"]), recipe.curate.model_asked
    if model is not None and asked:
        tokens = (curated.cost.tokens_in, curated.cost.tokens_out)
        yield _scaled("labels", asked, passing / asked, tokens, model[0].price)


def _answers(library: Library, recipe: DistillRecipe, answered: Manifest, times: float) -> Iterator[ShownEstimate]:
    report = json.loads(library.read_bytes(answered, "report.json"))
    for origin in recipe.synthesize.asked:
        facts, price = report["origins"][origin], recipe.synthesize.model_of(origin).price
        asked = facts["responses"] + facts["failed"]
        tokens = (facts["tokens_in"], facts["tokens_out"])
        rate = facts["replies_per_second"] or None
        yield _scaled(f"{origin}'s answers", asked, times, tokens, price, per_second=rate)


def _scaled(
    what: str, requests: int, times: float, tokens: tuple[int, int], price: Price, *, per_second: float | None = None
) -> ShownEstimate:
    """By the recipe's price list as it is now: an output that is reused has that of when it was made."""
    paid = (tokens[0] * price.per_million_in + tokens[1] * price.per_million_out) / 1e6
    return ShownEstimate(
        what=what,
        requests=requests,
        tokens_in=tokens[0],
        tokens_out=tokens[1],
        price=paid,
        full=round(requests * times),
        full_tokens_in=round(tokens[0] * times),
        full_tokens_out=round(tokens[1] * times),
        full_price=paid * times,
        currency=price.currency if paid else "",
        seconds=requests * times / per_second if per_second else None,
    )


def _notes(recipe: DistillRecipe, *, at_least: bool) -> Iterator[str]:
    if at_least:
        yield "a source has more records than were counted, so the estimate is a lower bound"
    yield (
        "rare labels and the balance of labels are judged on all rows, not in a preview: a run keeps fewer rows; "
        "near-duplicates are searched among the rows considered: a run finds more of them"
    )
    yield "times are at the preview's rate: so few requests fill neither a batch nor a window, and a run is faster"
    judges = [name for name, scorer in recipe.select.scorers.items() if scorer.model_asked is not None]
    if judges:
        yield f"the requests of the judge ({', '.join(judges)}) come on top: their tokens are not counted"
