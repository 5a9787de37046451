"""Mathematical answers: identical and equal ones pass, and everything that is stated counts."""

import threading
from collections.abc import Iterator

import pytest

from components.rewards.checks import math_check
from components.rewards.checks.math_check import MathChecker
from components.shared.rows import Check
from tests.deadlines import joined


@pytest.fixture(scope="module")
def maths() -> Iterator[MathChecker]:
    checker = MathChecker()
    yield checker
    checker.close()


IDENTICAL = [
    *("(0, 1)", "[0, 1)", r"\left(\frac{1}{2}, 3\right)", "x^2", "x^2+1", "2x + 3y = 6", "1/2 cup"),
    *("3.5 km/h", "no solution", "True", "False", "yes", "No", "June 5", "Monday", "isosceles triangle"),
    *("even", "red and blue", "A", "9:30", "3:4", "1331, 1728", "x=1 or x=2", r"\emptyset", r"\{1, 2, 3\}"),
    *(r"(-\infty, 1) \cup (2, \infty)", "$18", r"\$18", "20%", "-7", "sin(x)", r"\sqrt{2}", r"\pi"),
    *("f(x) = x^2", r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}", "25 °C", "5:1", "2^{10}", "x > 3"),
    *(r"x \le 2", "1 1/2", "4!", r"\binom{5}{2}", "ABC", "25 apples", "seven", "无解", "三角形"),
    *("x_1 = 2, x_2 = 3", "0.1010", "100,000", "1:2:3", "9:30 AM", "12 o'clock", r"y = \frac{1}{2}x + 1"),
    *("i", "3 + 4i", "Paris", "a rhombus", "3 feet 2 inches"),
]  # fmt: skip


@pytest.mark.parametrize("answer", IDENTICAL)
def test_identical_answers_pass(maths: MathChecker, answer: str) -> None:
    check = Check(kind="math", answer=answer)
    assert maths.passes(check, answer)
    assert maths.passes(check, f"The answer is {answer}.")
    assert maths.passes(check, rf"We work it out. So it is \boxed{{{answer}}}.")


