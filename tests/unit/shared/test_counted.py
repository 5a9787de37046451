"""Counts in messages agree with their nouns."""

from components.shared.text.counted import counted


def test_one_is_singular_and_everything_else_plural() -> None:
    assert [counted(count, "question") for count in (0, 1, 2, 1319.0)] == [
        "0 questions",
        "1 question",
        "2 questions",
        "1,319 questions",
    ]
    assert counted(2, "process", "processes") == "2 processes" and counted(1, "process", "processes") == "1 process"
