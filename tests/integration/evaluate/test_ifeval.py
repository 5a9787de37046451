"""IFEval's checkers work without a download, and a prompt counts only when every instruction is followed."""

import json

import pytest

from components.evaluate.benchmarks.ifeval import BENCHMARK
from components.shared.errors import InputError
from components.shared.rows import Question
from components.shared.sandbox.run_python import SandboxLimits


def question(**fields: object) -> Question:
    return Question.model_validate({"benchmark": "ifeval", "id": "1", "question": "?", "answer": "", **fields})


def score(row: Question, reply: str) -> float:
    return BENCHMARK.judge(row, reply, SandboxLimits())


IFEVAL = [
    ("punctuation:no_comma", {}, "no comma here", "one, comma"),
    (
        "length_constraints:number_sentences",
        {"relation": "at least", "num_sentences": 3},
        "It rains. We stay in! Do you?",
        "One only.",
    ),
    (
        "length_constraints:number_sentences",
        {"relation": "less than", "num_sentences": 2},
        "Written by Dr. Who.",
        "It rains. We stay in.",
    ),
    ("change_case:capital_word_frequency", {"capital_relation": "at least", "capital_frequency": 2}, "A BIG ONE", "no"),
    ("length_constraints:number_words", {"relation": "at least", "num_words": 3}, "one two three", "one two"),
    ("keywords:existence", {"keywords": ["apple"]}, "an apple a day", "a pear"),
    ("detectable_format:json_format", {}, '{"a": 1}', "a: 1"),
]


@pytest.mark.parametrize(("kind", "arguments", "follows", "breaks"), IFEVAL)
def test_ifeval_checks_instructions(kind: str, arguments: dict[str, object], follows: str, breaks: str) -> None:
    extra = {"instruction_id_list": json.dumps([kind]), "kwargs": json.dumps([arguments])}
    row = question(extra=extra)
    assert score(row, follows) == 1 and score(row, breaks) == 0


def test_ifeval_requires_every_instruction() -> None:
    kinds = ["punctuation:no_comma", "keywords:existence"]
    extra = {"instruction_id_list": json.dumps(kinds), "kwargs": json.dumps([{}, {"keywords": ["apple"]}])}
    row = question(extra=extra)
    assert score(row, "an apple") == 1 and score(row, "an apple, yes") == 0


def test_ifeval_without_instructions_is_an_error() -> None:
    with pytest.raises(InputError, match="'instruction_id_list'"):
        score(question(), "x")
