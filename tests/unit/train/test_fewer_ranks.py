"""A training that may continue on fewer nodes: what does not fit them is refused before it starts."""

from typing import Any

import pytest
from pydantic import ValidationError

from components.launch.fewer_nodes import NODES_VARIABLE
from components.shared.errors import SettingsError
from components.train.engine.deepspeed_config import with_config_read
from components.train.fewer_ranks import ranks_that_fit, settings_here
from components.train.methods.registry import parse_train_settings
from components.train.settings import TrainSettings

BY_SPEED: dict[str, Any] = {"shares": "speed"}


def settings(nodes: int, least: int | None, each: int = 1, **values: Any) -> TrainSettings:
    launch = {"launcher": "TrainJob", "nodes": nodes, "processes_per_node": each, "least_nodes": least}
    return parse_train_settings({**values, "launch": {**launch, **values.get("launch", {})}})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((4, 3), "continue on 3 processes, and .* global_batch 32 is not divisible by the 3 ranks"),
        ((4, 3, 2), "continue on 6 processes, and .* global_batch 32 is not divisible by the 6 ranks"),
    ],
)
def test_the_least_nodes_have_to_fit_a_step(given: tuple[int, ...], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        settings(*given)
    assert settings(*given, shares="speed").launch.may_shrink, "shares by speed fit any number"


def test_the_least_nodes_have_to_fit_the_methods_own_rows() -> None:
    kto: dict[str, Any] = {"method": "kto", "global_batch": 12, "kto": {"kl_batch": 12}}
    with pytest.raises(ValidationError, match="kl_batch 12 is not at least 2 rows for each of the 5 ranks"):
        settings(6, 5, **kto | {"global_batch": 60, "kto": {"kl_batch": 12}})
    assert settings(6, 3, **kto).launch.may_shrink


@pytest.mark.parametrize(
    ("stages", "least", "said"),
    [
        ({"layers": [2, 2, 2]}, 2, "schedule 1f1b has one stage on each process, and there are 3 stages on 2"),
        ({}, 1, "stages need 2 or more processes"),
        ({"count": 6, "schedule": "interleaved", "micro_batches": 6}, 2, ""),
        ({}, 2, ""),
    ],
)
def test_stages_have_to_fit_the_least_nodes(stages: dict[str, Any], least: int, said: str) -> None:
    if not said:
        assert settings(3, least, stages=stages).launch.may_shrink
        return
    with pytest.raises(ValidationError, match=said):
        settings(3, least, stages=stages)


def test_a_ds_config_has_to_fit_the_least_nodes() -> None:
    own = {"zero_optimization": {"stage": 2}, "gradient_accumulation_steps": 1}
    assert with_config_read(settings(4, None, deepspeed_config=own))
    with pytest.raises(
        SettingsError, match=r"on the fewest nodes \(launch.least_nodes\) and the train settings differ"
    ):
        with_config_read(settings(4, 2, deepspeed_config=own))


def test_the_numbers_of_processes_between_are_those_that_fit() -> None:
    assert ranks_that_fit(settings(8, 2)) == (1, 2, 4)
    assert ranks_that_fit(settings(8, None)) == ()
    assert ranks_that_fit(settings(4, 1, **BY_SPEED, launch={"speeds": [1, 2, 3, 4]})) == (1, 2, 3)
    assert ranks_that_fit(settings(4, 2, stages={})) == (2, 3)
    own = {"zero_optimization": {"stage": 2}, "gradient_accumulation_steps": "auto", "train_batch_size": 32}
    assert ranks_that_fit(settings(8, 4, deepspeed_config=own)) == (1, 2, 4)


def test_the_address_does_not_depend_on_it() -> None:
    assert settings(4, 2).key_material() == settings(4, None).key_material()


def test_the_job_has_the_ranks_and_speeds_of_the_nodes_that_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    given = settings(3, 1, **BY_SPEED, launch={"speeds": [1, 2, 3]})
    monkeypatch.setenv(NODES_VARIABLE, "0,2")
    found = settings_here(given)
    assert (found.ranks, found.launch.speeds) == (2, (1, 3))
    assert TrainSettings.model_validate(found.model_dump()).ranks == 2
