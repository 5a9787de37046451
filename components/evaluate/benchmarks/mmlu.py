"""MMLU: 57 subjects, four choices, answered in words and read for the letter.

Hendrycks et al., "Measuring massive multitask language understanding", arXiv 2009.03300.
"""

from components.evaluate.benchmarks.choices import letter_benchmark, listed
from components.shared.rows import Question


def _prompt(question: Question) -> str:
    about = f" about {question.subject.replace('_', ' ')}" if question.subject else ""
    return (
        f"Here is a multiple-choice question{about}. Reply with the letter of the right choice.\n\n"
        f"{question.question}\n{listed(question)}\n\nAnswer:"
    )


BENCHMARK = letter_benchmark(
    "mmlu",
    protocol="generative; the letter is read from the reply; mean over all questions",
    prompt=_prompt,
    files="MMLU's data folder of CSV files (test, dev)",
)
