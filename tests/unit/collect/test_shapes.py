"""Each row shape: what it recognises, reads and rejects."""

from typing import Any

import pytest

from components.collect.files.records import BadRowError, Record, Rejection
from components.collect.shapes.registry import SHAPES, shape_of
from components.collect.source_settings import Source
from components.collect.sources.normalise import normalise
from components.shared.rows import Check, Instruction, Message

Row = dict[str, Any]
MARIA = {"question": "How many?", "answer": "4*3=<<4*3=12>>12 and <<12*100=1200>>more\n#### 1,200"}


def rows(fields: Row, **source: Any) -> list[Instruction]:
    settings = Source.model_validate({"name": "test", "uri": "x", **source})
    shape = shape_of(fields) if settings.shape == "auto" else SHAPES[settings.shape]
    return normalise(Record(7, fields), shape, settings, "test/file.jsonl", max_characters=1000)


def one(fields: Row, **source: Any) -> Instruction:
    (row,) = rows(fields, **source)
    return row


def refused(fields: Row, **source: Any) -> BadRowError:
    with pytest.raises(BadRowError) as caught:
        rows(fields, **source)
    return caught.value


def chat(*turns: tuple[str, Any]) -> Row:
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


def talk(*turns: tuple[str, Any]) -> Row:
    return {"conversations": [{"from": speaker, "value": value} for speaker, value in turns]}


@pytest.mark.parametrize(
    ("shape", "fields"),
    [
        ("alpaca", {"instruction": "Ask", "input": "", "output": "Reply"}),
        ("alpaca", {"instruction": "Ask", "output": "Reply"}),
        ("messages", chat(("user", "Ask"), ("assistant", "Reply"))),
        ("sharegpt", talk(("human", "Ask"), ("gpt", "Reply"))),
        ("prompt_response", {"id": 3, "prompt": "Ask", "response": "Reply"}),
        ("prompt_response", {"prompt": "Ask", "completion": "Reply"}),
        ("question_answer", {"question": "Ask", "answer": "Reply"}),
        ("seed_tasks", {"instruction": "Ask", "instances": [{"input": "", "output": "Reply"}]}),
        ("gsm8k", {"question": "Ask", "answer": "so\n#### 3"}),
        ("competition_math", {"problem": "Ask", "solution": "$\\boxed{3}$"}),
    ],
)
def test_shape_is_recognised(shape: str, fields: Row) -> None:
    found = shape_of(fields)
    assert found is not None and found.name == shape
    row = one(fields)
    assert row.instruction == "Ask" and row.response in {"Reply", "so\n#### 3", "$\\boxed{3}$"}
    assert (row.source, row.line, row.system, row.history) == ("test/file.jsonl", 7, "", ())


@pytest.mark.parametrize("fields", [{}, {"text": "a"}, {"instruction": "a"}, {"prompt": "a"}, {"messages": "a"}])
def test_other_rows_have_no_shape(fields: Row) -> None:
    assert shape_of(fields) is None
    assert refused(fields).reason == Rejection.unknown_shape


def test_text_survives_as_it_is() -> None:
    for text in ("  中文，標點。\n", "🙂\u2028\0", "    indented code", "\ufeffmark"):
        row = one({"prompt": text + "?", "response": text + "!"})
        assert (row.instruction, row.response) == (text + "?", text + "!")


class TestAlpaca:
    """instruction, input, output."""

    def test_input_follows_the_instruction(self) -> None:
        fields = {"instruction": "Add:", "input": "1 + 1", "output": "2"}
        assert one(fields).instruction == "Add:\n1 + 1"
        assert one(fields, input_separator=" ").instruction == "Add: 1 + 1"
        assert one({**fields, "input": None}).instruction == one({**fields, "input": " "}).instruction == "Add:"

    def test_system(self) -> None:
        assert one({"instruction": "a", "output": "b", "system": "Be kind."}).system == "Be kind."

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"instruction": ""}, Rejection.empty_instruction),
            ({"instruction": " \n\t"}, Rejection.empty_instruction),
            ({"instruction": None}, Rejection.missing_field),
            ({"instruction": 42}, Rejection.wrong_type),
            ({"output": ""}, Rejection.empty_response),
            ({"output": "\n"}, Rejection.empty_response),
            ({"output": None}, Rejection.missing_field),
            ({"output": ["a"]}, Rejection.wrong_type),
            ({"input": 3}, Rejection.wrong_type),
            ({"output": "x" * 1000}, Rejection.oversize),
            ({"output": "\ud800"}, Rejection.invalid_unicode),
        ],
    )
    def test_bad_fields(self, change: Row, reason: str) -> None:
        assert refused({"instruction": "a", "input": "", "output": "b", **change}).reason == reason

    def test_missing_field_names_those_present(self) -> None:
        error = refused({"instruction": "a", "input": ""}, shape="alpaca")
        assert error.reason == Rejection.missing_field and error.detail == "lacks 'output'; has instruction, input"


