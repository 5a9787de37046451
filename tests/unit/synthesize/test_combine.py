"""Replies and instructions together: responses in their order, failures apart, damage noticed."""

import gzip
from pathlib import Path

import pytest

from components.models.generators.generator import Reply
from components.shared.errors import DamagedError, EmptyDataError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output
from components.shared.outputs.shards import parse_row
from components.shared.rows import Answered, Labelled, Origin
from components.shared.settings import Settings
from components.shared.step import Product
from components.shared.store.open_store import open_store
from components.synthesize.chunks import sample_keys
from components.synthesize.combine import combine
from components.synthesize.replies import ReplyShards
from components.synthesize.settings import Assignment, SynthesizeSettings


class Made(Settings):
    """Stands for the settings of whatever made the instructions."""


def prepared(root: Path, own: str = "own") -> tuple[Assignment, Manifest, dict[str, ReplyShards]]:
    facts = {"source": "s", "line": 1, "type": "t", "primary": "p", "secondary": "q"}
    output = Output(Library(str(root)), Product("curate", 1, "labelled/1"), Made(), {})
    rows = [Labelled(id=f"r{n}", instruction=f"say {n}", response=own if n else "", **facts) for n in range(3)]
    output.write_rows("rows/00000", rows)
    settings = SynthesizeSettings.model_validate({"teacher": {"model": "t"}, "student": "s", "rows_per_shard": 2})
    dataset = output.finish()
    assignment = Assignment(root=str(root), address="synthesize/x", dataset=dataset.address, settings=settings)
    store = open_store(str(root)).at("synthesize/x")
    return assignment, dataset, {origin: ReplyShards(store, origin) for origin in settings.asked}


def given(origin: Origin, key: str, reasoning: str) -> Reply:
    return Reply(key=key, text=f"{origin} {key}", reasoning=reasoning, tokens_in=2, tokens_out=3, finish="length")


def answer(shards: ReplyShards, failing: frozenset[str] = frozenset(), reasoning: str = "") -> None:
    for index, keys in enumerate((["r0", "r1"], ["r2"])):
        shards.finish(
            index,
            [
                Reply(key=key, text="why", finish="error") if key in failing else given(shards.origin, key, reasoning)
                for key in keys
            ],
        )


def answered_rows(root: Path) -> list[Answered]:
    store = open_store(str(root)).at("synthesize/x/rows")
    lines = [line for shard in store.list() for line in gzip.decompress(store.read(shard.key)).splitlines()]
    return [Answered.model_validate_json(line) for line in lines]


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


def test_a_pair_gives_two_original_responses_the_preferred_one_first(tmp_path: Path) -> None:
    assignment, _, replies = prepared(tmp_path)
    for shards in replies.values():
        answer(shards)
    facts = {"source": "s", "line": 1, "type": "t", "primary": "p", "secondary": "q", "response": "own"}
    output = Output(Library(str(tmp_path)), Product("curate", 2, "labelled/1"), Made(), {})
    rejected = ["<think>Hm.</think>worse", "", ""]
    rows = [Labelled(id=f"r{n}", instruction=f"say {n}", rejected=text, **facts) for n, text in enumerate(rejected)]
    output.write_rows("rows/00000", rows)
    result = combine(assignment, output.finish())
    first = answered_rows(tmp_path)[0]
    assert [(one.text, one.reasoning) for one in first.responses[:2]] == [("own", ""), ("worse", "Hm.")]
    assert [one.origin for one in first.responses] == ["original", "original", "teacher", "student"]
    assert result.counts["responses_original"] == 4


def test_labels_stay_with_their_rows(tmp_path: Path) -> None:
    assignment, _, replies = prepared(tmp_path)
    for shards in replies.values():
        answer(shards)
    facts = {"source": "s", "line": 1, "type": "t", "primary": "p", "secondary": "q", "response": "own"}
    labels = [True, False, None]
    output = Output(Library(str(tmp_path)), Product("curate", 2, "labelled/1"), Made(), {})
    rows = [Labelled(id=f"r{n}", instruction=f"say {n}", desirable=label, **facts) for n, label in enumerate(labels)]
    output.write_rows("rows/00000", rows)
    combine(assignment, output.finish())
    assert [row.desirable for row in answered_rows(tmp_path)] == labels


def test_the_same_replies_give_the_same_bytes(tmp_path: Path) -> None:
    assignment, dataset, replies = prepared(tmp_path)
    for shards in replies.values():
        answer(shards)
    assert combine(assignment, dataset) == combine(assignment, dataset)


