"""Means and standard errors of samples."""

import math
from collections import defaultdict
from collections.abc import Sequence

from components.evaluate.benchmarks.benchmark import Benchmark
from components.shared.rows import Question, Sample, Score


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean."""
    return math.fsum(values) / len(values)


def standard_error(values: Sequence[float]) -> float:
    """Standard error of the mean of independent values: s / sqrt(n), s the sample's standard deviation (n - 1).

    For 0/1 scores that is sqrt(p (1 - p) / (n - 1)), as lm-evaluation-harness has it. 0 for a single value.
    """
    count = len(values)
    if count < 2:
        return 0.0
    middle = mean(values)
    return math.sqrt(math.fsum((value - middle) ** 2 for value in values) / (count - 1) / count)


def score_samples(benchmark: Benchmark, questions: Sequence[Question], samples: Sequence[Sample]) -> list[Score]:
    """The score of a whole benchmark first, then by its other readings, then of its subjects as `BENCHMARK/SUBJECT`.

    Subjects are scored where there are several. The whole is the mean over all questions, so that a subject counts by
    its size.
    """
    by_subject = defaultdict[str, list[float]](list)
    for question, sample in zip(questions, samples, strict=True):
        by_subject[question.subject].append(sample.score)
    whole = score_values(benchmark.name, benchmark.metric, [sample.score for sample in samples])
    readings = [_read_as(metric, benchmark, questions, samples) for metric in benchmark.readings]
    if len(by_subject) < 2:
        return [whole, *readings]
    parts = sorted(by_subject.items())
    return [
        whole,
        *readings,
        *(score_values(f"{benchmark.name}/{subject}", benchmark.metric, values) for subject, values in parts),
    ]


def _read_as(metric: str, benchmark: Benchmark, questions: Sequence[Question], samples: Sequence[Sample]) -> Score:
    pairs = zip(questions, samples, strict=True)
    return score_values(
        benchmark.name, metric, [benchmark.read_as(metric, asked, sample.output) for asked, sample in pairs]
    )


def score_values(name: str, metric: str, values: Sequence[float]) -> Score:
    """The score of a benchmark, or of a part of it, from those of its questions."""
    return Score(
        benchmark=name, metric=metric, value=mean(values), standard_error=standard_error(values), count=len(values)
    )