class TestMessages:
    """Chat messages."""

    def test_last_exchange_is_the_row(self) -> None:
        turns = [("system", "S"), ("user", "1"), ("assistant", "2"), ("user", "3"), ("assistant", "4")]
        row = one(chat(*turns))
        assert (row.system, row.instruction, row.response) == ("S", "3", "4")
        assert row.history == (Message(role="user", content="1"), Message(role="assistant", content="2"))
        assert [message.content for message in row.prompt()] == ["S", "1", "2", "3"]

    def test_list_of_text_parts(self) -> None:
        parts = [{"type": "text", "text": "A"}, {"type": "text", "text": "sk"}]
        assert one(chat(("user", parts), ("assistant", "4"))).instruction == "Ask"
        image = [{"type": "image_url", "image_url": "x"}]
        assert refused(chat(("user", image), ("assistant", "4"))).reason == Rejection.wrong_type

    @pytest.mark.parametrize(
        ("turns", "reason"),
        [
            ([("user", "1")], Rejection.missing_field),
            ([("system", "S")], Rejection.missing_field),
            ([], Rejection.missing_field),
            ([("assistant", "1"), ("user", "2")], Rejection.wrong_turns),
            ([("user", "1"), ("user", "2")], Rejection.wrong_turns),
            ([("user", "1"), ("system", "S"), ("assistant", "2")], Rejection.wrong_turns),
            ([("user", "1"), ("tool", "{}"), ("assistant", "2")], Rejection.wrong_turns),
            ([("user", " "), ("assistant", "2"), ("user", "3"), ("assistant", "4")], Rejection.wrong_turns),
            ([("user", " "), ("assistant", "2")], Rejection.empty_instruction),
            ([("user", "1"), ("assistant", "")], Rejection.empty_response),
            ([("user", 1), ("assistant", "2")], Rejection.wrong_type),
            ([("user", None), ("assistant", "2")], Rejection.missing_field),
        ],
    )
    def test_bad_conversations(self, turns: list[tuple[str, Any]], reason: str) -> None:
        assert refused(chat(*turns), shape="messages").reason == reason

    @pytest.mark.parametrize("value", [42, "text", ["text"], {"role": "user"}])
    def test_messages_that_are_not_a_list(self, value: Any) -> None:
        assert refused({"messages": value}, shape="messages").reason == Rejection.wrong_type
        assert refused({}, shape="messages").reason == Rejection.missing_field


class TestShareGpt:
    """ShareGPT conversations."""

    def test_speakers_and_system(self) -> None:
        row = one({**talk(("human", "1"), ("gpt", "2"), ("user", "3"), ("chatgpt", "4")), "system": "S"})
        assert (row.system, row.instruction, row.response, len(row.history)) == ("S", "3", "4", 2)
        assert one(talk(("system", "S"), ("human", "1"), ("gpt", "2"))).system == "S"

    def test_turns_written_as_messages(self) -> None:
        turns = [{"role": "user", "content": "1"}, {"role": "assistant", "content": "2"}]
        assert one({"conversations": turns}).response == "2"

    def test_unknown_speaker(self) -> None:
        error = refused(talk(("human", "1"), ("martian", "2")))
        assert error.reason == Rejection.wrong_turns and "martian" in error.detail


class TestSeedTasks:
    """Self-instruct seed tasks."""

    def test_each_instance_is_a_row(self) -> None:
        instances = [{"input": "a", "output": "1"}, {"input": "", "output": "2"}, {"output": "2"}]
        found = rows({"instruction": "Do", "instances": instances})
        assert [(row.instruction, row.response) for row in found] == [("Do\na", "1"), ("Do", "2"), ("Do", "2")]
        assert len({row.id for row in found}) == 3, "equal instances are rows of their own"

    def test_all_instances_are_accepted_or_none(self) -> None:
        instances = [{"input": "", "output": "1"}, {"input": "", "output": " "}]
        assert refused({"instruction": "Do", "instances": instances}).reason == Rejection.empty_response
        assert refused({"instruction": "Do", "instances": []}).reason == Rejection.missing_field


class TestGsm8k:
    """Word problems."""

    def test_annotations_are_removed_or_kept(self) -> None:
        assert one(MARIA).response == "4*3=12 and more\n#### 1,200"
        assert one(MARIA, calculator="kept").response == MARIA["answer"]

    def test_final_answer_is_the_check(self) -> None:
        assert one(MARIA).check == Check(kind="math", answer="1200")

    def test_no_final_answer(self) -> None:
        for answer in ("12", "12 ####", "#### "):
            assert refused({"question": "a", "answer": answer}, shape="gsm8k").reason == Rejection.no_answer


