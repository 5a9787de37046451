"""Fields that change a row's meaning are read, or reject the row, or are counted; none is ignored silently."""

import json
from collections import Counter
from typing import Any

import pytest

from components.collect.files.records import BadRowError, Record, Rejection
from components.collect.shapes.registry import SHAPES, shape_of
from components.collect.source_settings import Source
from components.collect.sources.normalise import normalise
from components.shared.rows import Check, Instruction, Message

Row = dict[str, Any]
TURNS = [{"role": "user", "content": "Ask"}, {"role": "assistant", "content": "Reply"}]
LONGER = [
    {"role": "system", "content": "S"},
    *TURNS,
    {"role": "user", "content": "2"},
    {"role": "assistant", "content": "3"},
]
SHAREGPT = [{"from": "human", "value": "Ask"}, {"from": "gpt", "value": "Reply"}]
CALLS = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
EVERY_SHAPE: dict[str, Row] = {
    "preference": {"prompt": "Ask", "chosen": "Reply", "rejected": "No"},
    "alpaca": {"instruction": "Ask", "input": "", "output": "Reply"},
    "messages": {"messages": TURNS},
    "sharegpt": {"conversations": SHAREGPT},
    "prompt_response": {"prompt": "Ask", "completion": "Reply"},
    "question_answer": {"question": "Ask", "answer": "Reply"},
    "gsm8k": {"question": "Ask", "answer": "Reply\n#### 3"},
    "competition_math": {"problem": "Ask", "solution": "Reply \\boxed{3}"},
    "seed_tasks": {"instruction": "Ask", "instances": [{"input": "", "output": "Reply"}]},
}
OF_ONE_TASK = {"qqp", "continuation"}
"""Shapes that write the instruction themselves; tests/unit/collect/test_tasks.py has them."""
every_shape = pytest.mark.parametrize("shape", EVERY_SHAPE)


def test_every_shape_is_tested() -> None:
    assert EVERY_SHAPE.keys() | OF_ONE_TASK == SHAPES.keys()


def read(fields: Row, **source: Any) -> tuple[Instruction, Counter[str]]:
    ignored: Counter[str] = Counter()
    settings = Source.model_validate({"name": "test", "uri": "x", **source})
    (row,) = normalise(Record(7, fields), shape_of(fields), settings, "test/file.jsonl", 1000, ignored=ignored)
    return row, ignored


def one(fields: Row, **source: Any) -> Instruction:
    return read(fields, **source)[0]


def refused(fields: Row, **source: Any) -> BadRowError:
    with pytest.raises(BadRowError) as caught:
        read(fields, **source)
    return caught.value


def turns(*, last: Row | None = None, first: Row | None = None) -> list[Row]:
    return [{**TURNS[0], **(first or {})}, {**TURNS[1], **(last or {})}]


class TestHistory:
    """Earlier exchanges."""

    EARLIER = (
        Message(role="user", content="1"),
        Message(role="assistant", content="2"),
        Message(role="user", content="3"),
        Message(role="assistant", content="4"),
    )

    @pytest.mark.parametrize("shape", ["alpaca", "prompt_response", "question_answer", "gsm8k"])
    @pytest.mark.parametrize(
        "history",
        [
            [["1", "2"], ["3", "4"]],
            [("1", "2"), ("3", "4")],
            '[["1", "2"], ["3", "4"]]',
            "[['1', '2'], ['3', '4']]",
            [{"prompt": "1", "response": "2"}, {"prompt": "3", "response": "4"}],
            [{"role": role, "content": text} for role, text in zip(("user", "assistant") * 2, "1234", strict=True)],
            [{"from": role, "value": text} for role, text in zip(("human", "gpt") * 2, "1234", strict=True)],
            {"role": ["user", "assistant"] * 2, "content": list("1234")},
        ],
    )
    def test_forms(self, shape: str, history: Any) -> None:
        row, ignored = read({**EVERY_SHAPE[shape], "history": history})
        assert row.history == self.EARLIER and row.instruction == "Ask" and not ignored
        assert [message.content for message in row.prompt()] == ["1", "2", "3", "4", "Ask"]

    @pytest.mark.parametrize("history", [None, [], "", "[]", [[]]])
    def test_none(self, history: Any) -> None:
        row, ignored = read({**EVERY_SHAPE["alpaca"], "history": history})
        assert row.history == () and not ignored

    @pytest.mark.parametrize(
        ("history", "reason"),
        [
            ([["1"]], Rejection.wrong_turns),
            ([["1", "2", "3"]], Rejection.wrong_turns),
            ([["1", None]], Rejection.wrong_turns),
            ([["1", " "]], Rejection.wrong_turns),
            (["1", "2"], Rejection.wrong_turns),
            ([{"role": "user", "content": "1"}], Rejection.wrong_turns),
            ([{"x": "1"}], Rejection.wrong_turns),
            ("as we said before", Rejection.wrong_type),
            (3, Rejection.wrong_type),
            ("[[", Rejection.broken_json),
        ],
    )
    def test_incomplete_history_is_rejected(self, history: Any, reason: Rejection) -> None:
        assert refused({**EVERY_SHAPE["alpaca"], "history": history}).reason == reason

    @every_shape
    def test_unread_history_is_counted(self, shape: str) -> None:
        row, ignored = read({**EVERY_SHAPE[shape], "history": [["1", "2"]]})
        assert bool(row.history) != bool(ignored)


