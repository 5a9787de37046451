"""Replies and instructions together: responses in their order, failures apart, damage noticed."""

from pathlib import Path

import pytest

from components.models.teacher import Reply
from components.shared.errors import DamagedError, EmptyDataError
from components.shared.manifest import Manifest
from components.shared.output import Output
from components.shared.rows import Labelled
from components.shared.settings import Settings
from components.shared.store import open_store
from components.synthesize.assignment import Assignment
from components.synthesize.combine import combine
from components.synthesize.replies import ReplyShards
from components.synthesize.settings import SynthesizeSettings


class Made(Settings):
    """Stands for the settings of whatever made the instructions."""


def prepared(root: Path) -> tuple[Assignment, Manifest, dict[str, ReplyShards]]:
    facts = {"source": "s", "line": 1, "type": "t", "primary": "p", "secondary": "q"}
    output = Output(str(root), "curate", 1, Made(), {})
    rows = [Labelled(id=f"r{n}", instruction=f"say {n}", response="own" if n else "", **facts) for n in range(3)]
    output.write_rows("rows/00000", rows)
    settings = SynthesizeSettings.model_validate({"teacher": {"model": "t"}, "student": "s", "rows_per_shard": 2})
    dataset = output.finish("labelled/1")
    assignment = Assignment(root=str(root), address="synthesize/x", dataset=dataset.address, settings=settings)
    store = open_store(str(root)).at("synthesize/x")
    return assignment, dataset, {origin: ReplyShards(store, origin) for origin in settings.asked}


def answer(shards: ReplyShards, failing: frozenset[str] = frozenset()) -> None:
    for index, keys in enumerate((["r0", "r1"], ["r2"])):
        shards.finish(
            index,
            [
                Reply(key=key, text="why", finish="error")
                if key in failing
                else Reply(key=key, text=f"{shards.origin} {key}", tokens_in=2, tokens_out=3, finish="length")
                for key in keys
            ],
        )


def test_counts_and_shards_say_what_was_written(tmp_path: Path) -> None:
    assignment, dataset, replies = prepared(tmp_path)
    answer(replies["teacher"], failing=frozenset({"r0", "r1"}))
    answer(replies["student"], failing=frozenset({"r0"}))
    result = combine(assignment, dataset)
    assert [(shard.name, shard.rows) for shard in result.shards] == [
        ("rows/00000.jsonl.gz", 1),
        ("dropped/00000.jsonl.gz", 1),
        ("rows/00001.jsonl.gz", 1),
    ]
    counts = result.counts
    assert (counts["rows"], counts["rows_without_response"], counts["responses_original"]) == (2, 1, 2)
    assert (counts["responses_teacher"], counts["failed_teacher"], counts["tokens_out_teacher"]) == (1, 2, 3)
    assert (counts["responses_student"], counts["failed_student"], counts["cut_short_student"]) == (2, 1, 2)


def test_the_same_replies_give_the_same_bytes(tmp_path: Path) -> None:
    assignment, dataset, replies = prepared(tmp_path)
    for shards in replies.values():
        answer(shards)
    assert combine(assignment, dataset) == combine(assignment, dataset)


def test_a_lost_reply_is_noticed_and_asked_again_by_the_next_run(tmp_path: Path) -> None:
    assignment, dataset, replies = prepared(tmp_path)
    for shards in replies.values():
        answer(shards)
    (tmp_path / "synthesize/x/replies/student/00001.jsonl.gz").write_bytes(b"cut off")
    with pytest.raises(DamagedError, match="student to 1 rows"):
        combine(assignment, dataset)
    assert (replies["teacher"].done(), replies["student"].done()) == ({0, 1}, {0})


def refuse(shards: ReplyShards, keys: frozenset[str]) -> None:
    why = f"the chat template of {shards.origin!r} refuses the role 'system' in a conversation of system, user: no"
    for index, chunk in enumerate((["r0", "r1"], ["r2"])):
        given = [
            Reply(key=key, text=why, finish="error", refused=True) if key in keys else Reply(key=key, text="yes")
            for key in chunk
        ]
        shards.finish(index, given)


def test_rows_that_a_template_refuses_are_counted_apart_from_failures(tmp_path: Path) -> None:
    assignment, dataset, replies = prepared(tmp_path)
    refuse(replies["teacher"], frozenset({"r0", "r1"}))
    refuse(replies["student"], frozenset({"r0"}))
    counts = combine(assignment, dataset).counts
    assert (counts["rows"], counts["rows_without_response"]) == (2, 1)
    assert (counts["refused_teacher"], counts["failed_teacher"], counts["responses_teacher"]) == (2, 0, 1)
    assert replies["teacher"].done() == {0, 1}, "they are not asked again"


def test_rows_that_are_all_refused_are_an_error(tmp_path: Path) -> None:
    assignment, dataset, replies = prepared(tmp_path)
    every = frozenset({"r0", "r1", "r2"})
    for shards in replies.values():
        refuse(shards, every)
    settings = assignment.settings.model_copy(update={"origins": ("teacher", "student")})
    with pytest.raises(EmptyDataError, match=r"none of 3 rows has a response, the first: .*'teacher' refuses the role"):
        combine(assignment.model_copy(update={"settings": settings}), dataset)
