"""GSM8K: grade-school word problems, with a chain of thought.

Cobbe et al., "Training verifiers to solve math word problems", arXiv 2110.14168. The worked examples are the first of
the eight of Wei et al., "Chain-of-thought prompting elicits reasoning in large language models", arXiv 2201.11903,
as lm-evaluation-harness ships them (task gsm8k_cot).

`exact_match` reads the number as a person would (rewards/numbers/read_number.py). `strict_match` follows that
protocol: the number right after the first "The answer is", written as in the worked examples.
"""

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import cache

from components.evaluate.benchmarks.benchmark import Benchmark, Shot
from components.evaluate.shipped_tasks import shipped_samples
from components.rewards.numbers.numerals import fraction
from components.rewards.numbers.read_number import read_number, same_number
from components.shared.rows import Question

STRICT = re.compile(r"The answer is (-?[0-9.,]+)\.")


def _prompt(question: Question) -> str:
    return _ask(question.question)


def _ask(problem: str) -> str:
    return f"{problem}\nThink step by step, and end with: The answer is NUMBER."


@cache
def _examples() -> tuple[Shot, ...]:
    return tuple((_ask(sample["question"]), sample["target"]) for sample in shipped_samples("gsm8k/gsm8k-cot.yaml"))


def _shots(subject: str, dev: Sequence[Question]) -> list[Shot]:
    return list(_examples())


def _score(question: Question, reply: str) -> float:
    return float(same_number(_answer(question, reply), read_number(question.answer)))


def _answer(question: Question, reply: str) -> Fraction | None:
    return read_number(reply)


def _score_strictly(question: Question, reply: str) -> float:
    found = STRICT.search(reply)
    return float(found is not None and same_number(_plain(found[1]), _plain(question.answer)))


def _plain(number: str) -> Fraction | None:
    return fraction(number.replace(",", "").rstrip("."))


BENCHMARK = Benchmark(
    name="gsm8k",
    metric="exact_match",
    protocol="chain of thought; the number stated as the answer, or else the last one, compared by value",
    few_shot=4,
    max_tokens=512,
    prompt=_prompt,
    score=_score,
    answer=_answer,
    readings={"strict_match": _score_strictly},
    shots=_shots,
    stop=("\nQ:", "\n\nQuestion:"),
    files="GSM8K's test.jsonl",
)