class TestSystem:
    """A system prompt beside the row."""

    @pytest.mark.parametrize("name", ["system", "system_prompt"])
    @every_shape
    def test_is_read_or_counted(self, shape: str, name: str) -> None:
        row, ignored = read({**EVERY_SHAPE[shape], name: "Be kind."})
        assert (row.system == "Be kind." and not ignored) or (shape == "seed_tasks" and ignored == {name: 1})
        assert read({**EVERY_SHAPE[shape], name: ""})[0].system == ""

    def test_the_one_in_the_conversation_has_precedence(self) -> None:
        assert one({"messages": LONGER, "system": "other"}).system == "S"


class TestLabels:
    """Labels of the response."""

    # Of a preference, which response is better is the label (below).
    @pytest.mark.parametrize("shape", [name for name in EVERY_SHAPE if name != "preference"])
    @pytest.mark.parametrize("label", [True, False])
    def test_every_shape_has_them(self, shape: str, label: bool) -> None:
        for name in ("label", "kto_tag"):
            row, ignored = read({**EVERY_SHAPE[shape], name: label})
            assert row.desirable is label and not ignored
        assert one(EVERY_SHAPE[shape]).desirable is None

    @pytest.mark.parametrize(
        ("fields", "label"),
        [
            ({"label": "true"}, True),
            ({"label": "False"}, False),
            ({"label": 1}, True),
            ({"label": 0}, False),
            ({"label": 1.0}, True),
            ({"label": "0"}, False),
            ({"kto_tag": "false"}, False),
            ({"desirable": False}, False),
            ({"thumbs": "up"}, True),
            ({"thumbs": "👎"}, False),
            ({"thumbs_up": False}, False),
            ({"feedback": "Thumbs_Down"}, False),
            ({"feedback": -1}, False),
            ({"feedback": 1}, True),
            ({"label": True, "kto_tag": True}, True),
        ],
    )
    def test_spellings(self, fields: Row, label: bool) -> None:
        row, ignored = read({"prompt": "a", "completion": "b", **fields})
        assert row.desirable is label and not ignored

    @pytest.mark.parametrize(
        "fields", [{"label": "negative"}, {"label": 7}, {"label": 2.5}, {"feedback": "too long"}, {"thumbs": 0}]
    )
    def test_other_labels_are_counted_as_unread(self, fields: Row) -> None:
        row, ignored = read({"prompt": "a", "completion": "b", **fields})
        assert row.desirable is None and ignored == dict.fromkeys(fields, 1)

    def test_empty_labels(self) -> None:
        row, ignored = read({"prompt": "a", "completion": "b", "label": None, "kto_tag": ""})
        assert row.desirable is None and not ignored

    def test_contradiction(self) -> None:
        error = refused({"prompt": "a", "completion": "b", "label": True, "kto_tag": False})
        assert error.reason == Rejection.contradictory_labels and "label: True" in error.detail

    def test_ignored_by_setting(self) -> None:
        row, ignored = read({"prompt": "a", "completion": "b", "label": False}, labels="ignored")
        assert row.desirable is None and ignored == {"label": 1}

    def test_a_response_that_is_labelled_bad_is_not_a_reference(self) -> None:
        good, bad = ({"prompt": "a", "completion": "b", "label": label} for label in (True, False))
        assert one(good, check={"kind": "exact"}).check is not None
        assert one(bad, check={"kind": "exact"}).check is None
        assert one({**EVERY_SHAPE["gsm8k"], "label": False}).check is None
        kept = one({**bad, "gold": "c"}, check={"kind": "exact", "field": "gold"}).check
        assert kept is not None and kept.answer == "c"

    def test_a_row_without_a_response_has_none(self) -> None:
        assert one({"prompt": "a", "completion": "", "label": True}, response_required=False).desirable is None

    def test_a_preference_is_a_label_of_both_responses(self) -> None:
        pair = {"prompt": "a", "chosen": "b", "rejected": "c"}
        row, ignored = read({**pair, "label": False, "score_chosen": 7.5})
        assert (row.response, row.rejected, row.desirable) == ("b", "c", True)
        assert ignored == {"label": 1, "score_chosen": 1}
        row, ignored = read(pair, labels="ignored")
        assert (row.response, row.rejected, row.desirable) == ("b", "", None) and ignored == {"rejected": 1}
        assert one(pair, check={"kind": "exact"}).check == Check(kind="exact", answer="b")


