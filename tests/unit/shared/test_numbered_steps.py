"""The numbered steps of a text, and its beginning."""

import pytest

from components.shared.text.numbered_steps import as_steps, before_step, first_steps, from_step, step_starts

THREE = "1. Take 2.\n2. Add 3.\n3. That is 5.\nThe answer is 5."


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        (THREE, 3),
        ("Step 1: take 2.\nStep 2: add 3.", 2),
        ("**1)** Take 2.\n**2)** Add 3.", 2),
        ("### Step 1. Take 2\n\nwords\n\n### Step 2. Add 3", 2),
        ("1．取2。\n1、取2。\n2、加3。", 2),
        ("It is 5.", 0),
        ("2. Add 3.\n3. So 5.", 0),
        ("1. Add 3.\n1. Again.\n2.5 is not a step of its own.\n3. Nor this.", 1),
    ],
)
def test_steps_are_lines_numbered_from_one_in_order(text: str, steps: int) -> None:
    assert len(step_starts(text)) == steps


def test_the_beginning_has_whole_steps_at_least_one_and_never_the_last() -> None:
    assert first_steps(THREE, 0.5) == "1. Take 2.\n"
    assert first_steps(THREE, 0.7) == first_steps(THREE, 0.99) == "1. Take 2.\n2. Add 3.\n"
    assert first_steps(THREE, 0.01) == "1. Take 2.\n"
    assert first_steps("Look:\n1. So 5.", 0.5) == first_steps("It is 5.", 0.5) == ""


def test_a_text_without_steps_has_one_in_each_line() -> None:
    assert as_steps(THREE) == THREE
    assert as_steps("Add 3.\n\n  2. So 5.\n") == "1. Add 3.\n2. 2. So 5."
    assert len(step_starts(as_steps("a\nb\n\nc"))) == 3


def test_a_text_is_parted_before_a_step_and_put_together_again() -> None:
    assert before_step(THREE, 3) == "1. Take 2.\n2. Add 3.\n" and before_step(f"Look:\n{THREE}", 1) == "Look:\n"
    assert before_step(THREE, 3) + str(from_step("Sure:\n3. That is 5.\nThe answer is 5.", 3)) == THREE
    assert from_step(THREE, 2) is None and from_step("It is 5.", 1) is None
