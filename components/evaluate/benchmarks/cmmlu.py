"""CMMLU: 67 subjects in Chinese, four choices, answered in words and read for the letter.

Li et al., "CMMLU: Measuring massive multitask language understanding in Chinese", arXiv 2306.09212.
"""

from components.evaluate.benchmarks.choices import letter_benchmark, listed
from components.shared.rows import Question


def _prompt(question: Question) -> str:
    return (
        f"下面是一道单项选择题，请直接回答正确选项的字母。\n\n题目：{question.question}\n{listed(question)}\n\n答案："
    )


BENCHMARK = letter_benchmark(
    "cmmlu",
    protocol="generative, in Chinese; the letter is read from the reply; mean over all questions",
    prompt=_prompt,
    files="CMMLU's CSV files (test, dev)",
)
