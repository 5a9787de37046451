"""The publish component."""

from typing import Any

from kfp import dsl
from kfp.dsl import HTML, Artifact, Input, Markdown, Metrics, Output


@dsl.component(base_image="tutelage/train:0.1.0", install_kfp_package=False)
def publish(
    root: str,
    settings: dict[str, Any],
    comparison: Input[Artifact],
    release: Output[Artifact],
    report: Output[HTML],
    metrics: Output[Metrics],
    summary: Output[Markdown],
) -> str:
    """Promote the best variant that passes the gate, and write the report.

    Args:
        root: the store's root URI.
        settings: PublishSettings as a dict.
        comparison: evaluate's comparison of all variants with the base.
        release: manifest of the report; it names the address with report.json and report.html.
        report: the report's page.
        metrics: base's and winner's scores, and recall and precision for each planted kind.
        summary: the outcome and the table of scores.

    Returns:
        The address's URI.
    """
    from pathlib import Path

    from components.publish.publish import publish_best, read_page, summarise
    from components.publish.settings import PublishSettings
    from components.shared.run_pointer import point_from_run
    from components.shared.step import hand_over, perform, read_artifact, reported

    manifest = perform(
        "publish",
        lambda: point_from_run(
            root, publish_best(root, PublishSettings.model_validate(settings), read_artifact(comparison))
        ),
        root=root,
    )
    with reported("publish", root):
        Path(report.path).parent.mkdir(parents=True, exist_ok=True)
        Path(report.path).write_text(read_page(root, manifest), encoding="utf-8")
        return hand_over(manifest, root, release, metrics, (summary, summarise(root, manifest)))