def test_a_lost_reply_is_noticed_and_asked_again_by_the_next_run(tmp_path: Path) -> None:
    assignment, dataset, replies = prepared(tmp_path)
    for shards in replies.values():
        answer(shards)
    (tmp_path / "synthesize/x/replies/student/00001.jsonl.gz").write_bytes(b"damaged")
    with pytest.raises(DamagedError, match="1 missing reply of the student"):
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


def test_reasoning_is_kept_apart_in_every_response(tmp_path: Path) -> None:
    assignment, dataset, replies = prepared(tmp_path, own="<think>\nso\n</think>\n\nown")
    for shards in replies.values():
        answer(shards, reasoning="hm")
    result = combine(assignment, dataset)
    rows = [row for shard in result.shards for row in read_shard(tmp_path, assignment, shard.name)]
    found = {
        (response.origin, response.text.split()[0], response.reasoning) for row in rows for response in row.responses
    }
    assert found == {("original", "own", "so"), ("teacher", "teacher", "hm"), ("student", "student", "hm")}
    assert (result.counts["reasoned_teacher"], result.counts["reasoned_original"]) == (3, 2)


def test_an_original_that_is_a_thought_alone_is_no_response(tmp_path: Path) -> None:
    assignment, dataset, replies = prepared(tmp_path, own="<think>\nI wonder whether")
    for shards in replies.values():
        answer(shards)
    assert combine(assignment, dataset).counts["responses_original"] == 0


def test_what_was_changed_in_replies_is_counted_and_failed_ones_cost_their_tokens(tmp_path: Path) -> None:
    assignment, dataset, replies = prepared(tmp_path)
    odd = [
        Reply(key="r0", text="a", leaked=True, mended=True),
        Reply(key="r1", text="no answer, only reasoning", reasoning="hm", finish="error", tokens_in=5, tokens_out=7),
    ]
    replies["teacher"].finish(0, odd)
    replies["teacher"].finish(1, [Reply(key="r2", text=" ")])
    answer(replies["student"])
    counts = combine(assignment, dataset).counts
    names = ("reasoned", "leaked", "mended", "failed", "empty", "tokens_in", "tokens_out")
    assert [counts[f"{name}_teacher"] for name in names] == [1, 1, 1, 1, 1, 5, 7]


def test_responses_of_before_are_read(tmp_path: Path) -> None:
    old = b'{"id":"r","source":"s","line":1,"instruction":"i","type":"t","primary":"p","secondary":"q",'
    old += b'"responses":[{"origin":"teacher","text":"a"}]}'
    assert parse_row(old, Answered, where="").responses[0].reasoning == ""


def read_shard(root: Path, assignment: Assignment, name: str) -> list[Answered]:
    data = gzip.decompress(open_store(str(root)).at(assignment.address).read(name))
    return [parse_row(line, Answered, where=name) for line in data.splitlines()]


def sampled(assignment: Assignment, samples: int) -> Assignment:
    given = {**assignment.settings.model_dump(mode="json"), "teacher_samples": samples}
    given["teacher_sampling"] = {"temperature": 0.8}
    return assignment.model_copy(update={"settings": SynthesizeSettings.model_validate(given)})


def test_every_sample_is_a_response_and_those_that_failed_are_counted(tmp_path: Path) -> None:
    assignment, dataset, replies = prepared(tmp_path)
    answer(replies["student"])
    failing = {"r0~1", "r1", "r1~1", "r1~2"}
    for index, keys in enumerate((["r0", "r1"], ["r2"])):
        samples = [sample for key in keys for sample in sample_keys(key, 3)]
        replies["teacher"].finish(
            index,
            [
                Reply(key=key, text="why", finish="error") if key in failing else Reply(key=key, text=key[:2])
                for key in samples
            ],
        )
    result = combine(sampled(assignment, 3), dataset)
    rows = [row for shard in result.shards for row in read_shard(tmp_path, assignment, shard.name)]
    origins = [[response.origin[0] for response in row.responses] for row in rows]
    assert origins == [["t", "t", "s"], ["o", "s"], ["o", "t", "t", "t", "s"]]
    names = ("responses_teacher", "failed_teacher", "rows_lacking_samples_teacher", "repeated_teacher")
    assert [result.counts[name] for name in names] == [5, 4, 1, 3]
    assert "repeated_student" not in result.counts


def test_a_sample_that_is_missing_is_damage(tmp_path: Path) -> None:
    assignment, dataset, replies = prepared(tmp_path)
    for shards in replies.values():
        answer(shards)
    with pytest.raises(DamagedError, match="2 missing replies of the teacher, such as 'r0~1'"):
        combine(sampled(assignment, 2), dataset)
