"""All benchmarks by name. A new one is a file beside this one and a name in this list."""

from components.evaluate.benchmarks import bbh, ceval, cmmlu, demo, gsm8k, humaneval, ifeval, mmlu
from components.evaluate.benchmarks.benchmark import Benchmark

BENCHMARKS: dict[str, Benchmark] = {
    module.BENCHMARK.name: module.BENCHMARK for module in (gsm8k, mmlu, cmmlu, ceval, humaneval, ifeval, bbh, demo)
}