RIGHT = [
    # the last statement counts
    ("841", r"So \boxed{840}. But wait, that is wrong." "\n\n" r"Final: \boxed{841}"),
    ("840", "So \\boxed{840}. Once more, slowly.\n\n**Final Answer**\n\\boxed{840}"),
    ("73", "... all four own **73**.\n\n---\n\nFinal Answer: **73**"),
    ("72", "48/2 = <<48/2=24>>24\n48+24 = <<48+24=72>>72 clips altogether.\n#### 72"),
    ("12", "### Final Answer\n\n12"),
    ("12", "The final answer is: $12$. I hope it is correct."),
    ("12", r"The answer is \(12\)"),
    ("12", "Answer: $$12$$"),
    ("7", "<think>It is \\boxed{8}.</think>The answer is 7."),
    # all values count
    ("1331, 1728", r"\boxed{1728, 1331}"),
    ("1331 and 1728", "The cubes are 1331 and 1728."),
    ("1331 and 1728", r"One is \boxed{1331}, the other is \boxed{1728}."),
    ("x=1 or x=2", r"\boxed{x = 2} or \boxed{x = 1}"),
    ("x=1 or x=2", r"\boxed{1, 2}"),
    ("1, 2", r"The solutions are $x = 1$ and $x = 2$."),
    ("1, 2", "x = 1 or x = 2"),
    ("2, -2", r"\boxed{\pm 2}"),
    (r"x = \pm 3", r"\boxed{3, -3}"),
    (r"\{1,2,3\}", r"\boxed{\{3, 2, 1\}}"),
    (r"\{1,2\}", r"\boxed{1, 2}"),
    ("3, 4, 5", "The sides are 3, 4 and 5."),
    # brackets
    ("(1,2)", r"\boxed{\left( 1, 2 \right)}"),
    ("(1/2, 3)", r"\boxed{\left(\frac12, 3\right)}"),
    ("[0, 1)", r"\boxed{[0,1)}"),
    (r"(-\infty,1)\cup(2,\infty)", r"\boxed{(2,\infty)\cup(-\infty,1)}"),
    (r"x \in (0, 1)", r"\boxed{(0,1)}"),
    # units
    ("35", r"\boxed{35\text{ cm}}"),
    ("35 cm", r"\boxed{35}"),
    ("35 cm", r"\boxed{35\,\mathrm{cm}}"),
    ("35 cm", "It is 35 centimeters long."),
    ("2 m", r"\boxed{200\text{ cm}}"),
    ("12 square meters", r"\boxed{12\text{ m}^2}"),
    ("5 hours", r"\boxed{5 \text{ h}}"),
    ("25 apples", "The answer is 25."),
    ("18", "She makes $18 every day."),
    ("18", r"She makes \$18."),
    ("18", r"\boxed{\$18}"),
    ("$18", "18 dollars"),
    ("$18.00", "The answer is $18."),
    ("0.5", r"\boxed{\$0.50}"),
    ("60", "The answer is 60 miles per hour."),
    ("90", r"\boxed{90^\circ}"),
    ("90°", r"\boxed{90}"),
    ("30", "30 degrees"),
    ("50", "一共５０元。"),
    ("5", "答案是5。"),
    ("5", "答案：$5$"),
    # per cent
    ("20%", "The answer is 20%."),
    ("20%", r"\boxed{0.2}"),
    ("20%", r"\boxed{20}"),
    ("20%", "20 percent"),
    ("0.2", r"\boxed{20\%}"),
    ("20", r"\boxed{20\%}"),
    ("1/5", r"\boxed{20\%}"),
    # how numbers are written
    ("1000", "The total is 1,000."),
    ("1000", r"\boxed{1{,}000}"),
    ("1000", r"\boxed{1\,000}"),
    ("1000", "The answer is 1 000."),
    ("1234567", r"\boxed{1,234,567}"),
    ("1,000", "1000"),
    ("-5", "The answer is −5."),
    ("1/2", "二分之一，即1/2。"),
    ("0.5", r"So it is $\frac{1}{2}$."),
    (r"\frac{1}{2}", "The answer is 0.5"),
    ("3/4", r"\boxed{\frac34}"),
    ("3/4", r"\boxed{\dfrac{3}{4}}"),
    ("3/4", "The answer is 6/8"),
    ("0.75", r"\frac{3}{4}"),
    ("-1/2", r"\boxed{-\frac{1}{2}}"),
    ("-1/2", r"\boxed{\frac{-1}{2}}"),
    ("1 1/2", r"\boxed{1\frac{1}{2}}"),
    ("1 1/2", r"\boxed{\frac{3}{2}}"),
    ("1.5", "The answer is 1 1/2."),
    ("2 3/4", "It is 2¾."),
    ("3/2", "1½"),
    ("1000000", r"\boxed{10^6}"),
    ("1024", r"\boxed{2^{10}}"),
    (r"3.0\times10^8", r"\boxed{300000000}"),
    # algebra
    (r"2\sqrt{3}", r"\boxed{\sqrt{12}}"),
    (r"2\sqrt{3}", "2√3"),
    (r"2\sqrt{3}", "2*sqrt(3)"),
    (r"2\pi", "The answer is 2π."),
    (r"5\sqrt{2}\text{ cm}", r"\boxed{5\sqrt{2}}"),
    ("x^2", "x²"),
    ("x^2 - 1", r"\boxed{(x-1)(x+1)}"),
    ("y=2x+1", r"\boxed{2x+1}"),
    ("2x+1", r"\boxed{y = 2x + 1}"),
    ("f(x) = x^2", r"\boxed{x^2}"),
    ("x=5", r"\boxed{5}"),
    ("5", "x = 5"),
    ("2", r"\[ x = 2 \]"),
    ("2", "$$2$$"),
    ("4", "2 + 2 = 4"),
    ("4", "So $2 + 2 = 4$."),
    ("x > 3", r"\boxed{(3, \infty)}"),
    (r"\log 2", r"\boxed{\log(2)}"),
    # words
    ("no solution", "The equation has no solution."),
    ("no solution", r"\boxed{\text{No solution}}"),
    ("no solution", r"\boxed{\emptyset}"),
    ("yes", r"Yes, it is. \boxed{\text{yes}}"),
    ("Yes", "Yes."),
    ("True", "The statement is true."),
    ("June 5", "It falls on June 5."),
    ("June 5", r"\boxed{\text{June 5th}}"),
    ("June 5", "The answer is 5 June."),
    ("A", "The answer is A."),
    ("B", "Option A is too small, so the answer is (B)."),
    ("isosceles", r"\boxed{\text{Isosceles}}"),
    # times and ratios
    ("9:30", "It leaves at 9:30."),
    ("9:30", "The answer is 9:30 a.m."),
    ("9:30 PM", "The answer is 21:30."),
    ("9:30", r"\boxed{9{:}30}"),
    ("3:4", "The ratio is 3:4."),
    ("3:4", "The answer is 3 to 4."),
    ("3:4", r"\boxed{6:8}"),
    ("3:4", r"\boxed{\frac{3}{4}}"),
    ("12", "a dozen, i.e. 12 eggs"),
]  # fmt: skip

