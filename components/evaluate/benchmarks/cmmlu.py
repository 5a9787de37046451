"""CMMLU: 67 subjects in Chinese, four choices, answered in words and read for the letter.

Li et al., "CMMLU: Measuring massive multitask language understanding in Chinese", arXiv 2306.09212.
"""

from components.evaluate.benchmarks.benchmark import Benchmark
from components.evaluate.benchmarks.choices import chosen, listed, score_choice, shots_of
from components.shared.rows import Question


def _prompt(question: Question) -> str:
    return (
        f"下面是一道单项选择题，请直接回答正确选项的字母。\n\n题目：{question.question}\n{listed(question)}\n\n答案："
    )


BENCHMARK = Benchmark(
    name="cmmlu",
    metric="exact_match",
    protocol="generative, in Chinese; the letter is read from the reply; mean over all questions",
    few_shot=0,
    max_tokens=32,
    prompt=_prompt,
    score=score_choice,
    answer=chosen,
    shots=shots_of(_prompt),
    files="CMMLU's CSV files (test, dev)",
)
