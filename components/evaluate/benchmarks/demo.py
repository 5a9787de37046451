"""The held-out questions of the demo's tiny world: the whole reply must equal the answer."""

from components.evaluate.benchmarks.benchmark import Benchmark
from components.shared.rows import Question


def _prompt(question: Question) -> str:
    return question.question


def _score(question: Question, reply: str) -> float:
    return float(reply.strip() == question.answer.strip())


BENCHMARK = Benchmark(
    name="demo",
    metric="exact_match",
    protocol="zero-shot; the reply, outer space aside, equals the answer",
    few_shot=0,
    max_tokens=32,
    prompt=_prompt,
    score=_score,
    files="pipelines/demo/heldout.jsonl",
)
