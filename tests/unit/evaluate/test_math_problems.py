"""Competition problems: what counts as right, how often each is asked, and whose number an interval counts."""

import math
from typing import Any

import pytest
from pydantic import ValidationError

from components.evaluate.benchmarks.math_problems import BENCHMARKS
from components.evaluate.evaluation import facts_of
from components.evaluate.score import score_samples
from components.evaluate.settings import EvaluationSettings
from components.shared.rows import Question, Sample
from components.shared.sandbox.run_python import SandboxLimits

LIMITS = SandboxLimits()
BY_NAME = {benchmark.name: benchmark for benchmark in BENCHMARKS}


def question(answer: str, **extra: str) -> Question:
    return Question(benchmark="olympiadbench", id="1", question="How long?", answer=answer, extra=extra)


def score(asked: Question, reply: str) -> float:
    return BY_NAME["olympiadbench"].judge(asked, reply, LIMITS)


def settings(*sets: dict[str, Any], **changed: Any) -> EvaluationSettings:
    return EvaluationSettings.model_validate({"benchmarks": sets, **changed})


@pytest.mark.parametrize(
    ("answer", "right", "wrong"),
    [
        ("204", "So \\boxed{204}.", "So \\boxed{205}."),
        ("033", "The total is $\\boxed{33}$.", "\\boxed{330}"),
        ("\\frac{\\sqrt{3}}{2}", "\\boxed{\\sqrt{3}/2}", "\\boxed{\\sqrt{3}}"),
        ("\\left( 3, \\frac{\\pi}{2} \\right)", "\\boxed{(3, \\pi/2)}", "\\boxed{(\\pi/2, 3)}"),
        ("2, -\\frac{1}{2}", "\\boxed{-0.5} and \\boxed{2}", "\\boxed{2}"),
        ("x^2+2x+1", "\\boxed{(x+1)^2}", "\\boxed{(x-1)^2}"),
    ],
)
def test_answers_are_compared_by_value(answer: str, right: str, wrong: str) -> None:
    assert (score(question(answer), right), score(question(answer), wrong)) == (1, 0)


def test_a_unit_is_asked_for_and_may_be_left_out_of_the_reply() -> None:
    asked = question("12", unit="cm")
    prompt = BY_NAME["olympiadbench"].prompt(asked)
    assert prompt.startswith("How long?\nGive the answer in cm.\n\n") and prompt.endswith("within \\boxed{}.")
    assert (score(asked, "\\boxed{12}"), score(asked, "\\boxed{12 cm}"), score(asked, "\\boxed{13}")) == (1, 1, 0)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [("\\boxed{3.15}", 1), ("\\boxed{3.13}", 1), ("\\boxed{3.151}", 0), ("\\boxed{x}", 0), ("I do not know.", 0)],
)
def test_a_tolerance_is_the_largest_difference(reply: str, expected: float) -> None:
    assert score(question("3.14", tolerance="0.01"), reply) == expected
    assert score(question("3.14", tolerance="1e-2"), reply) == expected


def test_a_set_is_asked_as_often_as_its_benchmark_says_unless_the_recipe_says_otherwise() -> None:
    asked = settings({"name": "aime_2024"}, {"name": "math_500"}, {"name": "gsm8k"})
    aime, math_500, gsm8k = facts_of(asked, ["math_match", "math_match", "exact_match"]).benchmarks
    assert (aime.samples, aime.temperature, aime.top_p, aime.pass_at) == (32, 0.6, 0.95, (8, 32))
    assert (math_500.samples, math_500.pass_at) == (4, (4,)) and (gsm8k.samples, gsm8k.temperature) == (1, 0)
    fewer = settings({"name": "aime_2024", "samples": 16}, samples=2, temperature=1.0)
    (aime,) = facts_of(fewer, ["math_match"]).benchmarks
    assert (aime.samples, aime.temperature, aime.pass_at) == (16, 0.6, (8,))
    greedy = settings({"name": "aime_2024", "samples": 1, "temperature": 0})
    (aime,) = facts_of(greedy, ["math_match"]).benchmarks
    assert (aime.samples, aime.temperature, aime.pass_at) == (1, 0, ())


def test_a_set_that_cannot_be_sampled_so_is_refused() -> None:
    with pytest.raises(ValidationError, match="aime_2025: samples above 1 need a temperature above 0"):
        settings({"name": "aime_2025", "temperature": 0})
    with pytest.raises(
        ValidationError, match="aime_2025: pass_at 64 needs as many samples: set samples to at least 64"
    ):
        settings({"name": "aime_2025", "pass_at": [64]})


def test_the_number_of_answers_is_in_the_key_only_where_the_recipe_sets_it() -> None:
    key = settings({"name": "math_500"}).key_material()["benchmarks"][0]
    assert key.keys() == {"name", "benchmark", "prompt", "limit", "few_shot", "max_tokens"}
    assert settings({"name": "math_500", "samples": 8}).key_material()["benchmarks"][0]["samples"] == 8


def test_averages_and_pass_rates_have_errors_over_questions() -> None:
    rows = [Question(benchmark="math_500", id=str(number), question="?", answer="1") for number in range(4)]
    outcomes = [(1, 1, 1, 1), (1, 0, 0, 0), (0, 0, 0, 0), (1, 1, 0, 0)]
    samples = [
        Sample(
            benchmark="math_500",
            id=row.id,
            outputs=tuple("\\boxed{1}" if right else "\\boxed{2}" for right in outcome),
            scores=tuple(map(float, outcome)),
        )
        for row, outcome in zip(rows, outcomes, strict=True)
    ]
    mean, pass_4, vote = score_samples(BY_NAME["math_500"], rows, samples, pass_ks=(4,))
    assert (mean.metric, mean.count, mean.value) == ("math_match", 4, 7 / 16)
    spread = [1.0, 0.25, 0.0, 0.5]
    deviation = math.sqrt(sum((value - 7 / 16) ** 2 for value in spread) / 3)
    assert mean.standard_error == pytest.approx(deviation / math.sqrt(4), abs=1e-6)
    assert (pass_4.metric, pass_4.value, pass_4.count) == ("pass@4", 0.75, 4)
    assert vote.metric == "maj@4" and vote.count == 4
