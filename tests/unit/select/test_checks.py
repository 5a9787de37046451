"""Answers are checked by value, letter, text, or by running them."""

import threading
from collections.abc import Iterator

import pytest

from components.rewards.checks import math_check
from components.select.check_answers import CheckMeasure
from components.rewards.checks.choice_check import ChoiceChecker, read_letter
from components.rewards.checks.code_check import program_of, read_code
from components.rewards.checks.exact_check import ExactChecker
from components.rewards.checks.math_check import MathChecker, read_plain
from components.shared.rows import Answered, Check, Response
from components.shared.sandbox import Limits


@pytest.fixture(scope="module")
def maths() -> Iterator[MathChecker]:
    checker = MathChecker()
    yield checker
    checker.close()


@pytest.mark.parametrize(
    ("answer", "text", "right"),
    [
        ("72", "48/2 = <<48/2=24>>24\n48+24 = <<48+24=72>>72 clips altogether.\n#### 72", True),
        ("1000", "#### 1,000", True),
        ("1,000", "1000", True),
        ("0.5", "So it is $\\frac{1}{2}$.", True),
        ("\\frac{1}{2}", "The answer is 0.5", True),
        ("3/4", "\\boxed{0.75}", True),
        ("2\\pi", "$2\\pi$", True),
        ("2\\pi", "2", False),
        ("72", "答案是72。", True),
        ("72", "The answer is 71.", False),
        ("72", "I do not know.", False),
        ("72", "", False),
    ],
)
def test_maths_by_value(maths: MathChecker, answer: str, text: str, right: bool) -> None:
    assert maths.passes(Check(kind="math", answer=answer), text) is right


def test_two_responses_by_value(maths: MathChecker) -> None:
    assert maths.same("It is 1/2.", "Thus 0.5") and not maths.same("It is 1/2.", "Thus 0.6")
    assert not maths.same("no idea", "nor I")


def test_plain_numbers_need_no_algebra() -> None:
    assert read_plain(" -1,234.50 ") == read_plain("-1234.5") and read_plain("7") is not None
    assert read_plain("7 apples") is None and read_plain("1,23") is None
    untouched = MathChecker()
    assert untouched.passes(Check(kind="math", answer="7"), "7.0") and not untouched._workers


def test_a_comparison_that_hangs_counts_as_wrong_and_the_next_one_works(
    maths: MathChecker, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = Check(kind="math", answer="1")
    assert maths.passes(check, "it is 1")  # started; from here on only the comparison is timed
    with monkeypatch.context() as patch:
        patch.setattr(math_check, "TIMEOUT_SECONDS", 0.5)
        assert not maths.passes(check, "$" + "9^{" * 6 + "9" + "}" * 6 + "$")
    assert maths.passes(check, "it is 1")


def test_maths_from_a_thread() -> None:
    checker, found = MathChecker(), []
    thread = threading.Thread(target=lambda: found.append(checker.passes(Check(kind="math", answer="7"), "is 7")))
    thread.start()
    thread.join()
    checker.close()
    assert found == [True]


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("(c)", "C"),
        ("b. Paris", "B"),
        ("The answer is (D), not A.", "D"),
        ("The correct answer is: **B**", "B"),
        ("答案：C", "C"),
        ("所以选B。", "B"),
        ("Both hold, hence C", "C"),
        ("A cat is an animal", ""),
        ("I think so", ""),
        ("", ""),
    ],
)
def test_the_letter_of_a_choice(text: str, letter: str) -> None:
    assert read_letter(text) == letter


def test_choices_without_a_letter_are_wrong_and_differ() -> None:
    assert not ChoiceChecker().passes(Check(kind="choice", answer=""), "no idea")
    assert not ChoiceChecker().same("no idea", "nor I")


def test_exact_answers() -> None:
    checker = ExactChecker()
    assert checker.passes(Check(kind="exact", answer=" Paris"), "paris\n")
    assert not checker.passes(Check(kind="exact", answer="Paris"), "It is Paris")
    assert checker.same("CAT ", "CAT") and not checker.same("CAT", "cat")


def test_code_in_a_response() -> None:
    check = Check(kind="code", tests="def check(f):\n    assert f() == 1", entry_point="one")
    text = "Try:\n```python\nimport math\ndef one():\n    return 1\n```\nor\n```\nx\n```"
    assert read_code(text).startswith("import math") and read_code("x = 1") == "x = 1"
    assert program_of(check, text).rstrip().endswith("check(one)")
    assert "check(" not in program_of(Check(kind="code", tests="assert one() == 1", entry_point="one"), text)


def test_measured_with_groups() -> None:
    def row(number: int, check: Check | None, *texts: str) -> Answered:
        responses = tuple(Response(origin="teacher", text=text) for text in texts)
        return Answered(
            id=str(number), source="s", line=number, instruction="?", check=check,
            type="t", primary="p", secondary="s", responses=responses,
        )  # fmt: skip

    code = Check(kind="code", tests="assert f() == 1")
    measure = CheckMeasure(Limits(cpu_seconds=1), threads=2)
    found = measure.measure(
        [
            row(1, Check(kind="exact", answer="a"), "b", "A", "b ", ""),
            row(2, None, "x", "y"),
            row(3, code, "def f(): return 1", "def f(): return 2", "while True: pass", "exit()"),
        ]
    )
    measure.close()
    assert found[0].values == (0.0, 1.0, 0.0, None) and found[0].groups == (0, 1, 0, 3)
    assert found[1].values == (None, None) and found[1].groups == ()
    assert found[2].values == (1.0, 0.0, 0.0, 0.0)
