"""The number that a worked solution ends with, by value."""

from fractions import Fraction

import pytest

from components.rewards.numbers.numerals import number_of_chinese, number_of_words, plain_numbers
from components.rewards.numbers.read_number import read_number, same_number

STATED = [
    ("She has 16 - 3 - 4 = 9 eggs. The answer is 18.", "18"),
    ("The answer is $1,234.50.", "1234.5"),
    ("The answer is 5. Then 6 more words follow, 7 even.", "5"),
    ("#### 42", "42"),
    ("####42", "42"),
    ("#### 6 * 7 = 42", "42"),
    ("#### $1,200", "1200"),
    ("The answer is: 18 dollars", "18"),
    ("answer = 0.5", "1/2"),
    ("The answer is **$42**.", "42"),
    ("**Answer: 42**", "42"),
    ("Answer:\n42", "42"),
    ("The answer is 6 * 7 = 42.", "42"),
    ("The answer is 6 × 7 = 42 apples.", "42"),
    ("The answer is 6 eggs * $7 = $42.", "42"),
    ("The answer is 40 + 2 = 42, as 2 were left.", "42"),
    ("The answer is 42, since 6 * 7 = 42 and 42 > 40.", "42"),
    ("The answer is 42, which is 50 - 8.", "42"),
    ("The answer is 42 because 84 / 2 gives that.", "42"),
    ("The answer is 6 * 7.", "42"),
    ("The final answer is 42 pages, so 8 are left.", "42"),
    ("So the answer is 3/4 of a pizza.", "3/4"),
    ("The answer is 1 1/2 hours.", "3/2"),
    ("The answer is 2½.", "5/2"),
    ("The answer is 30%.", "30"),
    ("The answer is not 20. It is 18.", "18"),
    ("The answer isn't 20 but 18.", "18"),
    ("The answers are 3 and 4, thus 7 together.", "7"),
    ("Her answer was 7. The answer is 8.", "8"),
    ("The answer is 12 o'clock", "12"),
    ("The answer is 3rd", "3"),
    ("The answer is about 7 miles (11 km).", "7"),
    ("The correct answer would be 42.", "42"),
    ("Answer is 42. Hope it helps! Ask me 5 more questions.", "42"),
]

BOXES = [
    (r"Thus \boxed{-3}", "-3"),
    (r"\boxed{\frac{1}{2}}", "1/2"),
    (r"\boxed{\dfrac{3}{4}}", "3/4"),
    (r"\boxed{\frac12}", "1/2"),
    (r"\boxed{-\frac{1}{2}}", "-1/2"),
    (r"\boxed{2\frac{1}{2}}", "5/2"),
    (r"\boxed{1{,}500}", "1500"),
    (r"\boxed{1\,500}", "1500"),
    (r"$\boxed{\$1,500}$", "1500"),
    (r"\boxed{42\text{ eggs}}", "42"),
    (r"\boxed{\text{42 eggs}}", "42"),
    (r"\boxed{x = 42}", "42"),
    (r"\boxed{6 \times 7 = 42}", "42"),
    (r"\boxed{6 \cdot 7}", "42"),
    (r"\boxed{\mathbf{42}}", "42"),
    (r"First \boxed{41}. No: \boxed{42}.", "42"),
    (r"The answer is \(\boxed{42}\).", "42"),
]

WRITTEN = [
    ("The answer is 1 500.", "1500"),
    ("The answer is 12 345 678.", "12345678"),
    ("The answer is 1\u00a0500 \u20ac.", "1500"),
    ("The answer is 1'500.", "1500"),
    ("The answer is １，５００。", "1500"),
    ("The answer is 1,23,456 rupees.", "123456"),
    ("The answer is −7", "-7"),
    ("She pays −7", "-7"),
    ("The answer is minus 7.", "-7"),
    ("The answer is -$7.", "-7"),
    ("The answer is $-7.", "-7"),
    ("The answer is .5", "1/2"),
    ("The answer is 2.5 million.", "2500000"),
    ("The answer is 3 thousand dollars.", "3000"),
    ("The answer is 1.5e3", "1500"),
    ("The answer is twelve.", "12"),
    ("The answer is forty-two.", "42"),
    ("The answer is one hundred and five.", "105"),
    ("The answer is two thousand three hundred.", "2300"),
    ("The answer is one.", "1"),
    ("He has seven (7) cows", "7"),
    ("The answer is zero.", "0"),
]

