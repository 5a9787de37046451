"""A comparison as Markdown, for Kubeflow's page."""

from components.evaluate.benchmarks.registry import BENCHMARKS
from components.evaluate.evaluate import read_table
from components.shared.manifest import Manifest
from components.shared.rows import Variant


def summarise(root: str, manifest: Manifest) -> str:
    """Scores with standard errors, and each model's paired difference to the base."""
    table = read_table(root, manifest)
    names = [score.benchmark for score in table.variants[0].scores]
    corrected = manifest.settings["correction"] == "holm"
    notes = [f"- **{name}**: {BENCHMARKS[name].metric}; {BENCHMARKS[name].protocol}" for name in names]
    return "\n".join(
        [
            "# Evaluation",
            "",
            "Scores in percent ± standard error; in brackets the difference to the base in points and its p-value"
            + (" (Holm-corrected over the models)." if corrected else "."),
            "",
            f"| model | {' | '.join(names)} |",
            f"|---|{'---|' * len(names)}",
            *(f"| {variant.name} | {' | '.join(_cells(variant, names))} |" for variant in table.variants),
            "",
            *notes,
            *_readings(table.variants),
            "",
            f"A model is chosen on {100 * manifest.settings['selection_share']:.0f} % of the questions and judged on "
            "the others; here all count.",
            *_warning(manifest),
            "",
        ]
    )


def _cells(variant: Variant, names: list[str]) -> list[str]:
    scores = {score.benchmark: score for score in variant.scores}
    against = {comparison.benchmark: comparison for comparison in variant.against_base}
    cells = []
    for name in names:
        cell = f"{100 * scores[name].value:.1f} ± {100 * scores[name].standard_error:.1f}"
        if name in against:
            cell += f" ({100 * against[name].difference:+.1f}, p {_p(against[name].p_value)})"
        cells.append(cell)
    return cells


def _readings(variants: tuple[Variant, ...]) -> list[str]:
    """One line for each other reading of a benchmark, with all models."""
    by_reading: dict[tuple[str, str], list[str]] = {}
    for variant in variants:
        for score in variant.readings:
            value = f"{variant.name} {100 * score.value:.1f} ± {100 * score.standard_error:.1f}"
            by_reading.setdefault((score.benchmark, score.metric), []).append(value)
    return [f"- **{name}**, {metric}: {', '.join(values)}" for (name, metric), values in by_reading.items()]


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _warning(manifest: Manifest) -> list[str]:
    said = {
        "prompts were longer than the models' context and lost their beginning.": "truncated_prompts",
        "prompts spell a control token in their text, which was encoded as text.": "control_text_prompts",
    }
    counts = {what: int(manifest.counts.get(name, 0)) for what, name in said.items()}
    return [line for what, count in counts.items() if count for line in ("", f"{count} {what}")]
