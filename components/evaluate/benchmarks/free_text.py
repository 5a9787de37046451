"""Free text that is compared with a reference: chrF (components/rewards/checks/chrf_check.py), from 0 to 1.

The score of a set is the mean over its questions, so that models can be compared question by question; a corpus score,
as machine translation reports it, adds up the n-grams of all replies first.
"""

from functools import cache

from components.evaluate.benchmarks.benchmark import Benchmark
from components.rewards.checks.chrf_check import ChrfChecker
from components.shared.rows import Check, Question


def _prompt(question: Question) -> str:
    return question.question


@cache
def _checker() -> ChrfChecker:
    return ChrfChecker()


def _score(question: Question, reply: str) -> float:
    return _checker().score(Check(kind="chrf", answer=question.answer), reply)


BENCHMARK = Benchmark(
    name="free_text",
    metric=ChrfChecker.metric,
    protocol="mean chrF of the replies against the references (character n-grams up to 6, beta 2)",
    few_shot=0,
    max_tokens=512,
    prompt=_prompt,
    score=_score,
    files="the set, with the reference texts as its answers,",
    takes_prompt=True,
)
