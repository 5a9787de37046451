"""The preview of `distill`: a few rows through collect, curate, synthesize and select.

Modules of steps are imported when a task runs: the command line and the compiler load none of them.
"""

from collections.abc import Mapping
from typing import Any

from components.launch.job import Launch
from components.shared.outputs.library import Library
from components.shared.process.perform import Result
from pipelines.distill.preview_tasks import CHOOSE, COLLECT, CURATE, SELECT, SYNTHESIZE
from pipelines.distill.recipe import DistillRecipe
from pipelines.preview.document import PreviewDocument
from pipelines.preview.preview import Preview, PreviewTask

HEAD_RECORDS = 200
"""Records of each source that are considered, from its start; more where more rows are wanted."""
RECORDS_PER_ROW = 20
TOLERATED_SHARE = 0.5
"""Share of an origin's answers that may fail: one of ten must not hide the other nine."""


def preview(recipe: DistillRecipe, rows: int) -> Preview:
    """The tasks that a number of rows pass through, and what is shown of them."""

    def gather(library: Library, made: Mapping[str, Any], reused: frozenset[str]) -> PreviewDocument:
        from pipelines.distill.gather_preview import gather_preview

        return gather_preview(library, recipe, made, reused)

    tasks = {
        COLLECT: lambda library, _: _collect(library, recipe, rows),
        CHOOSE: lambda library, made: _choose(library, recipe, made, rows),
        CURATE: lambda library, made: _curate(library, recipe, made),
        SYNTHESIZE: lambda library, made: _synthesize(library, recipe, made),
        SELECT: lambda library, made: _select(library, recipe, made),
    }
    return Preview(tuple(PreviewTask(name, work) for name, work in tasks.items()), gather)


def _collect(library: Library, recipe: DistillRecipe, rows: int) -> Result:
    from components.collect.collect_heads import collect_heads

    return collect_heads(library, recipe.collect, max(HEAD_RECORDS, RECORDS_PER_ROW * rows))


def _choose(library: Library, recipe: DistillRecipe, made: Mapping[str, Any], rows: int) -> Result:
    from components.curate.choose_rows import choose_rows

    collected = made[COLLECT]
    return choose_rows(library, recipe.curate, collected.dataset, collected.benchmarks, rows)


def _curate(library: Library, recipe: DistillRecipe, made: Mapping[str, Any]) -> Result:
    from components.curate.choose_rows import label_chosen

    return label_chosen(library, recipe.curate, made[CHOOSE], made[COLLECT].benchmarks)


def _synthesize(library: Library, recipe: DistillRecipe, made: Mapping[str, Any]) -> Result:
    from components.synthesize.answer_here import answer_here
    from components.synthesize.synthesize import synthesize_responses

    here = {"failed_share": max(recipe.synthesize.failed_share, TOLERATED_SHARE), "launch": Launch()}
    return synthesize_responses(library, recipe.synthesize.model_copy(update=here), made[CURATE], answer_here)


def _select(library: Library, recipe: DistillRecipe, made: Mapping[str, Any]) -> Result:
    from components.select.select import select_responses

    return select_responses(library, recipe.select, made[SYNTHESIZE], may_be_empty=True)
