"""The adopt component."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Markdown, Metrics, Output

from components.adopt.step import STEP


@dsl.component(base_image=STEP.image.reference, install_kfp_package=False)
def adopt(
    root: str,
    settings: dict[str, Any],
    selection: str,
    dataset: Output[Dataset],
    benchmarks: Output[Dataset],
    metrics: Output[Metrics],
    summary: Output[Markdown],
) -> str:
    """Take a selection that is there as the data, with the questions that its rows were cleared of.

    Args:
        root: URI of the store's root.
        settings: the step's settings (AdoptSettings).
        selection: address of the selection (selection/1) in this store, or its URI in any.

    Returns:
        dataset: manifest of the selection (selection/1).
        benchmarks: manifest of the questions (question/1).
        metrics: rows of each part, and questions.
        summary: the same as a table.
        Output: URI of the selection in the store.
    """
    from components.adopt.adopt import Adopted, adopt_selection, counts_of, summarise
    from components.adopt.settings import AdoptSettings
    from components.shared.outputs.library import Library
    from components.shared.process.perform import hand_over
    from components.shared.process.run_component import run_component

    def hand_over_both(library: Library, found: Adopted) -> str:
        hand_over(found.benchmarks, library, benchmarks)
        for name, count in counts_of(given, found).items():
            metrics.log_metric(name, count)
        return hand_over(found.dataset, library, dataset, None, (summary, summarise(given, found)))

    given = AdoptSettings.model_validate(settings)
    return run_component("adopt", root, lambda library: adopt_selection(library, given, selection), hand_over_both)
