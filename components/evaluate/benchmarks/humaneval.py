"""HumanEval: Python functions from their docstrings, pass@1; what the model wrote runs in the sandbox alone.

Chen et al., "Evaluating large language models trained on code", arXiv 2107.03374. One greedy reply for each problem,
so pass@1 is the share of problems whose tests pass.
"""

import re
import textwrap

from components.evaluate.benchmarks.benchmark import Benchmark
from components.shared.errors import InputError
from components.shared.rows import Question
from components.shared.sandbox import Limits, run_python

# Where a body that goes on from the prompt ends: the paper's stop sequences.
BODY_ENDS = re.compile(r"\n(?=class |def |# |if |print)")
FENCE = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)


def _prompt(question: Question) -> str:
    return (
        "Complete this Python function. Reply with the whole function in one code block.\n\n"
        f"```python\n{question.question.rstrip()}\n```"
    )


def program(question: Question, reply: str) -> str:
    """The source that is run: the reply as a solution, then the tests.

    A reply that defines the function stands after what the prompt defines before it (imports, helpers); any other
    is taken as the function's body. Code is what stands between the first pair of fences, else the whole reply.

    Raises:
        InputError: the question has no tests or names no function.
    """
    tests, entry_point = question.extra.get("tests", ""), question.extra.get("entry_point", "")
    if not tests or not entry_point:
        raise InputError(
            f"humaneval question {question.id} lacks its tests or entry_point",
            rule="extra holds tests and entry_point",
            remedy="import HumanEval's original file with the collect step",
        )
    return f"{solution(question.question, entry_point, reply)}\n\n{tests}\n\ncheck({entry_point})\n"


def solution(prompt: str, entry_point: str, reply: str) -> str:
    """The module that prompt and reply make together."""
    fenced = FENCE.search(reply)
    code = fenced[1] if fenced else reply
    if re.search(rf"^def {re.escape(entry_point)}\b", code, re.MULTILINE):
        before = prompt[: prompt.rfind(f"def {entry_point}")]
        return f"{before}{code}"
    return f"{prompt.rstrip()}\n{_as_body(code)}"


def _as_body(code: str) -> str:
    body = BODY_ENDS.split("\n" + code.strip("\n"))[0].strip("\n")
    return body if body.startswith((" ", "\t")) else textwrap.indent(body, "    ")


def _run(question: Question, reply: str, limits: Limits) -> float:
    return float(run_python(program(question, reply), limits=limits).completed)


BENCHMARK = Benchmark(
    name="humaneval",
    metric="pass@1",
    protocol="zero-shot, one greedy reply; the tests run in the sandbox",
    few_shot=0,
    max_tokens=512,
    prompt=_prompt,
    run=_run,
    files="HumanEval.jsonl.gz",
)
