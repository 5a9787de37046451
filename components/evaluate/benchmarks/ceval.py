"""C-Eval: 52 subjects of Chinese examinations, four choices, answered in words and read for the letter.

Huang et al., "C-Eval: A multi-level multi-discipline Chinese evaluation suite for foundation models", arXiv 2305.08322.
The answers of its test set are not public: the validation set is asked, as is usual.
"""

from components.evaluate.benchmarks.choices import letter_benchmark, listed
from components.shared.rows import Question


def _prompt(question: Question) -> str:
    return (
        "下面是中国考试中的一道单项选择题，请选出正确的答案，并回答选项的字母。\n\n"
        f"{question.question}\n{listed(question)}\n\n答案："
    )


BENCHMARK = letter_benchmark(
    "ceval",
    protocol="validation set, generative, in Chinese; the letter is read from the reply",
    prompt=_prompt,
    files="C-Eval's CSV files (val, dev)",
)
