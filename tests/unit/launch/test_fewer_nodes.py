"""A job on fewer nodes than it began with: what may be set, which nodes it continues on, and what it knows of them."""

from typing import Any

import pytest
from pydantic import ValidationError

from components.launch.fewer_nodes import (
    NODES_VARIABLE,
    all_nodes,
    job_on_nodes,
    launch_here,
    most_nodes,
    on_fewest_nodes,
    on_nodes,
)
from components.launch.job import Launch
from tests.unit.launch.jobs import train_job

H100 = {"nodes": 2, "least_nodes": 1, "accelerator": "H100"}
A10 = {"nodes": 3, "least_nodes": 0, "processes_per_node": 4, "accelerator": "A10"}


def equal(**values: Any) -> Launch:
    return Launch.model_validate(
        {"launcher": "TrainJob", "nodes": 3, "processes_per_node": 2, "least_nodes": 1, **values}
    )


def groups(*given: dict[str, Any], **values: Any) -> Launch:
    return Launch.model_validate({"launcher": "JobSet", "processes_per_node": 8, "groups": given, **values})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"least_nodes": 4}, "least_nodes 4 is more than nodes, 3: at most 3 are allowed"),
        ({"least_nodes": 0}, "greater than or equal to 1"),
        ({"launcher": "local", "nodes": 1}, "a 'local' job is not: allowed: launcher TrainJob, PyTorchJob, JobSet"),
        ({"launcher": "RayJob"}, "a 'RayJob' job is not: allowed: launcher TrainJob, PyTorchJob, JobSet"),
        ({"restarts": 0}, "least_nodes has no effect with restarts 0"),
        ({"start_seconds": 300}, "replace_seconds 300 is not less than start_seconds 300"),
        ({"replace_seconds": 0}, "greater than 0"),
        ({"replace_seconds": 601}, "less than or equal to 600"),
    ],
)
def test_what_does_not_fit_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        equal(**values)


@pytest.mark.parametrize(
    ("given", "values", "said"),
    [
        ([H100 | {"least_nodes": 3}], {}, "least_nodes 3 is more than nodes, 2"),
        ([H100 | {"least_nodes": 0}, A10], {}, "least_nodes of all groups is 0"),
        ([H100, A10], {"least_nodes": 2}, "least_nodes beside groups: each group has its own"),
    ],
)
def test_what_does_not_fit_groups_is_refused(given: list[dict[str, Any]], values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        groups(*given, **values)


def test_all_nodes_are_the_least_unless_set() -> None:
    assert not equal(least_nodes=None).may_shrink and not equal(least_nodes=3).may_shrink
    assert equal(least_nodes=2).may_shrink and groups(H100, A10).may_shrink
    assert not groups({"nodes": 2, "accelerator": "H100"}).may_shrink


def test_some_of_equal_nodes_have_the_speeds_of_their_ranks() -> None:
    left = on_nodes(equal(speeds=[1, 2, 3, 4, 5, 6]), (0, 2))
    assert (left.nodes, left.processes, left.speeds) == (2, 4, (1, 2, 5, 6))
    assert not left.may_shrink and Launch.model_validate(left.model_dump()) == left


def test_a_group_without_nodes_is_left_out() -> None:
    left = on_nodes(groups(H100, A10), (2, 4))
    (group,) = left.groups
    assert (group.accelerator, group.nodes, left.processes) == ("A10", 2, 8)
    assert Launch.model_validate(left.model_dump()) == left


def test_the_fewest_nodes_are_the_least_of_each_kind() -> None:
    assert on_fewest_nodes(equal(least_nodes=2)).nodes == 2
    (group,) = on_fewest_nodes(groups(H100, A10)).groups
    assert (group.accelerator, group.nodes) == ("H100", 1)


@pytest.mark.parametrize(
    ("launch", "there", "ranks", "nodes"),
    [
        (equal(), {0, 2}, (), (0, 2)),
        (equal(least_nodes=2), {2}, (), ()),
        (equal(), set(), (), ()),
        (equal(), {0, 2}, (2,), (0,)),
        (equal(nodes=5, least_nodes=2), {0, 1, 3, 4}, (4, 6), (0, 1, 3)),
        (groups(H100, A10), {0, 1}, (), (0, 1)),
        (groups(H100, A10), {1, 3}, (), (1, 3)),
        (groups(H100, A10), {2, 3, 4}, (), ()),
        (groups(H100, A10), {0, 1, 2}, (12, 16), (0, 1)),
        (groups(H100, A10), {0, 2, 3}, (12,), (0, 2)),
        (equal(nodes=2), {0, 1, 2, 7}, (), (0, 1)),
    ],
)
def test_the_most_processes_that_fit_are_chosen(
    launch: Launch, there: set[int], ranks: tuple[int, ...], nodes: tuple[int, ...]
) -> None:
    """`least_nodes` of every kind are there, and the program can run on so many processes."""
    assert most_nodes(launch, there, ranks) == nodes


def test_the_program_learns_which_nodes_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    launch = equal(speeds=[1, 1, 2, 2, 3, 3])
    job = train_job().model_copy(update={"launch": launch})
    assert job_on_nodes(job, all_nodes(launch)) == job
    left = job_on_nodes(job, (0, 2)).launch
    monkeypatch.delenv(NODES_VARIABLE, raising=False)
    assert launch_here(launch) == launch
    monkeypatch.setenv(NODES_VARIABLE, left.environment[NODES_VARIABLE])
    assert launch_here(launch).speeds == left.speeds == (1, 1, 3, 3)
