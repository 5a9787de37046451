"""The promoted model's README.md, with the metadata that the Hugging Face hub reads from a model card."""

from pathlib import Path
from typing import Any

import jinja2
import yaml

from components.publish.gate.judgement import Judgement
from components.publish.gate.scores import against_base
from components.publish.report_schema import VariantFacts
from components.publish.settings import PublishSettings
from components.shared.rows import Score, Variant

TEMPLATE = Path(__file__).with_name("model_card.md.jinja")


def write_model_card(judgement: Judgement, winner: Variant, facts: VariantFacts, address: str) -> str:
    """The model card: metadata, scores against the base, use, limits."""
    settings = judgement.settings
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - the card is Markdown, not HTML
    )
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        front_matter=yaml.safe_dump(_metadata(settings, facts, winner), sort_keys=False, allow_unicode=True),
        name=settings.name,
        version=address.rsplit("/", 1)[-1],
        sentence=judgement.gate.sentence,
        origin=_origin(facts),
        rows=[_row(score, winner, judgement.base) for score in _scores(winner)],
        address=address,
        benchmark=judgement.gate.benchmark,
    )


def _metadata(settings: PublishSettings, facts: VariantFacts, winner: Variant) -> dict[str, Any]:
    """Fields of the hub's model card specification; `model-index` holds the results."""
    results = [
        {
            "task": {"type": "text-generation"},
            "dataset": {"name": score.benchmark, "type": score.benchmark},
            "metrics": [{"type": score.metric, "value": round(score.value, 4), "name": score.metric}],
        }
        for score in _scores(winner)
    ]
    licence = {"license": settings.license} if settings.license else {}
    return {
        **licence,
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["tutelage", *([facts.method] if facts.method else [])],
        "model-index": [{"name": settings.name, "results": results}],
    }


def _origin(facts: VariantFacts) -> str:
    method = f" with {facts.method}" if facts.method else ""
    sources = " and ".join(f"`{source}`" for source in facts.made_from)
    return f"It is the variant `{facts.name}`, {facts.kind}{method}{f' from {sources}' if sources else ''}."


def _row(score: Score, winner: Variant, base: Variant) -> dict[str, str]:
    of_base = next((item for item in _scores(base) if item.benchmark == score.benchmark), None)
    difference = against_base(winner.confirmation, score.benchmark)
    return {
        "benchmark": score.benchmark,
        "metric": score.metric,
        "count": str(score.count),
        "score": _percent(score),
        "base": _percent(of_base) if of_base else "",
        "difference": f"{100 * difference.difference:+.1f}" if difference else "",
        "p_value": f"{difference.p_value:.2g}" if difference else "",
    }


def _scores(variant: Variant) -> tuple[Score, ...]:
    """Those of the confirmation part: the selection part flatters the winner."""
    return variant.confirmation.scores if variant.confirmation else ()


def _percent(score: Score) -> str:
    return f"{100 * score.value:.1f} ± {100 * score.standard_error:.1f}"
