"""bf16 where there is no GPU: on CPUs that have instructions for it."""

from typing import Any

import pytest

from components.train.engine.join_ranks import cpu_has_bf16

pytestmark = pytest.mark.skipif(not cpu_has_bf16(), reason="this CPU has no instructions for bf16")


def test_bf16_on_a_cpu_learns_as_fp32_does(bench: Any) -> None:
    trained = (bench.train(precision=name, launch={"processes_per_node": 1}) for name in ("fp32", "bf16"))
    fp32, bf16 = ([record["loss"] for record in bench.losses(manifest)] for manifest in trained)
    assert bf16 == pytest.approx(fp32, rel=0.02)
    assert bf16 != fp32
