"""A comparison as Markdown, which Kubeflow shows."""

from components.compare.compare import read_table
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.rows import Variant
from components.shared.text.counted import counted


def summarise(library: Library, manifest: Manifest) -> str:
    """Scores with standard errors, and the paired difference of each model from the base."""
    table = read_table(library, manifest)
    names = [score.benchmark for score in table.variants[0].scores]
    corrected = manifest.settings["correction"] == "holm"
    notes = [f"- **{asked.name}**: {asked.words}" for asked in table.asked]
    return "\n".join(
        [
            "# Comparison",
            "",
            "Scores in percent ± standard error; in brackets the difference from the base in points, and its p-value"
            + (" (Holm-corrected over the models)." if corrected else "."),
            "",
            f"| model | {' | '.join(names)} |",
            f"|---|{'---|' * len(names)}",
            *(f"| {_name(variant)} | {' | '.join(_cells(variant, names))} |" for variant in table.variants),
            "",
            *notes,
            *_readings(table.variants),
            "",
            f"A model is chosen on {100 * manifest.settings['selection_share']:.0f} % of the questions and judged on "
            "the others; this table includes all.",
            *_warning(manifest),
            "",
        ]
    )


def _name(variant: Variant) -> str:
    return f"{variant.name} (endpoint)" if variant.endpoint else variant.name


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
    names = {
        "exceeded the models' context: truncated on the left.": "truncated_prompts",
        "spelt a control token: encoded as text.": "control_text_prompts",
    }
    counts = {what: int(manifest.counts.get(name, 0)) for what, name in names.items()}
    return [line for what, count in counts.items() if count for line in ("", f"{counted(count, 'prompt')} {what}")]
