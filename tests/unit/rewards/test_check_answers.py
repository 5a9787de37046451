"""Every response of a row with a check is checked."""

from components.rewards.checks.check_answers import CheckMeasure
from components.rewards.checks.choice_check import ChoiceChecker
from components.rewards.checks.exact_check import ExactChecker
from components.shared.rows import Answered, Check, Response
from components.shared.sandbox.run_python import SandboxLimits


def test_choices_without_a_letter_are_wrong_and_differ() -> None:
    assert not ChoiceChecker().passes(Check(kind="choice", answer=""), "no idea")
    assert not ChoiceChecker().same("no idea", "nor I")


def test_the_question_says_which_choices_there_are() -> None:
    checker, check = ChoiceChecker(), Check(kind="choice", answer="B")
    question = "Which?\nA. red\nB. green\nC. blue"
    assert checker.passes(check, "green", question) and not checker.passes(check, "green")
    assert checker.same("green", "(B)", question) and not checker.same("The answer is E.", "The answer is E.", question)
    assert ChoiceChecker().passes(Check(kind="choice", answer="E"), "The answer is E.", question), "a list read in part"


def test_exact_answers() -> None:
    checker = ExactChecker()
    assert checker.passes(Check(kind="exact", answer="Paris"), "<think>London? No.</think>Paris")
    assert not checker.passes(Check(kind="exact", answer="Paris"), "<think>Paris")
    assert checker.passes(Check(kind="exact", answer=" Paris"), "paris\n")
    assert not checker.passes(Check(kind="exact", answer="Paris"), "It is Paris")
    assert checker.same("CAT ", "CAT") and not checker.same("CAT", "cat")


def test_measured_with_groups() -> None:
    stub = "Complete it:\n\ndef f():\n    '''One.'''\n"

    def row(number: int, check: Check | None, *texts: str) -> Answered:
        responses = tuple(Response(origin="teacher", text=text) for text in texts)
        return Answered(
            id=str(number), source="s", line=number, instruction=stub, check=check,
            type="t", primary="p", secondary="s", responses=responses,
        )  # fmt: skip

    code = Check(kind="code", tests="assert f() == 1")
    measure = CheckMeasure(SandboxLimits(cpu_seconds=1), threads=2)
    found = measure.measure(
        [
            row(1, Check(kind="exact", answer="a"), "b", "A", "b ", ""),
            row(2, None, "x", "y"),
            row(4, Check(kind="choice", answer="B"), "It is not A, it is B.", "A", "<think>B", "b) green"),
            row(5, Check(kind="code", tests="def check(g):\n    assert g() == 1", entry_point="f"), "    return 1"),
            row(3, code, "def f(): return 1", "def f(): return 2", "while True: pass", "exit()"),
        ]
    )
    measure.close()
    assert found[0].values == (0.0, 1.0, 0.0, None) and found[0].groups == (0, 1, 0, 3)
    assert found[1].values == (None, None) and found[1].groups == ()
    assert found[2].values == (1.0, 0.0, 0.0, 1.0) and found[2].groups == (0, 1, 2, 0)
    assert found[3].values == (1.0,), "the question begins the function"
    assert found[4].values == (1.0, 0.0, 0.0, 0.0)
