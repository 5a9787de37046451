"""An evaluation as Markdown, which Kubeflow shows."""

import json

from components.evaluate.evaluation import FACTS, SCORES
from components.shared.intervals import score_interval
from components.shared.outputs.divergence import has_diverged, read_divergence
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.rows import EvaluationFacts, Score
from components.shared.text.counted import counted

REMARKS = {
    "truncated_prompts": "exceeded the model's context: truncated on the left.",
    "control_text_prompts": "spelt a control token: encoded as text.",
}
"""What is reported of unusual prompts, by the count."""


def summarise(library: Library, manifest: Manifest, name: str) -> str:
    """The scores of a model with their errors and intervals, those of subjects and of other readings among them."""
    if has_diverged(manifest):
        found = read_divergence(library, manifest)
        why = "No scores" if found.step is None else "Not asked: its training diverged"
        return f"# Evaluation of {name}\n\n{why}, {found.problem}.\n"
    scores = [Score.model_validate(row) for row in json.loads(library.read_bytes(manifest, SCORES))]
    asked = EvaluationFacts.model_validate_json(library.read_bytes(manifest, FACTS)).benchmarks
    notes = [f"- **{each.name}**: {each.words}" for each in asked]
    counts = {what: int(manifest.counts.get(count, 0)) for count, what in REMARKS.items()}
    return "\n".join(
        [
            f"# Evaluation of {name}",
            "",
            "| benchmark | metric | score ± standard error, % | 95 % interval | questions |",
            "|---|---|---:|---:|---:|",
            *map(_row, scores),
            "",
            *notes,
            *(line for what, count in counts.items() if count for line in ("", f"{counted(count, 'prompt')} {what}")),
            "",
        ]
    )


def _row(score: Score) -> str:
    """A score with Wilson's interval over questions."""
    low, high = score_interval(score)
    return (
        f"| {score.benchmark} | {score.metric} | {100 * score.value:.1f} ± {100 * score.standard_error:.1f} "
        f"| {100 * low:.1f} to {100 * high:.1f} | {score.count:,} |"
    )