class TestTrainingFlags:
    """Messages that are excluded from training."""

    @pytest.mark.parametrize(
        "mark",
        [
            {"weight": 0},
            {"weight": 0.0},
            {"weight": "0"},
            {"loss": False},
            {"train": False},
            {"trainable": 0},
            {"mask": True},
        ],
    )
    def test_answer(self, mark: Row) -> None:
        error = refused({"messages": turns(last=mark)})
        assert error.reason == Rejection.not_learnt and next(iter(mark)) in error.detail
        spoken = [SHAREGPT[0], {**SHAREGPT[1], **mark}]
        assert refused({"conversations": spoken}).reason == Rejection.not_learnt
        asked = [{"role": "user", "content": "a"}]
        assert refused({"prompt": asked, "completion": turns(last=mark)[1:]}).reason == Rejection.not_learnt

    @pytest.mark.parametrize("mark", [{"weight": 1}, {"weight": None}, {"loss": True}, {"mask": False}])
    def test_answer_that_is_trained_on(self, mark: Row) -> None:
        row, ignored = read({"messages": turns(last=mark)})
        assert row.response == "Reply" and not ignored

    def test_earlier_messages_are_never_trained_on(self) -> None:
        earlier = [{**turn, "weight": 0} for turn in LONGER[:3]]
        row, ignored = read({"messages": [*earlier, *LONGER[3:]]})
        assert row.response == "3" and len(row.history) == 2 and not ignored

    def test_other_weights_are_counted(self) -> None:
        assert read({"messages": turns(last={"weight": 0.5})})[1] == {"messages[].weight": 1}
        assert read({"prompt": "a", "completion": "b", "weight": 0.5})[1] == {"weight": 1}

    def test_row_with_weight_zero(self) -> None:
        assert refused({"prompt": "a", "completion": "b", "weight": 0}).reason == Rejection.not_learnt


class TestBeyondText:
    """Images, sound and tools."""

    @every_shape
    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"tools": [{"type": "function"}]}, Rejection.needs_tools),
            ({"tools": '[{"name": "f"}]'}, Rejection.needs_tools),
            ({"functions": [{"name": "f"}]}, Rejection.needs_tools),
            ({"tool_calls": CALLS}, Rejection.needs_tools),
            ({"images": ["a.png"]}, Rejection.needs_media),
            ({"image": {"bytes": b"x", "path": None}}, Rejection.needs_media),
            ({"videos": ["a.mp4"]}, Rejection.needs_media),
            ({"audio": "a.wav"}, Rejection.needs_media),
        ],
    )
    def test_row(self, shape: str, fields: Row, reason: Rejection) -> None:
        error = refused({**EVERY_SHAPE[shape], **fields})
        assert error.reason == reason and repr(next(iter(fields))) in error.detail

    @every_shape
    @pytest.mark.parametrize("empty", [None, [], "", "[]", {}, [None], {"bytes": None, "path": None}])
    def test_empty_columns(self, shape: str, empty: Any) -> None:
        row, ignored = read({**EVERY_SHAPE[shape], "tools": empty, "images": empty, "audio": empty})
        assert row.instruction == "Ask" and not ignored

    @pytest.mark.parametrize("place", ["first", "last"])
    @pytest.mark.parametrize(
        ("extra", "reason"),
        [
            ({"tool_calls": CALLS}, Rejection.needs_tools),
            ({"function_call": {"name": "f", "arguments": "{}"}}, Rejection.needs_tools),
            ({"tool_calls": CALLS, "content": None}, Rejection.needs_tools),
            ({"images": ["a.png"]}, Rejection.needs_media),
        ],
    )
    def test_message(self, extra: Row, reason: Rejection, place: str) -> None:
        assert refused({"messages": turns(**{place: extra})}).reason == reason

    def test_call_in_an_earlier_message(self) -> None:
        called = [*turns(last={"tool_calls": CALLS}), *TURNS]
        assert refused({"messages": called}).reason == Rejection.needs_tools

    @pytest.mark.parametrize("placeholder", ["<image>", "<video>", "<audio>"])
    def test_placeholder_whose_field_is_empty(self, placeholder: str) -> None:
        fields = {"prompt": f"{placeholder}\nWhat is it?", "completion": "b"}
        assert refused({**fields, "images": []}).reason == Rejection.needs_media
        assert one(fields).instruction.startswith(placeholder), "without such a field it is text, such as a tag"

    def test_parts_other_than_text_are_named(self) -> None:
        parts = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "x"}}]
        error = refused({"messages": turns(first={"content": parts})})
        assert error.reason == Rejection.wrong_type and "image_url" in error.detail


