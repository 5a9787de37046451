"""All benchmarks by name. To add one, write a file beside this one and add its module to this list.

A file with several benchmarks has a tuple of them, `BENCHMARKS`.
"""

from components.evaluate.benchmarks import (
    bbh,
    ceval,
    checked,
    cmmlu,
    free_text,
    gsm8k,
    humaneval,
    ifeval,
    math_problems,
    mmlu,
    qqp,
    ranked,
)
from components.evaluate.benchmarks.benchmark import Benchmark

CHECKED = checked.BENCHMARK.name
"""The benchmark of sets whose name is not that of a benchmark."""

BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (
        *(module.BENCHMARK for module in (gsm8k, mmlu, cmmlu, ceval, humaneval, ifeval, bbh, qqp)),
        *math_problems.BENCHMARKS,
        *(module.BENCHMARK for module in (checked, free_text, ranked)),
    )
}