WRONG = [
    ("840", r"So \boxed{840}. But wait, that is wrong." "\n\n" r"Final: \boxed{841}"),
    ("72", "The answer is 71."),
    ("72", "I do not know."),
    ("72", ""),
    ("5", "Let me think about it."),
    ("5", "Three plus four is 7, and 5 is the number of pears, thus 7."),
    # some of the values, or more
    ("1331, 1728", r"\boxed{1728}"),
    ("1331 and 1728", "The cubes are 1728."),
    ("1331, 1728", r"\boxed{1331, 1728, 2197}"),
    ("x=1 or x=2", r"\boxed{x=1}"),
    ("10", "x = 10 or x = 20"),
    ("10", r"\boxed{10} or \boxed{20}"),
    ("20", r"\boxed{10}, \boxed{20}"),
    ("2", r"\boxed{\pm 2}"),
    (r"\pm 2", r"\boxed{2}"),
    (r"(-\infty,1)\cup(2,\infty)", r"\boxed{(-\infty,1)}"),
    # brackets and order
    ("(1,2)", r"\boxed{[1,2]}"),
    ("(1,2)", r"\boxed{(2,1)}"),
    ("(1,2)", r"\boxed{(1,3)}"),
    (r"[0,\infty)", r"\boxed{(0,\infty)}"),
    ("(0, 1)", r"\boxed{0}"),
    # units
    ("35 cm", r"\boxed{35\text{ m}}"),
    ("2 m", r"\boxed{2\text{ cm}}"),
    ("5 hours", "The answer is 5 minutes."),
    ("35 cm", r"\boxed{35\text{ cm}^2}"),
    # per cent
    ("20", r"\boxed{0.2}"),
    ("20%", r"\boxed{2\%}"),
    ("0.2", r"\boxed{20}"),
    ("0.2", r"\boxed{0.2\%}"),
    # numbers
    ("1000", r"\boxed{1.000}"),
    ("1000", r"\boxed{100}"),
    ("1 1/2", r"\boxed{\frac{11}{2}}"),
    ("1 1/2", r"\boxed{1}"),
    ("3/4", r"\boxed{\frac43}"),
    ("2^{10}", r"\boxed{2^{11}}"),
    # algebra
    ("x^2", "x^3"),
    ("x^2", r"\boxed{2}"),
    (r"2\pi", "2"),
    ("2x+1", r"\boxed{2x-1}"),
    ("x=5", r"\boxed{y=5}"),
    ("x > 3", r"\boxed{x \ge 3}"),
    (r"\sqrt{2}", r"\boxed{2}"),
    # words
    ("no solution", r"\boxed{0}"),
    ("no solution", "The solution is 5."),
    ("True", "The statement is false."),
    ("True", "The statement is not true."),
    ("yes", "No."),
    ("June 5", "It falls on June 6."),
    ("June 5", "It falls on July 5."),
    ("June 5", r"\boxed{5}"),
    ("A", "The answer is B."),
    ("isosceles", r"\boxed{\text{equilateral}}"),
    # times and ratios
    ("9:30", "It leaves at 9:45."),
    ("9:30", "It leaves at 9."),
    ("9:30 AM", "The answer is 9:30 PM."),
    ("9:30", "It leaves at 3:10."),
    ("3:4", "The ratio is 4:3."),
    ("3:4", r"\boxed{3}"),
    # truncated, or in a thought
    ("7", r"<think>Perhaps it is 7. No, it is \boxed{7}? no.</think> The answer is 8."),
    ("7", r"<think>Perhaps it is \boxed{7}, let me see that"),
    ("7", r"<think>It is \boxed{7}.</think>"),
    ("2", r"\boxed{}"),
    ("2", r"\boxed{2"),
    ("2", r"It is \boxed{2}. Or rather \boxed{3"),
    ("1", r"\boxed{2^{2^{2^{2^{2^{2}}}}}}"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "text"), RIGHT)
