"""Doctor looks at the trainings of every arm of a study, though those of a method share their place in the recipe."""

from pathlib import Path
from typing import Any

from components.shared.finding import Finding, checked
from pipelines.doctor.machine import looks_at
from tests.unit.pipelines.test_study_plan import read


def findings(folder: Path, *arms: dict[str, Any]) -> list[Finding]:
    """Of the trainings."""
    looks = looks_at(read(folder, arms=list(arms)))
    return [checked(look.what, look.name, look.look) for look in looks if look.what.startswith("methods.")]


def adapters(*layers: str, rank: int = 8) -> dict[str, Any]:
    return {"lora": {"rank": rank, "target_modules": layers}}


def test_layers_that_the_model_lacks_are_found_in_a_later_arm(tmp_path: Path) -> None:
    wrong = {"chain": "sft@1", "weights": adapters("q_proj", "no_such_layer", rank=4)}
    right = {"chain": "sft@1", "weights": adapters("q_proj")}
    found = findings(tmp_path, {"chain": "sft@1"}, right, wrong, {"chain": "dpo@1"})
    assert [(one.what, one.good) for one in found] == [
        *(("methods.sft", True), ("methods.sft", True), ("methods.sft", False), ("methods.dpo", True))
    ]
    assert "no_such_layer" in found[2].text and "sft, adapters of q_proj" in found[1].text


def test_trainings_that_differ_in_rates_seeds_and_ranks_are_looked_at_once(tmp_path: Path) -> None:
    arms = [{"chain": "sft@1", "weights": adapters("q_proj", rank=rank)} for rank in (4, 8)]
    assert len(findings(tmp_path, *arms)) == 1
