"""A budget of positions changes how a step is divided, not what is computed: on one and two ranks, ZeRO 1 to 3."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.integration.train.tolerances import KL_ROUNDING

pytestmark = pytest.mark.timeout(1500)
STILL = {"learning_rate": 1e-5, "micro_batch": 8}
"""Weights move so little that rounding stays rounding until the last step."""
METHODS: dict[str, dict[str, Any]] = {
    "sft": {"method": "sft"},
    "kto": {"method": "kto", "kto": {"kl_batch": 4}},
    "apo zero": {"method": "kto", "kto": {"loss": "apo_zero_unpaired"}},
    "dpo": {"method": "dpo"},
    "orpo": {"method": "orpo"},
}
UNEVEN = (2, 90)
"""Ranks, and positions of a forward pass: several passes a step, which the ranks share unevenly."""
DIVISIONS = (UNEVEN, (1, 200), (2, 100_000))
CASES: dict[str, tuple[str, dict[str, Any], tuple[tuple[int, int], ...]]] = {
    "sft, zero 1": ("sft", {"deepspeed": {"stage": 1}}, DIVISIONS),
    "sft, zero 2": ("sft", {"deepspeed": {"stage": 2}}, (UNEVEN,)),
    "sft, zero 3": ("sft", {"deepspeed": {"stage": 3}}, (UNEVEN,)),
    "kto, zero 2": ("kto", {"deepspeed": {"stage": 2}}, DIVISIONS),
    "kto, zero 3": ("kto", {"deepspeed": {"stage": 3}}, (UNEVEN,)),
    "apo zero, zero 1": ("apo zero", {"deepspeed": {"stage": 1}}, DIVISIONS),
    "dpo, zero 3": ("dpo", {"deepspeed": {"stage": 3}, "gradient_checkpointing": True}, DIVISIONS),
    "orpo, zero 2": ("orpo", {"deepspeed": {"stage": 2, "offload": "optimizer"}}, DIVISIONS),
}
"""One case of each method has all divisions; with another stage, only where the ranks wait for each other differs."""


@pytest.mark.parametrize("case", CASES)
def test_losses_and_gradients_do_not_depend_on_the_budget(
    bench: Any, references: Any, tmp_path: Path, case: str
) -> None:
    """All are those of one process without a budget."""
    method, further, divisions = CASES[case]
    given = METHODS[method] | STILL
    expected = references.losses(references.train(**given, launch={"processes_per_node": 1}))
    for ranks, tokens in divisions:
        root = str(tmp_path / f"{ranks} ranks, {tokens} positions")
        shutil.copytree(bench.root, root)
        chosen = {"micro_batch_tokens": tokens, "launch": {"processes_per_node": ranks}, "root": root}
        budgeted = bench.train(**given, **further, **chosen)
        assert budgeted.counts["micro_batch_tokens"] == tokens
        for name in ("loss", "gradient_norm", *({"kl"} & expected[0].keys())):
            found = [record[name] for record in bench.losses(budgeted, root)]
            least = KL_ROUNDING if name == "kl" else 1e-7
            assert found == pytest.approx([record[name] for record in expected], rel=1e-5, abs=least), (name, chosen)


def test_long_rows_and_the_choice_of_auto_are_reported(
    bench: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = str(tmp_path / "other")
    shutil.copytree(bench.root, other)
    launch = {"processes_per_node": 1}
    small = bench.train(micro_batch_tokens=30, launch=launch)
    assert 0 < small.counts["rows_over_budget"] < small.counts["rows"]
    assert capfd.readouterr().err.count("micro_batch_tokens 30 is exceeded by") == 1
    auto = bench.train(micro_batch_tokens="auto", launch=launch, root=other)
    assert auto.address == small.address, "the budget is not in the key"
    assert auto.counts["rows_over_budget"] == 0
    assert f"(micro_batch_tokens {auto.counts['micro_batch_tokens']:,.0f}, chosen by" in capfd.readouterr().err
