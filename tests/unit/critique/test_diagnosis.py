"""How a diagnosis is read, and when it is believed."""

import pytest

from components.critique.diagnosis import Diagnosis, objection, read_diagnosis

ATTEMPT = "1. Take 2.\n2. Add 3.\n3. That is 6.\nThe answer is 6."


@pytest.mark.parametrize(
    ("reply", "step", "why"),
    [
        ("It is 5.\n\nFirst wrong step: 3", 3, "It is 5."),
        ("It is 5.\n**First wrong step:** 3.", 3, "It is 5."),
        ("It is 5.\n**First wrong step: step 3**", 3, "It is 5."),
        ("It is 5.\n### first wrong step : 3\nGood luck!", 3, "It is 5."),
        ("All is right.\nFirst wrong step: None.", None, "All is right."),
        ("I first thought of: First wrong step: 1\nNo, 3 is.\nFirst wrong step: 3", 3, None),
    ],
)
def test_the_last_verdict_counts_and_what_is_before_it_is_the_reason(
    reply: str, step: int | None, why: str | None
) -> None:
    found = read_diagnosis(reply, ATTEMPT)
    assert found is not None and found.step == step
    assert why is None or found.why == why


@pytest.mark.parametrize(
    "reply",
    [
        "I cannot help with that.",
        "First wrong step: 3",
        "It is 5.\nFirst wrong step: 4",
        "It is 5.\nFirst wrong step: 0",
        "It is 5.\nFirst wrong step: nonesuch",
        "It is 5.\nFirst wrong step:",
        "",
    ],
)
def test_without_a_verdict_a_reason_or_such_a_step_it_cannot_be_read(reply: str) -> None:
    assert read_diagnosis(reply, ATTEMPT) is None


@pytest.mark.parametrize("step", [3, None])
def test_what_is_learnt_is_read_as_the_same_diagnosis(step: int | None) -> None:
    diagnosis = Diagnosis(step, "3 and 2 are 5.")
    assert read_diagnosis(diagnosis.text, ATTEMPT) == diagnosis


@pytest.mark.parametrize(
    ("step", "passed", "why", "has_reference", "said"),
    [
        (3, False, "It is 5.", True, ""),
        (None, True, "It is 5.", True, ""),
        (None, False, "It is 6.", True, "disagrees"),
        (3, True, "It is 6.", True, "disagrees"),
        (3, False, "The Reference\nsolution has 5.", True, "mentions_reference"),
        (3, False, "The reference solution has 5.", False, ""),
        (3, False, "Without reference to step 2.", True, ""),
    ],
)
def test_the_check_decides_and_nothing_that_the_student_lacks_is_mentioned(
    step: int | None, passed: bool, why: str, has_reference: bool, said: str
) -> None:
    assert objection(Diagnosis(step, why), passed=passed, has_reference=has_reference) == said
