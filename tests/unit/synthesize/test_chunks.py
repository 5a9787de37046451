"""Fixed slices, unique keys, and the prompts that are asked."""

from components.shared.rows import Labelled, Message
from components.synthesize.chunks import keys_of, requests_of, sample_keys, slices


def row(number: int, **changes: object) -> Labelled:
    plain = {"id": f"r{number}", "source": "s", "line": 1, "instruction": "do it"}
    return Labelled.model_validate({**plain, "type": "t", "primary": "p", "secondary": "q", **changes})


def test_slices_cover_all_rows_in_order() -> None:
    found = list(slices((row(n) for n in range(7)), 3))
    assert [(index, [each.id for each in rows]) for index, rows in found] == [
        (0, ["r0", "r1", "r2"]),
        (1, ["r3", "r4", "r5"]),
        (2, ["r6"]),
    ]
    assert list(slices([], 3)) == []


def test_repeated_ids_get_keys_of_their_own() -> None:
    assert keys_of([row(1), row(2), row(1), row(1)]) == ["r1", "r2", "r1#2", "r1#3"]


def test_the_system_prompt_is_used_only_where_a_row_has_none() -> None:
    history = (Message(role="user", content="hi"), Message(role="assistant", content="hello"))
    bare, own = requests_of([row(1, history=history), row(2, system="Be kind.")], "Be brief.")
    assert [(message.role, message.content) for message in bare.messages] == [
        ("system", "Be brief."),
        ("user", "hi"),
        ("assistant", "hello"),
        ("user", "do it"),
    ]
    assert own.messages[0].content == "Be kind."
    assert requests_of([row(1)], "")[0].messages == (Message(role="user", content="do it"),)


def test_samples_of_a_row_are_requests_of_their_own_and_the_first_keeps_the_key() -> None:
    rows = [row(1), row(2), row(1)]
    requests = requests_of(rows, "", samples=3)
    assert [request.key for request in requests] == [key for each in keys_of(rows) for key in sample_keys(each, 3)]
    assert len({request.key for request in requests}) == 9
    assert [request.key for request in requests[::3]] == [request.key for request in requests_of(rows, "")]
    assert requests[0].messages == requests[2].messages
