"""The collect component."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Markdown, Metrics, Output


@dsl.component(base_image="tutelage/train:0.1.0", install_kfp_package=False)
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
        root: the store's root URI.
        settings: CollectSettings as a dict.
        dataset: the instructions' manifest.
        benchmarks: the questions' manifest.
        metrics: rows and rejected records, in all and by source.
        summary: the same as tables.

    Returns:
        The URI of the instructions' address.
    """
    from components.collect.collect import collect_data
    from components.collect.settings import CollectSettings
    from components.collect.summarise import summarise
    from components.shared.step import hand_over, perform, reported

    collected = perform("collect", lambda: collect_data(root, CollectSettings.model_validate(settings)), root=root)
    with reported("collect", root):
        hand_over(collected.benchmarks, root, benchmarks)
        return hand_over(collected.dataset, root, dataset, metrics, (summary, summarise(root, *collected)))
