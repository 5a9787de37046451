"""Stages that cannot be are refused when settings are checked, with what is allowed."""

from typing import Any

import pytest
from pydantic import ValidationError

from components.train.methods.registry import parse_train_settings
from components.train.stages.settings import StageSettings

TWO: dict[str, Any] = {"launch": {"processes_per_node": 2}}
EIGHT: dict[str, Any] = {"launch": {"processes_per_node": 8}}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"method": "grpo"}, "method grpo cannot train in stages: .* Allowed: dpo, kto, orpo, sft, simpo"),
        ({"deepspeed": {"stage": 2}}, "stage 2 and offload 'none'. Allowed: stage auto, 0, 1, offload none"),
        ({"deepspeed": {"stage": 3}}, "stages train without ZeRO"),
        ({"deepspeed": {"offload": "optimizer"}}, "stage auto and offload 'optimizer'. Allowed"),
        ({"deepspeed_config": {"zero_optimization": {"stage": 1}}}, "leave deepspeed_config out"),
        ({"shares": "speed"}, "Allowed: shares even"),
        ({"micro_batch_tokens": 512}, "leave micro_batch_tokens out"),
        (
            {"stages": {"schedule": "zero_bubble"}, "gradient_checkpointing": True},
            "Allowed: gradient_checkpointing false",
        ),
        ({"stages": {"count": 2, "layers": [1, 1]}}, "leave one of them out"),
        ({"stages": {"layers": [4, 0]}}, "greater than or equal to 1"),
        ({"stages": {"schedule": "gpipe"}}, "'1f1b', 'interleaved' or 'zero_bubble'"),
        ({"stages": {"count": 3}}, "3 stages on 2 processes: allowed are 2 stages, or schedule interleaved"),
        ({"stages": {"schedule": "interleaved"}}, "4 or a larger multiple of 2 are"),
        ({"stages": {"count": 3, "schedule": "zero_bubble"}}, "2 or a larger multiple of 2 are"),
        ({"stages": {"micro_batches": 5, "count": 4, "schedule": "interleaved"}}, "set a multiple of 2"),
        ({"stages": {"micro_batches": 1}}, "gives a pipeline 1: set 2 or more"),
        ({"stages": {"pipelines": 2}}, "2 does not fit 2 processes: .* Allowed: 1, or other launch.nodes"),
        ({"stages": {"pipelines": 3, "micro_batches": 2}}, "is less than 3 pipelines"),
        ({"stages": {"pipelines": 4, "micro_batches": 8}, **EIGHT, "global_batch": 7}, "more than the 7 rows"),
        ({"stages": {"pipelines": 3, "micro_batches": 8}, **EIGHT}, "Allowed: 1, 2, 4, or other launch.nodes"),
        ({"stages": {"pipelines": 4, "micro_batches": 7}, **EIGHT}, "gives a pipeline 1: set 8 or more"),
        (
            {"stages": {"pipelines": 2, "count": 8, "schedule": "interleaved", "micro_batches": 19}, **EIGHT},
            "the 9 of a pipeline .* set a multiple of 8",
        ),
        ({"global_batch": 3}, "more than the 3 rows of a step: at most 3 are allowed"),
    ],
)
def test_impossible_stages_are_refused_with_the_reason(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        parse_train_settings({"stages": {}, **TWO, **values})


def test_stages_change_neither_the_address_nor_need_rows_that_divide() -> None:
    staged = parse_train_settings({"stages": {}, "global_batch": 5, **TWO})
    assert staged.key_material() == parse_train_settings({"global_batch": 5}).key_material()


def test_one_process_is_refused_once_it_is_known_to_be_all() -> None:
    """A recipe does not say how many there are: its placement may."""
    staged = parse_train_settings({"stages": {"count": 2}})
    assert staged.stages is not None
    with pytest.raises(ValueError, match="stages need 2 or more processes: set launch"):
        staged.stages.spans(6, staged.ranks)
    with pytest.raises(ValueError, match="2 or more processes in each of 2 pipelines"):
        StageSettings(pipelines=2).spans(6, ranks=1)


def test_layers_are_divided_evenly_or_as_given() -> None:
    assert StageSettings().spans(5, ranks=2) == [(0, 3), (3, 5)]
    assert StageSettings(count=4).spans(6, ranks=2) == [(0, 2), (2, 4), (4, 5), (5, 6)]
    assert StageSettings(layers=(1, 4, 1)).spans(6, ranks=3) == [(0, 1), (1, 5), (5, 6)]
    assert StageSettings(pipelines=2).spans(5, ranks=4) == [(0, 3), (3, 5)], "of each pipeline"
    with pytest.raises(ValueError, match=r"stages.layers \[4, 2\] add up to 6, and the model has 8 layers"):
        StageSettings(layers=(4, 2)).spans(8, ranks=2)
    with pytest.raises(ValueError, match="3 stages are more than the model's 2 layers"):
        StageSettings().spans(2, ranks=3)
