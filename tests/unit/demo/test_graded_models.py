"""The shipped models of the graded world: their size, their records, and a sample of their answers."""

import json
import random
from collections import Counter
from dataclasses import asdict
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from components.shared.text.numbered_steps import step_starts
from demo.evaluate_models import greedy_answers
from demo.graded.draw_examples import rewrite_request
from demo.graded.evaluate_models import REPLY_TOKENS, is_right
from demo.graded.lessons import LESSONS
from demo.graded.make_models import HERE
from demo.graded.make_problems import graded_problems
from demo.graded.tasks.problem import GradedProblem

SAMPLE = random.Random(63).sample(graded_problems()["heldout"], 60)
COST: dict[str, Any] = json.loads((HERE / "cost.json").read_text(encoding="utf-8"))


def replies(name: str, requests: list[str]) -> list[str]:
    folder = HERE / name
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    return greedy_answers(model, tokenizer, requests, REPLY_TOKENS)


def right(name: str, problems: list[GradedProblem]) -> list[bool]:
    pairs = zip(replies(name, [problem.question for problem in problems]), problems, strict=True)
    return [is_right(reply, problem) for reply, problem in pairs]


@pytest.mark.parametrize("name", LESSONS)
def test_models_are_small_and_recorded(name: str) -> None:
    size = (HERE / name / "model.safetensors").stat().st_size
    assert size == COST[name]["bytes"] < 3_000_000
    recorded = [
        {key: lesson[key] for key in ("plan", "shares", "weights", "families")} for lesson in COST[name]["lessons"]
    ]
    assert recorded == [json.loads(json.dumps(asdict(lesson))) for lesson in LESSONS[name]]


def test_the_teacher_solves_problems_of_every_length() -> None:
    assert sum(right("teacher", SAMPLE)) >= 0.9 * len(SAMPLE)


def test_the_teacher_rewrites_solutions_in_numbered_steps() -> None:
    rewritings = replies("teacher", [rewrite_request(problem) for problem in SAMPLE])
    good = [
        is_right(text, problem) and len(step_starts(text)) == problem.steps
        for text, problem in zip(rewritings, SAMPLE, strict=True)
    ]
    assert sum(good) >= 0.9 * len(SAMPLE)


def test_the_student_solves_short_problems_and_hardly_any_long_one() -> None:
    solved = Counter[int]()
    for problem, verdict in zip(SAMPLE, right("student", SAMPLE), strict=True):
        solved[problem.steps] += verdict
    asked = Counter(problem.steps for problem in SAMPLE)
    assert solved[1] >= 0.7 * asked[1] and solved[4] <= 0.2 * asked[4]
