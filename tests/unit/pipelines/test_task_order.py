"""kfp.local runs tasks in the recipe's order, whatever the order of its map, and never before what they need."""

import random

import pytest
from kfp.local import graph_utils
from kfp.pipeline_spec import pipeline_spec_pb2

from pipelines.local.task_order import tasks_in_order

NEEDS = {"collect": [], "evaluate": ["collect"], "curate": ["collect"], "train": ["curate"], "evaluate-2": ["train"]}
DISPLAYED = {"evaluate": "evaluate-base", "evaluate-2": "evaluate-sft"}


def specification(name: str) -> pipeline_spec_pb2.PipelineTaskSpec:
    task = pipeline_spec_pb2.PipelineTaskSpec(dependent_tasks=NEEDS[name])
    task.task_info.name = DISPLAYED.get(name, name)
    return task


@pytest.mark.parametrize("seed", range(4))
def test_tasks_run_in_the_recipes_order(seed: int) -> None:
    names = random.Random(seed).sample(sorted(NEEDS), len(NEEDS))
    tasks = {name: specification(name) for name in names}
    with tasks_in_order(["collect", "curate", "train", "evaluate-base", "evaluate-sft"]):
        waiting = graph_utils.topological_sort_tasks(tasks)
    assert waiting[::-1] == ["collect", "curate", "train", "evaluate", "evaluate-2"]


def test_a_dependency_outranks_the_order() -> None:
    tasks = {name: specification(name) for name in NEEDS}
    with tasks_in_order(["evaluate-sft", "train", "curate"]):
        waiting = graph_utils.topological_sort_tasks(tasks)
    assert waiting[::-1] == ["collect", "curate", "train", "evaluate-2", "evaluate"]
