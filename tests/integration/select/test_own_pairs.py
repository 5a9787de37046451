"""People's own pairs pass through the data steps, and train as they are."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.collect.collect import collect_data
from components.collect.settings import CollectSettings
from components.curate.curate import curate_instructions
from components.curate.settings import CurateSettings
from components.select.select import select_responses
from components.select.settings import SelectSettings
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.rows import KtoRow, Message, Pair
from components.synthesize.settings import SynthesizeSettings
from components.synthesize.synthesize import synthesize_responses

TOPICS = ("rivers", "glaciers", "violins", "volcanoes", "bicycles", "lanterns")
UNSCORED = {"perplexity": {"scorer": "none"}, "quality": {"scorer": "none"}}


def messages(topic: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"Tell me about {topic}."}, {"role": "assistant", "content": answer}]


def made(root: Path, records: list[dict[str, Any]], **select: Any) -> tuple[Library, Manifest]:
    """The selection from pairs alone: no model is asked for labels, answers or scores."""
    library, source = Library(str(root / "store")), root / "pairs.jsonl"
    source.write_text("\n".join(map(json.dumps, records)))
    collected = collect_data(
        library, CollectSettings.model_validate({"sources": [{"name": "own", "uri": str(source)}]})
    )
    curate = CurateSettings.model_validate({"labeller": "rules", "rare_below": 1})
    curated = curate_instructions(library, curate, collected.dataset, collected.benchmarks)
    synthesize = SynthesizeSettings.model_validate({"origins": ["original"]})
    answered = synthesize_responses(library, synthesize, curated)
    assert collected.dataset.counts["pairs"] == len(records)
    return library, select_responses(library, SelectSettings.model_validate({**UNSCORED, **select}), answered)


@pytest.mark.parametrize("minimum_total", [0.0, 0.3])
def test_each_pair_is_a_row_to_learn_from(tmp_path: Path, minimum_total: float) -> None:
    """Also without scores, which leaves nothing that is good enough for SFT."""
    records: list[dict[str, Any]] = [
        {"chosen": messages(topic, f"Many {topic}."), "rejected": messages(topic, f"No {topic}.")} for topic in TOPICS
    ]
    library, selection = made(tmp_path, records, minimum_total=minimum_total)
    pairs = list(library.read_rows(selection, Pair, "pairs"))
    assert [(pair.chosen, pair.rejected) for pair in pairs] == [(f"Many {t}.", f"No {t}.") for t in TOPICS]
    assert pairs[0].prompt == (Message(role="user", content="Tell me about rivers."),)
    assert {(pair.chosen_origin, pair.rejected_origin, pair.margin) for pair in pairs} == {
        ("original", "original", 0.0)
    }
    assert [row.label for row in library.read_rows(selection, KtoRow, "kto")] == [True, False] * len(TOPICS)
    assert selection.counts["sft_rows"] == (0 if minimum_total else len(TOPICS))
