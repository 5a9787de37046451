"""Plans for mixed cards, predicted and simulated: `python -m benchmarks.unequal [FLEET …]`.

Nothing is measured on cards: costs are computed from published numbers. Results go to
`benchmarks/results/unequal.json`; those of other fleets stay.
"""

import dataclasses
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from benchmarks.machine import describe_machine
from benchmarks.sizing import MODELS, Model
from benchmarks.unequal.cards import make_fleet, make_layers, make_ranks
from benchmarks.unequal.simulate import simulate_step
from components.train.balance.choose_plan import PlanSearch
from components.train.balance.deal import deal_step
from components.train.balance.layers import cost_tables
from components.train.balance.partition import fastest_partition
from components.train.balance.plan import MixedPlan
from components.train.balance.shares import most_tokens
from components.train.memory import Need

RESULTS = Path(__file__).parents[1] / "results" / "unequal.json"
TOKENS = 2048
"""Of a micro-batch in a pipeline."""
NOISE, SEED = 0.05, 0
"""Sigma of the log-normal noise on every pass, and its seed."""
ROWS_OF_A_RANK, MEDIAN, SPREAD, LONGEST = 16, 300, 0.6, 1024
"""Rows of a step for each rank where every rank holds the model; their lengths are log-normal, truncated."""
BY_NAME: Mapping[str, Model] = {model.name: model for model in MODELS}


@dataclass(frozen=True)
class Case:
    """Cards, the model that pipelines train on them, and the micro-batches of a step."""

    cards: Mapping[str, int]
    model: str
    micro_batches: int


CASES: Mapping[str, Case] = {
    "8": Case({"A100-40": 4, "A10": 4}, "Qwen2.5-3B", 64),
    "64": Case({"H100": 16, "A100-80": 16, "L40S": 32}, "Qwen2.5-14B", 256),
    "512": Case({"H100": 64, "A100-80": 192, "A10": 256}, "Qwen2.5-14B", 1024),
}
RANKS: Mapping[str, Mapping[str, int]] = {
    "8": {"A100-80": 1, "A100-40": 1, "L40S": 2, "A10": 2, "T4": 2},
    "64": {"H100": 8, "A100-80": 8, "L40S": 16, "A10": 16, "T4": 16},
    "512": {"H100": 64, "A100-80": 64, "L40S": 128, "A10": 128, "T4": 128},
}
"""Cards that each hold Qwen2-0.5B."""


def plan_case(case: Case) -> dict[str, Any]:
    """Plan both splits and simulate them."""
    fleet = make_fleet(case.cards)
    layers = make_layers(BY_NAME[case.model], fleet.names, TOKENS)
    before = process_time()
    found = PlanSearch(layers, fleet, case.micro_batches).compare()
    seconds = process_time() - before
    print(f"\n{case.cards}, {case.model}, {case.micro_batches} micro-batches of {TOKENS} tokens\n\n{found}")

    def simulated(plan: MixedPlan | None) -> dict[str, float] | None:
        if plan is None:
            return None
        return {
            "predicted_seconds": plan.step_seconds,
            "simulated_seconds": simulate_step(plan, layers, fleet),
            "simulated_with_noise_seconds": simulate_step(plan, layers, fleet, NOISE, SEED),
        }

    return {
        "cards": dict(case.cards),
        "model": case.model,
        "micro_batches": case.micro_batches,
        "planning_processor_seconds": round(seconds, 2),
        "balanced": simulated(found.balanced),
        "even": simulated(found.even),
        "plans": found.model_dump(mode="json"),
    }


def deal_rows(cards: Mapping[str, int]) -> dict[str, Any]:
    """Deal one step's rows to ranks that each hold the model, by speed and evenly."""
    fleet, model = make_fleet(cards), BY_NAME["Qwen2-0.5B"]
    need = Need(model.shape, "bf16", sum(cards.values()), LONGEST)
    fitting = {kind.name: most_tokens(kind.name, need, kind.memory_bytes, LONGEST) for kind in fleet.kinds}
    ranks = make_ranks(model, cards, fitting)
    draws = np.random.default_rng(SEED).lognormal(np.log(MEDIAN), SPREAD, ROWS_OF_A_RANK * len(ranks))
    lengths = [int(length) for length in np.clip(draws, 16, LONGEST)]
    before = process_time()
    balanced = deal_step(lengths, ranks)
    seconds = process_time() - before
    even = deal_step(lengths, ranks, even=True)
    print(f"\n{dict(cards)}: {balanced}\n  even: {even}")
    return {
        "cards": dict(cards),
        "rows": len(lengths),
        "processor_seconds": round(seconds, 3),
        "ratio_to_bound": {"balanced": round(balanced.ratio, 4), "even": round(even.ratio, 4)},
        "most_tokens": fitting,
    }


def time_partitions() -> dict[str, float]:
    """Processor seconds of the best partition of 100 layers over 64 devices, by their numbers of one to three kinds."""
    model, found = dataclasses.replace(BY_NAME["Qwen2.5-14B"], layers=98), {}
    for cards in ({"H100": 64}, {"H100": 32, "L40S": 32}, {"H100": 21, "A100-80": 21, "L40S": 22}):
        fleet = make_fleet(cards)
        costs = cost_tables(make_layers(model, fleet.names, TOKENS), fleet)
        before = process_time()
        best = fastest_partition(costs, list(cards.values()))
        found[_listed(cards)] = round(process_time() - before, 2)
        print(f"{_listed(cards)}: {found[_listed(cards)]} s, {best and len(best.stages)} stages")
    return found


def _listed(cards: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in cards.items())


def tables(found: Mapping[str, Any]) -> str:
    """The tables of README.md."""
    lines = [
        "| cards | model | split | predicted, s | simulated, s | predicted / simulated | with noise, s | to balanced |",
        "|---|---|---|---:|---:|---:|---:|---:|",
    ]
    for case in found["pipelines"].values():
        cards = _listed(case["cards"])
        for split in ("balanced", "even"):
            lines.append(f"| {cards} | {case['model']} | {split} | {_times(case, split)} |")
    lines += ["", "| cards | rows | slowest rank to the bound | even | planning, s |", "|---|---:|---:|---:|---:|"]
    for dealt in found["ranks"].values():
        ratio = dealt["ratio_to_bound"]
        lines.append(
            f"| {_listed(dealt['cards'])} | {dealt['rows']:,} | {ratio['balanced']:.3f} | {ratio['even']:.2f} "
            f"| {dealt['processor_seconds']:.2f} |"
        )
    return "\n".join(lines)


def _times(case: Mapping[str, Any], split: str) -> str:
    times = case[split]
    if times is None:
        return "fits in no layout | | | | "
    predicted, simulated, noisy = times.values()
    ratio = f"{simulated / case['balanced']['simulated_seconds']:.2f}" if split == "even" else ""
    return f"{predicted:.2f} | {simulated:.2f} | {predicted / simulated:.3f} | {noisy:.2f} | {ratio}"


def main() -> None:
    """Plan, simulate, print and write the results."""
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"pipelines": {}, "ranks": {}}
    for name in sys.argv[1:] or CASES:
        found["pipelines"][name] = plan_case(CASES[name])
        found["ranks"][name] = deal_rows(RANKS[name])
    found["machine"] = describe_machine()
    found["partition_processor_seconds"] = time_partitions()
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    print(f"\n{tables(found)}")


if __name__ == "__main__":
    main()
