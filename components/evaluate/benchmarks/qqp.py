"""QQP: whether two questions of Quora ask the same thing, as classification by generation.

Iyer, Dandekar and Csernai, "First Quora dataset release: question pairs", 2017, in the form of GLUE (Wang et al., arXiv
1804.07461), whose labelled development set is asked. The paper that compares SFT and DPO on it: Feng and Yang, arXiv
2603.20100; its prompt is not published. A question's text is the prompt, as `collect` writes it for training too.
"""

import re

from components.evaluate.benchmarks.benchmark import Benchmark
from components.shared.rows import Question

LABEL = re.compile(r"\b(yes|no)\b", re.IGNORECASE)


def _prompt(question: Question) -> str:
    return question.question


def _stated(question: Question, reply: str) -> str | None:
    """The first label in a reply, in lower case; None where there is none."""
    found = LABEL.search(reply)
    return found[1].lower() if found else None


def _score(question: Question, reply: str) -> float:
    return float(_stated(question, reply) == question.answer.strip().lower())


BENCHMARK = Benchmark(
    name="qqp",
    metric="accuracy",
    protocol="generative; the first `yes` or `no` of the reply is the label",
    few_shot=0,
    max_tokens=8,
    prompt=_prompt,
    score=_score,
    answer=_stated,
    files="GLUE's QQP.zip or its dev.tsv",
)
