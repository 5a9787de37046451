"""The publish component."""

from typing import Any

from kfp import dsl
from kfp.dsl import HTML, Artifact, Input, Markdown, Metrics, Output

from components.publish.step import STEP


@dsl.component(base_image=STEP.image.reference, install_kfp_package=False)
def publish(
    root: str,
    settings: dict[str, Any],
    comparison: Input[Artifact],
    release: Output[Artifact],
    report: Output[HTML],
    metrics: Output[Metrics],
    summary: Output[Markdown],
    beside: list[str] = [],  # noqa: B006 - kfp compiles the default
) -> str:
    """Promote the best variant that passes the gate, and write the report.

    Args:
        root: URI of the store's root.
        settings: the step's settings (PublishSettings); those left out have their defaults.
        comparison: comparison of all variants with the base (comparison/1).
        beside: URIs of outputs that the report shows too, though no compared model comes from them.

    Returns:
        release: manifest of the report (report/1), which holds report.json and report.html.
        report: the report as a page.
        metrics: scores of the base and the winner; recall and precision for each kind of planted defect.
        summary: the outcome and the table of scores.
        Output: URI of the report in the store.
    """
    from pathlib import Path

    from components.publish.publish import publish_best, read_page, summarise
    from components.publish.settings import PublishSettings
    from components.shared.outputs.library import Library
    from components.shared.outputs.manifest import Manifest
    from components.shared.outputs.run_pointer import point_from_run
    from components.shared.process.perform import hand_over, read_artifact
    from components.shared.process.run_component import run_component

    def work(library: Library) -> Manifest:
        others = [library.load(library.address_of(uri)) for uri in beside]
        made = publish_best(library, PublishSettings.model_validate(settings), read_artifact(comparison), others)
        return point_from_run(library, made)

    def hand_over_with_page(library: Library, made: Manifest) -> str:
        Path(report.path).parent.mkdir(parents=True, exist_ok=True)
        Path(report.path).write_text(read_page(library, made), encoding="utf-8")
        return hand_over(made, library, release, metrics, (summary, summarise(library, made)))

    return run_component("publish", root, work, hand_over_with_page)