class TestCompetitionMath:
    """Problems of contests, as MATH's original files have them."""

    def test_the_last_box_is_the_check_and_the_solution_the_response(self) -> None:
        solution = "Half of $\\boxed{6}$ is sought.\n\nIt is $\\boxed{\\frac{6}{2}}$, the answer: not 4."
        row = one({"problem": "What is half of 6?", "level": "Level 1", "type": "Prealgebra", "solution": solution})
        assert (row.instruction, row.response) == ("What is half of 6?", solution)
        assert row.check == Check(kind="math", answer="\\frac{6}{2}")

    @pytest.mark.parametrize(
        ("box", "answer"),
        [
            ("$\\boxed{1,\\!234}$", "1234"),
            ("$\\boxed 2$.", "2"),
            ("\\fbox{5}", "5"),
            ("$\\boxed{1}$ and $\\boxed{-2}$.", "1, -2"),
            ("$\\boxed{(-\\infty, 2)\\cup(3,\\infty)}$", "(-\\infty, 2)\\cup(3,\\infty)"),
            ("$\\boxed{\\text{(A)}}$ since \\{1, 2\\} has two.", "(A)"),
        ],
    )
    def test_boxes_are_read_as_they_are_written(self, box: str, answer: str) -> None:
        assert one({"problem": "a", "solution": f"So {box}"}).check == Check(kind="math", answer=answer)

    def test_an_answer_of_its_own_comes_first(self) -> None:
        fields = {"problem": "a", "solution": "$\\boxed{\\frac12}$", "answer": "\\frac{1}{2}", "subject": "Algebra"}
        assert one(fields).check == Check(kind="math", answer="\\frac{1}{2}")

    def test_no_final_answer(self) -> None:
        for solution in ("12", "\\boxed{}", "\\boxed{4", "It is $x"):
            assert (
                refused({"problem": "a", "solution": solution}, shape="competition_math").reason == Rejection.no_answer
            )


class TestResponses:
    """Rows without a response."""

    @pytest.mark.parametrize(
        "fields",
        [
            {"instruction": "a", "output": ""},
            {"instruction": "a", "output": None},
            {"prompt": "a", "response": " "},
            {"instruction": "a", "instances": [{"input": ""}]},
            chat(("user", "a")),
            talk(("human", "a")),
        ],
    )
    def test_are_kept_unless_required(self, fields: Row) -> None:
        assert not one(fields, response_required=False).response.strip()
        assert refused(fields).reason in {Rejection.empty_response, Rejection.missing_field}


class TestChecks:
    """How answers can be checked."""

    @pytest.mark.parametrize(
        ("check", "fields", "answer"),
        [
            ({"kind": "exact"}, {"response": "Paris\n"}, "Paris"),
            ({"kind": "math"}, {"response": " 42 "}, "42"),
            ({"kind": "math", "after": "answer is"}, {"response": "the answer is 1, no: the answer is 2"}, "2"),
            ({"kind": "exact", "field": "gold"}, {"response": "long", "gold": "short"}, "short"),
            ({"kind": "math", "field": "gold", "after": "="}, {"response": "x", "gold": "x = 3"}, "3"),
            ({"kind": "choice"}, {"response": "(B)"}, "B"),
            ({"kind": "choice", "after": "Answer:"}, {"response": "B or C? Answer: c."}, "C"),
        ],
    )
    def test_answer_is_found(self, check: Row, fields: Row, answer: str) -> None:
        assert one({"prompt": "a", **fields}, check=check).check == Check(kind=check["kind"], answer=answer)

    @pytest.mark.parametrize(
        ("check", "fields", "reason"),
        [
            ({"kind": "math", "after": "####"}, {"response": "42"}, Rejection.no_answer),
            ({"kind": "math", "after": "####"}, {"response": "#### "}, Rejection.no_answer),
            ({"kind": "exact", "field": "gold"}, {"response": "a"}, Rejection.missing_field),
            ({"kind": "exact", "field": "gold"}, {"response": "a", "gold": 3}, Rejection.wrong_type),
            ({"kind": "exact", "field": "gold"}, {"response": "a", "gold": ""}, Rejection.no_answer),
            ({"kind": "choice"}, {"response": "Both"}, Rejection.no_answer),
        ],
    )
    def test_row_without_the_answer_is_refused(self, check: Row, fields: Row, reason: str) -> None:
        assert refused({"prompt": "a", **fields}, check=check).reason == reason

    def test_no_check_unless_asked_for(self) -> None:
        assert one({"prompt": "a", "response": "b"}).check is None

    def test_row_without_a_response_has_none(self) -> None:
        row = one({"prompt": "a", "response": ""}, check={"kind": "exact"}, response_required=False)
        assert row.check is None


def test_ids_are_stable_and_distinct() -> None:
    row = {"prompt": "a", "response": "b"}
    assert one(row).id == one(row).id == "e1d889c002b7309b"
    settings = Source(name="other", uri="x")
    record = normalise(Record(8, row), SHAPES["prompt_response"], settings, "test/file.jsonl", 1000)[0]
    assert record.id != one(row).id
    assert one({**row, "response": "c"}).id != one(row).id


def test_system_and_history_count_as_size() -> None:
    long = chat(("system", "x" * 990), ("user", "12345"), ("assistant", "67890"))
    assert one(long).system and refused(chat(("system", "x" * 991), *[("user", "12345"), ("assistant", "67890")]))
