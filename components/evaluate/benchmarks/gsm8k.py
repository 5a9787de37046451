"""GSM8K: grade-school word problems, with a chain of thought.

Cobbe et al., "Training verifiers to solve math word problems", arXiv 2110.14168. The worked examples are the first of
the eight of Wei et al., "Chain-of-thought prompting elicits reasoning in large language models", arXiv 2201.11903,
as lm-evaluation-harness ships them (task gsm8k_cot).
"""

from collections.abc import Sequence
from functools import cache

from components.evaluate.benchmarks.benchmark import Benchmark, Shot
from components.evaluate.extract_number import same_number, stated_number
from components.evaluate.shipped_tasks import shipped_samples
from components.shared.rows import Question


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
    return float(same_number(stated_number(reply), question.answer))


BENCHMARK = Benchmark(
    name="gsm8k",
    metric="exact_match",
    protocol="4-shot chain of thought; the number after 'the answer is', else the last number, compared by value",
    few_shot=4,
    max_tokens=512,
    prompt=_prompt,
    score=_score,
    shots=_shots,
    files="GSM8K's test.jsonl",
)
