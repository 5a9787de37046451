"""A benchmark is one `Benchmark` and one line of a registry: a made-up one is asked and scored through evaluate."""

import json
from pathlib import Path

import pytest

from components.evaluate.benchmarks.benchmark import Benchmark
from components.evaluate.benchmarks.registry import BENCHMARKS
from components.evaluate.evaluate import evaluate_model
from components.evaluate.evaluation import facts_of
from components.evaluate.settings import EvaluationSettings
from components.evaluate.summarise import summarise
from components.shared.outputs.library import Library
from components.shared.outputs.output import Output
from components.shared.rows import Question, Sample
from components.shared.settings import Settings
from components.shared.step import Product
from tests.tiny_model import save_tiny_model


def vowels(question: Question, reply: str) -> float:
    """The share of the reply's characters that are vowels."""
    return sum(character in "aeiou" for character in reply) / max(len(reply), 1)


VOWELS = Benchmark(
    name="vowels",
    metric="vowel_share",
    protocol="the share of vowels in the reply",
    few_shot=0,
    max_tokens=6,
    prompt=lambda question: f"Say: {question.question}",
    score=vowels,
    files="a list of words",
)


def test_a_made_up_benchmark_is_asked_and_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BENCHMARKS, VOWELS.name, VOWELS)
    library = Library(str(tmp_path / "store"))
    output = Output(library, Product("collect", 1, Question.content), Settings(), {})
    words = [("vowels", "sky"), ("vowels", "sea"), ("vowels", "sun"), ("words", "oak"), ("words", "elm")]
    rows = [Question(benchmark=name, id=word, question=word, answer="") for name, word in words]
    output.write_rows("rows/00000", rows)
    model = str(save_tiny_model(tmp_path / "model"))
    asked = [{"name": "vowels", "max_tokens": 4}, {"name": "words", "benchmark": "vowels", "max_tokens": 4}]
    settings = EvaluationSettings.model_validate({"benchmarks": asked})

    manifest = evaluate_model(library, settings, output.finish(), model, "base")

    scores = json.loads(library.read_bytes(manifest, "scores.json"))
    assert [(score["benchmark"], score["metric"], score["count"]) for score in scores] == [
        ("vowels", "vowel_share", 3),
        ("words", "vowel_share", 2),
    ]
    samples = list(library.read_rows(manifest, Sample, "samples/words"))
    assert [sample.id for sample in samples] == ["oak", "elm"]
    assert [sample.score for sample in samples] == [vowels(rows[0], sample.outputs[0]) for sample in samples]
    facts = facts_of(settings, [VOWELS.metric] * 2)
    assert [(asked.name, asked.max_tokens) for asked in facts.benchmarks] == [("vowels", 4), ("words", 4)]
    assert "- **words**: vowel_share; the share of vowels in the reply; zero-shot; a greedy answer" in summarise(
        library, manifest, "base"
    )
