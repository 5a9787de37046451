"""Competition and university problems with one final answer each, which is compared by value (the check `math`).

The prompt is that of Qwen2.5-Math (arXiv 2409.12122) and DeepSeek-R1. Each question is asked several times, since few
questions and long solutions make one answer noisy: at temperature 0.6 and top_p 0.95, with 4 to 64 answers, as
DeepSeek-R1 (arXiv 2501.12948) is evaluated. Sets of 30 or 40 questions get 32 answers, as DAPO (arXiv 2503.14476)
reports avg@32 on AIME 2024, the others 4. DeepSeek-R1 allows 32,768 tokens: set `max_tokens` to that for a model that
thinks at length.
"""

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from typing import Final

from components.evaluate.benchmarks.benchmark import AnswersPerQuestion, Benchmark
from components.rewards.checks.check_answers import group_answers
from components.rewards.checks.checker import Checker
from components.rewards.checks.registry import open_checker
from components.rewards.mathematics.quantities import number, quantity
from components.rewards.mathematics.read_statement import read_statement
from components.shared.rows import Check, Question
from components.shared.sandbox.run_python import SandboxLimits

BOXED: Final = "Please reason step by step, and put your final answer within \\boxed{}."
FEW_QUESTIONS: Final = AnswersPerQuestion(samples=32, temperature=0.6, top_p=0.95, pass_at=(8, 32))
MANY_QUESTIONS: Final = AnswersPerQuestion(samples=4, temperature=0.6, top_p=0.95, pass_at=(4,))
LONGEST: Final = 8192


def _prompt(question: Question) -> str:
    unit = question.extra.get("unit", "")
    asked = f"{question.question}\nGive the answer in {unit}." if unit else question.question
    return f"{asked}\n\n{BOXED}"


@cache
def _checker(limits: SandboxLimits) -> Checker:
    """One for the process; the processes that compare end with it."""
    return open_checker("math", limits)


def _run(question: Question, reply: str, limits: SandboxLimits) -> float:
    if tolerance := question.extra.get("tolerance"):
        return float(is_within(reply, question.answer, tolerance))
    return _checker(limits).score(Check(kind="math", answer=question.answer), reply, question.question)


def is_within(reply: str, answer: str, tolerance: str) -> bool:
    """Whether a reply states a number that differs from the answer by at most the tolerance; units are ignored."""
    stated = _number(read_statement(reply).text)
    right, allowed = _number(answer), _number(tolerance)
    if stated is None or right is None or allowed is None:
        return False
    return abs(stated - right) <= allowed


def _number(text: str) -> Fraction | None:
    return number(quantity(text).body)


def _group(question: Question, answers: Sequence[str], limits: SandboxLimits) -> Sequence[int]:
    return group_answers(_checker(limits), answers, question.question)


def _benchmark(name: str, about: str, answers: AnswersPerQuestion, files: str) -> Benchmark:
    return Benchmark(
        name=name,
        metric="math_match",
        protocol=f"chain of thought; {about}; the boxed answer by value",
        few_shot=0,
        max_tokens=LONGEST,
        prompt=_prompt,
        run=_run,
        group=_group,
        files=files,
        answers=answers,
    )


BENCHMARKS: Final = (
    _benchmark("math_500", "500 problems of MATH", MANY_QUESTIONS, "MATH-500's test.jsonl"),
    _benchmark("aime_2024", "30 problems", FEW_QUESTIONS, "the file of AIME 2024"),
    _benchmark("aime_2025", "30 problems", FEW_QUESTIONS, "the files of AIME 2025 (I and II)"),
    _benchmark("amc_2023", "40 problems of AMC 12", FEW_QUESTIONS, "the file of AMC 2023"),
    _benchmark("minerva", "272 university problems (OCWCourses)", MANY_QUESTIONS, "Minerva Math's test.jsonl"),
    _benchmark(
        "olympiadbench",
        "open-ended English competition problems",
        MANY_QUESTIONS,
        "OlympiadBench's OE_TO_maths_en_COMP",
    ),
)
