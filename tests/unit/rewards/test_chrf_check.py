"""chrF grades free text by its likeness to a reference."""

import pytest

from components.rewards.checks.check_answers import CheckMeasure
from components.rewards.checks.chrf_check import ChrfChecker
from components.shared.rows import Answered, Check, Response
from components.shared.sandbox.run_python import SandboxLimits

REFERENCE = Check(kind="chrf", answer="the cat sat\non the mat")


def test_the_reference_has_1_and_nothing_in_common_0() -> None:
    checker = ChrfChecker()
    assert checker.score(REFERENCE, "the cat sat on the mat\n") == 1.0, "white space does not count"
    assert checker.score(REFERENCE, "<think>a dog?</think>the cat sat\non the mat") == 1.0
    assert checker.score(REFERENCE, "") == checker.score(REFERENCE, "XYZ") == 0.0
    assert 0.5 < checker.score(REFERENCE, "the cat sat on a mat") < 1.0
    assert 0.0 < checker.score(REFERENCE, "THE CAT sat") < checker.score(REFERENCE, "the cat sat")


def test_it_is_the_f_score_of_character_n_grams() -> None:
    # abcd and abce: 3 of 4, 2 of 3, 1 of 2 and 0 of 1 n-grams are common; texts this short have no longer ones.
    expected = (3 / 4 + 2 / 3 + 1 / 2 + 0) / 4
    assert ChrfChecker().score(Check(kind="chrf", answer="abcd"), "abce") == pytest.approx(expected, abs=1e-6)
    # Recall counts twice as much as precision: of ab and abcd, precision is 1 and recall (2/4 + 1/3) / 2.
    recall = (2 / 4 + 1 / 3) / 2
    expected = 5 * recall / (4 + recall)
    assert ChrfChecker().score(Check(kind="chrf", answer="abcd"), "ab") == pytest.approx(expected, abs=1e-6)


def test_only_equal_texts_pass_and_are_the_same() -> None:
    checker = ChrfChecker()
    assert checker.passes(REFERENCE, "the cat sat on the mat") and not checker.passes(REFERENCE, "the cat sat")
    assert checker.same("a  b", "a\nb") and not checker.same("a b", "a c") and not checker.same("", "")


def test_responses_of_rows_are_graded() -> None:
    responses = tuple(Response(origin="student", text=text) for text in (REFERENCE.answer, "the mat", ""))
    row = Answered(
        id="1", source="s", line=1, instruction="Go on:", check=REFERENCE,
        type="t", primary="p", secondary="s", responses=responses,
    )  # fmt: skip
    measure = CheckMeasure(SandboxLimits(), threads=1)
    (found,) = measure.measure([row])
    measure.close()
    first, second, third = found.values
    assert first == 1.0 and second is not None and 0 < second < 1 and third is None
    assert found.groups == (0, 1, 2)
