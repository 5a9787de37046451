"""A verdict in words says of every response what is learnt from it, and by which rule."""

from typing import Any

from components.select.choose import choose
from components.select.explain import Explained, explain
from components.shared.rows import Answered, Verdict
from tests.unit.select.test_choose import evidence, row, settings


def explained(given: Answered, found: Any, **changed: Any) -> list[Explained]:
    """What is said of the responses of a row on which select decided."""
    choice = choose(given, found, settings(**changed))
    verdict = Verdict(
        id="1", source="s", line=1, origins=tuple(one.origin for one in given.responses),
        scores=choice.scores, best=choice.best, worst=choice.worst, flags=choice.flags, no_pair=choice.no_pair,
    )  # fmt: skip
    return explain(given, verdict, settings(**changed))


def test_best_and_worst_with_what_is_learnt_from_them() -> None:
    original, teacher, student = explained(row(), evidence())
    assert (teacher.role, teacher.learnt) == ("best", ("SFT", "KTO, desirable", "pair, chosen"))
    assert (student.role, student.learnt) == ("worst", ("KTO, undesirable", "pair, rejected"))
    assert "its answer is wrong" in student.why
    assert original.learnt == () and original.why.endswith("not the worst: its text is that of the best")


def test_a_response_that_is_not_chosen_has_the_rule_that_it_breaks() -> None:
    truncated = explained(row(finish=("stop", "length", "stop")), evidence())
    assert truncated[0].role == "best" and "token limit" in truncated[1].why
    unsafe = explained(row(("4", "no", "5")), evidence(safe=(0.1, 1.0, 1.0), checks=(1.0, 1.0, 1.0)))
    assert "below safe_from 0.5" in unsafe[0].why
    nothing = explained(row(), evidence(checks=(None,) * 3, means=(-9.0,) * 3))
    assert {one.why for one in nothing} == {"its total is below minimum_total 0.3"}
    assert not any(one.learnt or one.role for one in nothing)


def test_without_a_contrast_the_best_is_for_sft_alone() -> None:
    found = explained(row(("4", "4", "4")), evidence(checks=(1.0,) * 3, groups=(0,) * 3))
    assert [one.learnt for one in found] == [(), ("SFT",), ()]


def test_several_responses_of_one_origin() -> None:
    given = row()
    samples = tuple(response.model_copy(update={"origin": "teacher"}) for response in given.responses)
    found = explained(given.model_copy(update={"responses": samples}), evidence())
    assert [one.role for one in found] == ["", "best", "worst"]


def test_a_labelled_response_alone() -> None:
    given = row(("bad", "", "")).model_copy(update={"desirable": False, "check": None})
    found = explained(given, evidence(checks=(None,) * 3))
    assert found[0].learnt == ("KTO, undesirable",) and found[0].why == "the label that it came with"


def test_a_pair_that_the_row_came_with() -> None:
    given = row(("good", "bad", "")).model_copy(update={"desirable": True, "rejected": "bad", "check": None})
    found = explained(given, evidence(checks=(None,) * 3, means=(-9.0, -8.0, None)))
    assert [one.learnt for one in found] == [
        ("KTO, desirable", "pair, chosen"),
        ("KTO, undesirable", "pair, rejected"),
        (),
    ]
    assert {one.role for one in found} == {""}