def test_right(maths: MathChecker, answer: str, text: str) -> None:
    assert maths.passes(Check(kind="math", answer=answer), text)


@pytest.mark.parametrize(("answer", "text"), WRONG)
def test_wrong(maths: MathChecker, answer: str, text: str) -> None:
    assert not maths.passes(Check(kind="math", answer=answer), text)


def test_two_responses_by_value(maths: MathChecker) -> None:
    assert maths.same("It is 1/2.", "Thus 0.5") and not maths.same("It is 1/2.", "Thus 0.6")
    assert maths.same(r"\boxed{1, 2}", "x = 2 or x = 1") and not maths.same(r"\boxed{1}", r"\boxed{1, 2}")
    assert not maths.same("no idea", "nor I")


def test_plain_numbers_need_no_algebra() -> None:
    untouched = MathChecker()
    assert untouched.passes(Check(kind="math", answer="7"), "7.0")
    assert untouched.passes(Check(kind="math", answer="1/2 cup"), r"\boxed{0.5}")
    assert not untouched._idle


def test_a_comparison_that_hangs_counts_as_wrong_and_the_next_one_works(
    maths: MathChecker, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = Check(kind="math", answer=r"2\sqrt{3}")
    assert maths.passes(check, r"\sqrt{12}")  # started; from here on only the comparison is timed
    with monkeypatch.context() as patch:
        patch.setattr(math_check, "TIMEOUT_SECONDS", 0.5)
        assert not maths.passes(check, r"\boxed{9^{9^{9^{9}}}}")
    assert maths.passes(check, r"\sqrt{12}")


def test_maths_from_a_thread() -> None:
    checker, found = MathChecker(), []
    check = Check(kind="math", answer=r"\sqrt{12}")
    thread = threading.Thread(target=lambda: found.append(checker.passes(check, r"is $2\sqrt{3}$")))
    thread.start()
    joined(thread)
    checker.close()
    assert found == [True]


def test_a_comparison_that_times_out_is_no_verdict(maths: MathChecker, monkeypatch: pytest.MonkeyPatch) -> None:
    check = Check(kind="math", answer="x^2 + 2x + 1")
    assert maths.verdict(check, r"\boxed{(x+1)^2}") is True and maths.verdict(check, r"\boxed{x^2}") is False
    monkeypatch.setattr(math_check, "TIMEOUT_SECONDS", 0.0)
    assert maths.verdict(check, r"\boxed{(x+1)^2}") is None
    assert maths.passes(check, r"\boxed{(x+1)^2}") is False
    assert maths.verdict(check, r"\boxed{x^2 + 2x + 1}") is True, "equal texts need no comparison"
