"""Questions of one's own: whatever has a check, such as the rows that collect holds out of training.

A reply is scored by the check of its question (components/rewards/checks), as responses are in select.
"""

from collections.abc import Sequence
from functools import cache

from components.evaluate.benchmarks.benchmark import Benchmark
from components.rewards.checks.check_answers import group_answers
from components.rewards.checks.checker import Checker
from components.rewards.checks.registry import open_checker
from components.shared.rows import Question
from components.shared.sandbox.run_python import SandboxLimits


def _prompt(question: Question) -> str:
    return question.question


@cache
def _checker(kind: str, limits: SandboxLimits) -> Checker:
    """One checker of each kind for the process; the processes that it starts end with this one."""
    return open_checker(kind, limits)


def _run(question: Question, reply: str, limits: SandboxLimits) -> float:
    assert question.check is not None, "read_questions accepts only questions with a check"
    checker = _checker(question.check.kind, limits)
    return checker.score(question.check, reply, question.question)


def _group(question: Question, answers: Sequence[str], limits: SandboxLimits) -> Sequence[int]:
    assert question.check is not None, "read_questions accepts only questions with a check"
    return group_answers(_checker(question.check.kind, limits), answers, question.question)


BENCHMARK = Benchmark(
    name="checked",
    metric="accuracy",  # of a set with several kinds of checks; that of one kind has its metric
    protocol="the share of replies that pass the check of their question",
    few_shot=0,
    max_tokens=512,
    prompt=_prompt,
    run=_run,
    group=_group,
    files="the set, with a `check` of its answers,",
    needs_check=True,
    takes_prompt=True,
)
