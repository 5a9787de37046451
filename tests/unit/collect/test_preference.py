"""Preferences in the forms in which they are published become one row with both responses."""

import json
from typing import Any

import pytest

from components.collect.files.records import Rejection
from components.collect.shapes.registry import shape_of
from components.shared.rows import Message
from tests.unit.collect.test_meaning import one, read, refused

Row = dict[str, Any]


def talk(*said: str) -> list[Row]:
    return [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(said)]


def spoken(speaker: str, said: str) -> Row:
    return {"from": speaker, "value": said}


YES, NO = [{"role": "assistant", "content": "Yes"}], [{"role": "assistant", "content": "No"}]
FORMS: dict[str, Row] = {
    "trl, explicit prompt": {"prompt": "Ask", "chosen": "Yes", "rejected": "No"},
    "trl, explicit prompt of messages": {"prompt": talk("Ask"), "chosen": YES, "rejected": NO},
    "trl, implicit prompt": {"chosen": talk("Ask", "Yes"), "rejected": talk("Ask", "No")},
    "trl, implicit prompt of texts": {"chosen": "Ask\nYes", "rejected": "Ask\nNo"},
    "ultrafeedback": {
        "prompt": "Ask", "messages": talk("Ask", "Yes"), "chosen": talk("Ask", "Yes"), "rejected": talk("Ask", "No"),
    },
    "hh-rlhf": {"chosen": "\n\nHuman: Ask\n\nAssistant: Yes", "rejected": "\n\nHuman: Ask\n\nAssistant: No"},
    "hh-rlhf with a prompt": {"prompt": "\n\nHuman: Ask\n\nAssistant:", "chosen": " Yes", "rejected": " No"},
    "orca": {"question": "Ask", "chosen": "Yes", "rejected": "No"},
    "llama-factory, alpaca": {"instruction": "Ask", "input": "", "chosen": "Yes", "rejected": "No"},
    "llama-factory, sharegpt": {
        "conversations": [spoken("human", "Ask")], "chosen": spoken("gpt", "Yes"), "rejected": spoken("gpt", "No"),
    },
    "json text": {"prompt": "Ask", "chosen": json.dumps(YES), "rejected": json.dumps(NO)},
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_forms(form: str) -> None:
    found = shape_of(FORMS[form])
    assert found is not None and found.name == "preference"
    row, ignored = read(FORMS[form])
    assert (row.instruction, row.response.strip(), row.rejected.strip()) == ("Ask", "Yes", "No")
    assert (row.history, row.desirable) == ((), True) and not ignored


def test_earlier_turns_and_the_system_prompt_are_kept() -> None:
    row = one({"system": "S", "chosen": talk("1", "2", "3", "Yes"), "rejected": talk("1", "2", "3", "No")})
    assert (row.system, row.instruction) == ("S", "3")
    assert row.history == (Message(role="user", content="1"), Message(role="assistant", content="2"))
    beside = one({"instruction": "3", "history": [["1", "2"]], "chosen": "Yes", "rejected": "No", "input": "more"})
    assert beside.history == row.history and beside.instruction == "3\nmore"


def test_an_implicit_prompt_of_texts_ends_with_a_word() -> None:
    row = one({"chosen": "The sky is blue.", "rejected": "The sky is black."})
    assert (row.instruction, row.response, row.rejected) == ("The sky is", "blue.", "black.")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"prompt": "Ask", "chosen": "Yes", "rejected": "Yes "}, Rejection.equal_responses),
        ({"prompt": "Ask", "chosen": "Yes", "rejected": " "}, Rejection.empty_response),
        ({"chosen": "Yes", "rejected": "No"}, Rejection.missing_field),
        ({"chosen": YES, "rejected": NO}, Rejection.missing_field),
        ({"prompt": "Ask", "chosen": YES, "rejected": "No"}, Rejection.wrong_type),
        ({"prompt": "Ask", "chosen": [], "rejected": NO}, Rejection.wrong_type),
        ({"chosen": talk("Ask", "Yes"), "rejected": talk("Other", "No")}, Rejection.wrong_turns),
        ({"chosen": talk("Ask", "Yes"), "rejected": talk("Ask")}, Rejection.wrong_turns),
        ({"prompt": "Ask", "chosen": YES, "rejected": [{**NO[0], "weight": 0}]}, Rejection.not_learnt),
    ],
)
def test_what_is_no_preference_is_rejected(fields: Row, reason: Rejection) -> None:
    assert refused(fields).reason == reason


def test_a_prompt_that_the_conversations_contradict_is_counted_as_unread() -> None:
    row, ignored = read({"prompt": "Else", "chosen": talk("Ask", "Yes"), "rejected": talk("Ask", "No")})
    assert row.instruction == "Ask" and ignored == {"prompt": 1}


def test_both_responses_count_for_the_length() -> None:
    assert refused({"prompt": "Ask", "chosen": "Yes", "rejected": "n" * 1000}).reason == Rejection.oversize


def test_rows_with_other_rejected_responses_have_other_ids() -> None:
    ids = {one({"prompt": "Ask", "chosen": "Yes", "rejected": text}).id for text in ("No", "Never")}
    assert len(ids) == 2
