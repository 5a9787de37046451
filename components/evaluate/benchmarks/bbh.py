"""BIG-Bench Hard: 27 tasks (23 with their variants), with a chain of thought.

Suzgun et al., "Challenging BIG-Bench tasks and whether chain-of-thought can solve them", arXiv 2210.09261. Descriptions
and the three worked examples of each task are those of the paper, as lm-evaluation-harness ships them
(task bbh_cot_fewshot).
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from components.evaluate.benchmarks.benchmark import Benchmark, Shot
from components.evaluate.shipped_tasks import shipped_task
from components.shared.rows import Question

STATED = re.compile(r"answer is:?\s*(.+?)\s*(?:\.\s|\.?$)", re.IGNORECASE | re.MULTILINE)


@cache
def _task(subject: str) -> dict[str, Any]:
    return shipped_task(f"bbh/cot_fewshot/{subject}.yaml") if re.fullmatch(r"\w+", subject) else {}


def _prompt(question: Question) -> str:
    return _ask(question.subject, question.question)


def _ask(subject: str, question: str) -> str:
    description = str(_task(subject).get("description", "")).strip()
    task = f"{description}\n\n" if description else ""
    return f"{task}Q: {question}\nThink step by step, and end with: So the answer is ANSWER."


def _shots(subject: str, dev: Sequence[Question]) -> list[Shot]:
    samples = _task(subject).get("fewshot_config", {}).get("samples", [])
    return [(_ask(subject, sample["input"]), sample["target"]) for sample in samples]


def stated_answer(reply: str) -> str:
    """What follows the last `the answer is`; the complete reply without one."""
    found = STATED.findall(reply)
    return str(found[-1]) if found else reply


def _score(question: Question, reply: str) -> float:
    return float(_answer(question, reply) == _plain(question.answer))


def _answer(question: Question, reply: str) -> str:
    return _plain(stated_answer(reply))


def _plain(answer: str) -> str:
    """The answer in lower case, without outer whitespace, quotes, full stop, or brackets around a single letter."""
    text = " ".join(answer.split()).strip("\"'* ").rstrip(".").casefold()
    return text[1:-1] if re.fullmatch(r"\([a-z]\)", text) else text


BENCHMARK = Benchmark(
    name="bbh",
    metric="exact_match",
    protocol="chain of thought; what follows 'the answer is' equals the answer",
    few_shot=3,
    max_tokens=512,
    prompt=_prompt,
    score=_score,
    answer=_answer,
    shots=_shots,
    files="BIG-Bench Hard's folder of JSON files, one for each task",
)
