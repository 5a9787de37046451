"""Each benchmark's questions in two parts: what is chosen by the scores on one is judged on the other.

The best of several scores overestimates its mean (the winner's curse: Capen, Clapp and Campbell 1971, doi
10.2118/2993-PA), so a model that was chosen by a score must not be judged by it. The part of a question follows from a
hash of the benchmark and the question's id: it is the same in every run, for every model and in any order.
"""

from components.shared.outputs.digest import hash_text


def is_in_first_part(benchmark: str, question: str, share: float) -> bool:
    """Whether a question is in the first part of its benchmark.

    Args:
        benchmark: the name of the set of questions.
        question: the question's id.
        share: of the questions in the first part, between 0 and 1; a larger share keeps those of a smaller one.
    """
    return hash_text(f"{benchmark}/{question}", order="big") < share * 2**64
