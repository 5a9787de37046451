"""Questions with choices, answered by ranking the texts of the choices by their log-likelihoods after the prompt.

As the output type multiple_choice of lm-evaluation-harness with --apply_chat_template: no text and no end token is
added to a choice. `acc` counts questions whose likeliest choice is the answer; `acc_norm` divides by the number
of characters first. Nothing is generated, so it measures models that are too small to follow instructions.
"""

import json
from string import ascii_uppercase

from components.evaluate.benchmarks.benchmark import Benchmark
from components.shared.rows import Question


def _prompt(question: Question) -> str:
    return question.question


def _likeliest(question: Question, output: str) -> str:
    """The letter of the likeliest choice; of equal ones, the first."""
    found = json.loads(output)
    return ascii_uppercase[found.index(max(found))]


def _score(question: Question, output: str) -> float:
    return float(_likeliest(question, output) == question.answer.strip().upper())


def _score_by_character(question: Question, output: str) -> float:
    pairs = zip(json.loads(output), question.choices, strict=True)
    return _score(question, json.dumps([total / len(choice) for total, choice in pairs]))


BENCHMARK = Benchmark(
    name="ranked",
    metric="acc",
    protocol="the choice with the highest log-likelihood after the prompt",
    few_shot=0,
    max_tokens=1,
    prompt=_prompt,
    continuations=lambda question: question.choices,
    score=_score,
    answer=_likeliest,
    readings={"acc_norm": _score_by_character},
    files="the set, with the choices of its questions,",
    takes_prompt=True,
)
