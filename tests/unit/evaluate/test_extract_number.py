"""The number that a worked solution ends with, by value."""

import pytest

from components.evaluate.extract_number import same_number, stated_number


@pytest.mark.parametrize(
    ("reply", "number"),
    [
        ("She has 16 - 3 - 4 = 9 eggs. The answer is 18.", "18"),
        ("The answer is $1,234.50.", "1234.5"),
        ("The answer is 5. Then 6 more words follow, 7 even.", "5"),
        ("#### 42", "42"),
        (r"Thus \boxed{-3}", "-3"),
        ("答案是 12 个", "12"),
        ("It costs 3 and then 70000", "70000"),
        ("The answer is: 18 dollars", "18"),
        ("answer = 0.5", "1/2"),
        ("She pays −7", "-7"),
    ],
)
def test_right_numbers(reply: str, number: str) -> None:
    assert same_number(stated_number(reply), number)


@pytest.mark.parametrize(
    ("reply", "number"), [("The answer is 18.5", "18"), ("", "0"), ("none", "0"), ("The answer is 1/0", "1")]
)
def test_wrong_numbers(reply: str, number: str) -> None:
    assert not same_number(stated_number(reply), number)
