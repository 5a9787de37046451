"""pass@k, the majority vote, and intervals that count questions."""

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import replace

import pytest

from components.evaluate.benchmarks import checked
from components.evaluate.benchmarks.registry import BENCHMARKS
from components.evaluate.estimators import majority_score
from components.evaluate.score import score_samples
from components.rewards.checks.checker import Checker
from components.rewards.checks.registry import open_checker
from components.shared.pass_rate import pass_at
from components.shared.rows import Check, Question, Sample
from components.shared.sandbox.run_python import SandboxLimits
from components.shared.scores import standard_error

EXACT = replace(BENCHMARKS["checked"], name="mine", metric="exact_match")


def sample(number: int, outputs: Sequence[str], answer: str) -> Sample:
    scores = tuple(float(output == answer) for output in outputs)
    return Sample(benchmark="mine", id=str(number), outputs=tuple(outputs), scores=scores)


def questions(*answers: str) -> list[Question]:
    return [
        Question(benchmark="mine", id=str(n), question="?", answer=answer, check=Check(kind="exact", answer=answer))
        for n, answer in enumerate(answers)
    ]


@pytest.mark.parametrize(("right", "count", "k"), [(0, 5, 2), (1, 5, 2), (3, 5, 2), (4, 5, 2), (5, 5, 5), (2, 6, 1)])
def test_pass_at_k_is_the_share_of_all_choices_of_k_answers_that_hold_a_right_one(
    right: int, count: int, k: int
) -> None:
    scores = [1.0] * right + [0.0] * (count - right)
    chosen = list(itertools.combinations(scores, k))
    assert pass_at(k, count, right) == pytest.approx(sum(1.0 in one for one in chosen) / len(chosen))


def test_pass_at_k_of_many_answers_is_finite() -> None:
    assert pass_at(100, 1000, 3) == pytest.approx(0.271, abs=1e-3)


def test_the_most_frequent_answer_is_scored_and_silence_has_no_vote() -> None:
    assert majority_score(["7", "8", "7", None, None, None], [1.0, 0.0, 1.0, 0.0, 0.0, 0.0]) == 1.0
    assert majority_score(["7", "8", "8"], [1.0, 0.0, 0.0]) == 0.0
    assert majority_score(["7", "8"], [1.0, 0.0]) == 0.5, "a tie is the expectation of a draw"
    assert majority_score([None, None], [0.0, 0.0]) == 0.0


def test_answers_that_state_the_same_are_one_vote() -> None:
    rows = [Question(benchmark="gsm8k", id="1", question="?", answer="18")]
    replies = ("The answer is 18.", "So 9 * 2 = 18.00", "The answer is 17", "<think>18", "")
    scored = Sample(benchmark="gsm8k", id="1", outputs=replies, scores=(1.0, 1.0, 0.0, 0.0, 0.0))
    vote = score_samples(BENCHMARKS["gsm8k"], rows, [scored], (2,))[-1]
    assert (vote.metric, vote.value) == ("maj@5", 1.0)


def test_intervals_count_questions_not_samples() -> None:
    rows = questions("a", "b", "c")
    samples = [sample(0, "aaaa", "a"), sample(1, "abab", "b"), sample(2, "abba", "c")]
    mean, pass2, vote = score_samples(EXACT, rows, samples, (2,))
    by_question = [1.0, 0.5, 0.0]
    assert (mean.metric, mean.value, mean.count) == ("exact_match", 0.5, 3)
    assert mean.standard_error == pytest.approx(statistics.stdev(by_question) / math.sqrt(3))
    assert mean.standard_error > 1.5 * standard_error([score for one in samples for score in one.scores])
    assert (pass2.metric, pass2.value, pass2.count) == ("pass@2", pytest.approx((1 + 5 / 6 + 0) / 3), 3)
    assert (vote.metric, vote.value, vote.count) == ("maj@4", 0.5, 3)


def test_one_answer_to_each_question_is_scored_as_ever() -> None:
    rows, samples = questions("a", "b"), [sample(0, "a", "a"), sample(1, "a", "b")]
    (score,) = score_samples(EXACT, rows, samples, (1,))
    assert (score.value, score.standard_error, score.count) == (0.5, 0.5, 2)


def test_the_vote_is_judged_by_the_checker_that_judges_the_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checker may start processes: one serves both, with the limits of the settings."""
    opened: list[SandboxLimits] = []

    def open_one(kind: str, limits: SandboxLimits) -> Checker:
        opened.append(limits)
        return open_checker(kind, limits)

    monkeypatch.setattr(checked, "open_checker", open_one)
    limits, (asked,) = SandboxLimits(cpu_seconds=7), questions("a")
    scores = tuple(EXACT.judge(asked, reply, limits) for reply in "aab")
    one = Sample(benchmark="mine", id="0", outputs=tuple("aab"), scores=scores)
    vote = score_samples(EXACT, [asked], [one], limits=limits)[-1]
    assert (vote.metric, vote.value, opened) == ("maj@3", 1.0, [limits])


def test_pass_at_1_is_not_reported_twice() -> None:
    rows = [Question(benchmark="humaneval", id="1", question="?", answer="")]
    scored = [Sample(benchmark="humaneval", id="1", outputs=("a", "b"), scores=(1.0, 0.0))]
    found = score_samples(BENCHMARKS["humaneval"], rows, scored, (1, 2))
    assert [(score.metric, score.value) for score in found] == [("pass@1", 0.5), ("pass@2", 1.0)]


def test_samples_of_the_first_version_are_read() -> None:
    old = Sample.model_validate_json('{"benchmark": "b", "id": "1", "output": "x", "score": 0.5}')
    assert (old.outputs, old.scores, old.score) == (("x",), (0.5,), 0.5)