class TestIgnored:
    """All other unread fields are counted."""

    @every_shape
    def test_fields(self, shape: str) -> None:
        row, ignored = read({**EVERY_SHAPE[shape], "id": 0, "source": "x", "tags": [], "context": "c", "score": 0.0})
        assert row.instruction == "Ask" and ignored == {"id": 1, "source": 1, "context": 1, "score": 1}

    @pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "name", "refusal"])
    def test_fields_of_messages(self, name: str) -> None:
        row, ignored = read({"messages": turns(last={name: "because"})})
        assert row.response == "Reply" and ignored == {f"messages[].{name}": 1}
        spoken = [SHAREGPT[0], {**SHAREGPT[1], name: "because"}]
        assert read({"conversations": spoken})[1] == {f"conversations[].{name}": 1}
        assert not read({"messages": turns(last={name: None})})[1]

    def test_deep_nesting_in_a_field(self) -> None:
        for deepest in (1, None):
            nested: Any = deepest
            for _ in range(5000):
                nested = [{"a": nested}]
            row, ignored = read({"prompt": "a", "response": "b", "deep": nested})
            assert row.instruction == "a" and bool(ignored) == (deepest is not None)

    def test_field_of_the_check_is_read(self) -> None:
        assert not read({"prompt": "a", "response": "b", "gold": "c"}, check={"kind": "exact", "field": "gold"})[1]


class TestConversations:
    """Forms in which a conversation is written."""

    @pytest.mark.parametrize("name", ["messages", "conversations"])
    @pytest.mark.parametrize(
        "written",
        [
            TURNS,
            json.dumps(TURNS),
            "  " + json.dumps(TURNS, indent=1),
            str(TURNS),
            [json.dumps(turn) for turn in TURNS],
            {"role": ["user", "assistant"], "content": ["Ask", "Reply"]},
            {"role": ["user", "assistant"], "content": ["Ask", "Reply"], "name": [None, None]},
            [{**turn, "tool_calls": None, "name": None} for turn in TURNS],
        ],
    )
    def test_forms(self, name: str, written: Any) -> None:
        row, ignored = read({name: written})
        assert (row.instruction, row.response) == ("Ask", "Reply") and not ignored

    def test_lists_of_sharegpt(self) -> None:
        assert one({"conversations": {"from": ["human", "gpt"], "value": ["Ask", "Reply"]}}).response == "Reply"
        assert one({"conversations": json.dumps(SHAREGPT)}).response == "Reply"

    @pytest.mark.parametrize(
        ("written", "reason"),
        [
            ('[{"role": "user"', Rejection.broken_json),
            ("[" * 10_000, Rejection.broken_json),
            ("[print('run')]", Rejection.broken_json),
            ({"role": ["user", "assistant"], "content": ["Ask"]}, Rejection.wrong_turns),
            ('["a"]', Rejection.wrong_type),
        ],
    )
    def test_broken_forms(self, written: Any, reason: Rejection) -> None:
        assert refused({"messages": written}).reason == reason

    @pytest.mark.parametrize("name", ["completion", "response"])
    @pytest.mark.parametrize(
        ("prompt", "completion"),
        [
            (TURNS[:1], TURNS[1:]),
            (TURNS[:1], "Reply"),
            ("Ask", TURNS[1:]),
            (json.dumps(TURNS[:1]), json.dumps(TURNS[1:])),
            ({"role": ["user"], "content": ["Ask"]}, {"role": ["assistant"], "content": ["Reply"]}),
        ],
    )
    def test_conversational_prompt_and_completion(self, prompt: Any, completion: Any, name: str) -> None:
        row = one({"prompt": prompt, name: completion})
        assert (row.instruction, row.response, row.history) == ("Ask", "Reply", ())

    def test_longer_prompt_with_a_label(self) -> None:
        row = one({"prompt": LONGER[:4], "completion": LONGER[4:], "label": False})
        assert (row.system, row.instruction, row.response, row.desirable) == ("S", "2", "3", False)
        assert row.history == (Message(role="user", content="Ask"), Message(role="assistant", content="Reply"))

    def test_plain_text_prompt(self) -> None:
        for text in ("[1, 2, 3]: sort it", '["a"]', '[{"x": 1}]', "[] or {}?"):
            assert one({"prompt": text, "completion": "b"}).instruction == text

    def test_prompt_without_a_completion(self) -> None:
        assert refused({"prompt": TURNS[:1], "completion": []}).reason == Rejection.missing_field
        assert one({"prompt": TURNS[:1], "completion": []}, response_required=False).response == ""
