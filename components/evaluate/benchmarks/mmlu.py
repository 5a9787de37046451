"""MMLU: 57 subjects, four choices, answered in words and read for the letter.

Hendrycks et al., "Measuring massive multitask language understanding", arXiv 2009.03300.
"""

from components.evaluate.benchmarks.benchmark import Benchmark
from components.evaluate.benchmarks.choices import chosen, listed, score_choice, shots_of
from components.shared.rows import Question


def _prompt(question: Question) -> str:
    about = f" about {question.subject.replace('_', ' ')}" if question.subject else ""
    return (
        f"Here is a multiple-choice question{about}. Reply with the letter of the right choice.\n\n"
        f"{question.question}\n{listed(question)}\n\nAnswer:"
    )


BENCHMARK = Benchmark(
    name="mmlu",
    metric="exact_match",
    protocol="generative; the letter is read from the reply; mean over all questions",
    few_shot=0,
    max_tokens=32,
    prompt=_prompt,
    score=score_choice,
    answer=chosen,
    shots=shots_of(_prompt),
    files="MMLU's data folder of CSV files (test, dev)",
)