UNSTATED = [
    ("It costs 3 and then 70000", "70000"),
    ("It is 50-8", "42"),
    ("That makes 6*7", "42"),
    ("It takes 10-15 days, i.e. 15", "15"),
    ("He walks for 2 hours and makes 42 steps.", "42"),
    ("6 * 7 = 42", "42"),
    ("6 * 7 = 42.", "42"),
    ("Each has 42, one for each day", "42"),
    ("She sells it for $42.00!", "42"),
]

CHINESE = [
    ("答案是 12 个", "12"),
    ("答案：42元", "42"),
    ("答案为42。", "42"),
    ("答案不是20，而是18。", "18"),
    ("所以，一共42个。", "42"),
    ("因此他有6×7=42个苹果。", "42"),
    ("答案是四十二个。", "42"),
    ("一共是1.5万元", "15000"),
    ("答案是负7", "-7"),
]

RUNNING_ON = [
    ("The answer is 5.\n\nQ: Tom has 3 cats and finds 4. How many?\nA: The answer is 7.", "5"),
    ("The answer is 5.\n\nQuestion: Tom has 3 cats.\nAnswer: 3", "5"),
    ("The answer is 5.\nProblem 2: Tom has 3 cats. The answer is 3.", "5"),
    ("She has 5.\n\nQ: And Tom, with 3?", "5"),
    ("答案是5。\n\n问题：汤姆有3只猫。答案是3。", "5"),
    ("The answer is 5.\n\n**Question:** how many are 3 and 4? The answer is 7.", "5"),
]

THOUGHT = [
    ("<think>The answer is 7? No, 9.</think>The answer is 8.", "8"),
    ("<think>\\boxed{7}</think>\nIt is 8", "8"),
]


@pytest.mark.parametrize(("reply", "number"), [*STATED, *BOXES, *WRITTEN, *UNSTATED, *CHINESE, *RUNNING_ON, *THOUGHT])
def test_right_numbers(reply: str, number: str) -> None:
    assert read_number(reply) == Fraction(number)


@pytest.mark.parametrize(
    "reply", ["", "none", "I cannot say.", "The answer is 1/0", "<think>The answer is 7, or", "<think>so 7</think>"]
)
def test_no_number(reply: str) -> None:
    assert read_number(reply) is None


def test_numbers_are_equal_by_value_and_none_equals_none() -> None:
    assert same_number(read_number("18.0"), read_number("18"))
    assert not same_number(read_number("18.5"), read_number("18"))
    assert not same_number(read_number("none"), read_number("nothing"))


def test_thousands_separators_are_removed_and_lists_kept() -> None:
    assert plain_numbers("1,234,567 and 1{,}000 and 12 345") == "1234567 and 1000 and 12345"
    assert plain_numbers("1, 234 and 1331,1728 and 0.123 456") == "1, 234 and 1331,1728 and 0.123 456"
    assert plain_numbers("x² + ½") == "x^{2} + 1/2"


@pytest.mark.parametrize(
    ("words", "value"),
    [("twenty-one", 21), ("three hundred", 300), ("one million two hundred thousand and six", 1200006), ("ten", 10)],
)
def test_number_words(words: str, value: int) -> None:
    assert number_of_words(words) == value


@pytest.mark.parametrize(
    ("words", "value"), [("十二", 12), ("三百二十", 320), ("两千零五", 2005), ("一万五千", 15000), ("三四x", None)]
)
def test_chinese_numerals(words: str, value: int | None) -> None:
    assert number_of_chinese(words) == value
