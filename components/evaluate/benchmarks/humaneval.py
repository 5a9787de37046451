"""HumanEval: Python functions from their docstrings, pass@1; model-written code runs only in the sandbox.

Chen et al., "Evaluating large language models trained on code", arXiv 2107.03374. With one greedy reply for each
problem, pass@1 is the share of problems whose tests pass; with several, the mean share of a problem's replies.
"""

from components.evaluate.benchmarks.benchmark import Benchmark
from components.rewards.programs.write_program import program_of
from components.shared.errors import InputError
from components.shared.rows import Question
from components.shared.sandbox.run_python import SandboxLimits, run_python


def _prompt(question: Question) -> str:
    return (
        "Complete this Python function. Reply with the whole function in one code block.\n\n"
        f"```python\n{question.question.rstrip()}\n```"
    )


def program(question: Question, reply: str) -> str:
    """The source to run: the function of the reply, or its body for the one that the prompt begins; then the tests.

    Raises:
        InputError: the question lacks tests or the name of a function.
    """
    tests, entry_point = question.extra.get("tests", ""), question.extra.get("entry_point", "")
    if not tests or not entry_point:
        raise InputError(
            f"humaneval question {question.id} lacks its tests or entry_point",
            rule="extra must contain tests and entry_point",
            remedy="import HumanEval's original file with the collect step",
        )
    return program_of(reply, tests, entry_point, question.question)


def _run(question: Question, reply: str, limits: SandboxLimits) -> float:
    return float(run_python(program(question, reply), limits=limits).completed)


BENCHMARK = Benchmark(
    name="humaneval",
    metric="pass@1",
    protocol="the tests run in the sandbox",
    few_shot=0,
    max_tokens=512,
    prompt=_prompt,
    run=_run,
    files="HumanEval.jsonl.gz",
)
