"""The processes and micro-batches of pipelines: equal devices, and each micro-batch once."""

from components.train.stages.job_pipelines import make_pipelines
from components.train.stages.settings import StageSettings

SPANS = [(0, 2), (2, 3), (3, 4)]


def test_each_pipeline_has_consecutive_processes_of_every_kind() -> None:
    one, other = make_pipelines(StageSettings(pipelines=2, micro_batches=7), [2, 4], SPANS)
    assert (one.ranks, other.ranks) == ((0, 2, 3), (1, 4, 5))
    assert (one.last_rank, other.last_rank) == (3, 5)
    assert [list(other.stages_of(rank)) for rank in other.ranks] == [[0], [1], [2]]


def test_kinds_that_do_not_divide_leave_consecutive_processes() -> None:
    pipelines = make_pipelines(StageSettings(pipelines=2), [3, 1], SPANS[:2])
    assert [pipeline.ranks for pipeline in pipelines] == [(0, 1), (2, 3)]


def test_a_step_is_divided_among_pipelines() -> None:
    pipelines = make_pipelines(StageSettings(pipelines=3, micro_batches=8), [6], SPANS[:2])
    parts = [pipeline.part_of(range(8)) for pipeline in pipelines]
    assert [number for part in parts for number in part] == list(range(8))
    assert [pipeline.micro_batches for pipeline in pipelines] == [3, 3, 2]


def test_stages_of_several_rounds_are_dealt_to_the_processes_of_their_pipeline() -> None:
    _, other = make_pipelines(StageSettings(pipelines=2), [4], [(0, 1), (1, 2), (2, 3), (3, 4)])
    assert [list(other.stages_of(rank)) for rank in other.ranks] == [[0, 2], [1, 3]]
    assert other.last_rank == 3
