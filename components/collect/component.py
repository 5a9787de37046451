"""The collect component."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Markdown, Metrics, Output

from components.collect.step import STEP


@dsl.component(base_image=STEP.image.reference, install_kfp_package=False)
def collect(
    root: str,
    settings: dict[str, Any],
    dataset: Output[Dataset],
    benchmarks: Output[Dataset],
    metrics: Output[Metrics],
    summary: Output[Markdown],
) -> str:
    """Collect instructions and evaluation questions from files, folders, S3 and the hub.

    Args:
        root: URI of the store's root.
        settings: the step's settings (CollectSettings); those left out have their defaults.

    Returns:
        dataset: manifest of the instructions (instruction/1).
        benchmarks: manifest of the evaluation questions (question/1).
        metrics: rows and rejected records, in total and by source.
        summary: the metrics as tables.
        Output: URI of the instructions in the store.
    """
    from components.collect.collect import Collected, collect_data
    from components.collect.settings import CollectSettings
    from components.collect.summarise import summarise
    from components.shared.outputs.library import Library
    from components.shared.process.perform import hand_over
    from components.shared.process.run_component import run_component

    def hand_over_both(library: Library, made: Collected) -> str:
        hand_over(made.benchmarks, library, benchmarks)
        return hand_over(made.dataset, library, dataset, metrics, (summary, summarise(library, *made)))

    chosen = CollectSettings.model_validate
    return run_component("collect", root, lambda library: collect_data(library, chosen(settings)), hand_over_both)
