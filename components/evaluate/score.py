"""The scores of one model on a benchmark, from its samples.

Questions are independent; several answers to one question are not. So the unit is the question: its answers become one
number (their mean, pass@k, the vote's score), and the standard error is that of the mean over questions, which counts
questions, never samples (Miller, "Adding error bars to evals", arXiv 2411.00640, section 3.1).
"""

from collections import defaultdict
from collections.abc import Sequence

from components.evaluate.benchmarks.benchmark import Benchmark
from components.evaluate.estimators import majority_score
from components.shared.pass_rate import pass_at
from components.shared.rows import Question, Sample, Score
from components.shared.sandbox.run_python import SandboxLimits
from components.shared.scores import mean, score_values

DEFAULT_LIMITS = SandboxLimits()


def score_samples(
    benchmark: Benchmark,
    questions: Sequence[Question],
    samples: Sequence[Sample],
    pass_ks: Sequence[int] = (),
    limits: SandboxLimits = DEFAULT_LIMITS,
) -> list[Score]:
    """The score of the benchmark, then its other readings, then the scores of its subjects as `BENCHMARK/SUBJECT`.

    Subjects are scored only where there are several. The benchmark's score is the mean over all questions, so subjects
    are weighted by size. Of several answers to a question, that is avg@n; `pass@k` for each of `pass_ks` and the
    majority vote `maj@n`, where the benchmark reads answers, are among the readings. `limits` are those of what judges
    the answers, where code of the benchmark runs in the sandbox.
    """
    by_subject = defaultdict[str, list[float]](list)
    for question, sample in zip(questions, samples, strict=True):
        by_subject[question.subject].append(sample.score)
    total = score_values(benchmark.name, benchmark.metric, [sample.score for sample in samples])
    readings = [
        *(_read_as(metric, benchmark, questions, samples) for metric in benchmark.readings),
        *_sampled(benchmark, questions, samples, pass_ks, limits),
    ]
    if len(by_subject) < 2:
        return [total, *readings]
    parts = sorted(by_subject.items())
    return [
        total,
        *readings,
        *(score_values(f"{benchmark.name}/{subject}", benchmark.metric, values) for subject, values in parts),
    ]


def _read_as(metric: str, benchmark: Benchmark, questions: Sequence[Question], samples: Sequence[Sample]) -> Score:
    pairs = zip(questions, samples, strict=True)
    values = [mean([benchmark.read_as(metric, asked, output) for output in sample.outputs]) for asked, sample in pairs]
    return score_values(benchmark.name, metric, values)


def _sampled(
    benchmark: Benchmark,
    questions: Sequence[Question],
    samples: Sequence[Sample],
    pass_ks: Sequence[int],
    limits: SandboxLimits,
) -> list[Score]:
    """pass@k and maj@n, where there are several answers to each question."""
    count = len(samples[0].scores)
    if count == 1:
        return []
    found = {f"pass@{k}": [pass_at(k, len(sample.scores), _right(sample)) for sample in samples] for k in pass_ks}
    if benchmark.has_vote:
        pairs = zip(questions, samples, strict=True)
        found[f"maj@{count}"] = [_vote(benchmark, asked, sample, limits) for asked, sample in pairs]
    # pass@1 is the mean itself, and HumanEval's metric.
    return [score_values(benchmark.name, name, values) for name, values in found.items() if name != benchmark.metric]


def _right(sample: Sample) -> int:
    return sum(score >= 1.0 for score in sample.scores)


def _vote(benchmark: Benchmark, asked: Question, sample: Sample, limits: SandboxLimits) -> float:
    return majority_score(benchmark.votes(asked, sample.outputs, limits), sample.scores)
