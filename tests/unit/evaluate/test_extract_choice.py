"""The letter that replies of many forms choose; `` is a reply that chooses nothing."""

import pytest

from components.evaluate.extract_choice import chosen_letter

CHOICES = ("red", "green", "blue", "yellow")

REPLIES = [
    # one letter
    ("B", "B"),
    (" B\n", "B"),
    ("b", "B"),
    ("(B)", "B"),
    ("（B）", "B"),
    ("[B]", "B"),
    ("**B**", "B"),
    ("B.", "B"),
    ("B。", "B"),
    ('"B"', "B"),
    ("$B$", "B"),
    # statements
    ("The answer is B.", "B"),
    ("The correct answer is (B).", "B"),
    ("The answer is: **B**", "B"),
    ("Answer: B", "B"),
    ("answer:b is not read, C) is", "C"),
    ("The correct option is C because of this.", "C"),
    ("The right choice would be D", "D"),
    ("So the answer is option C.", "C"),
    (r"Therefore \boxed{C}.", "C"),
    ("The answer is A? No: B is too dark, so the answer is D.", "D"),
    ("A is a common mistake. The answer is B.", "B"),
    ("答案是B", "B"),
    ("答案：B", "B"),
    ("答案为（C）。", "C"),
    ("正确答案是 D。", "D"),
    ("选B", "B"),
    ("我选择C。", "C"),
    ("应选A。", "A"),
    ("因此，故选（D）。", "D"),
    ("正确的选项是C，因为……", "C"),
    ("本题答案应该是选项B", "B"),
    # the letter first
    ("B. because green is a colour", "B"),
    ("B) green", "B"),
    ("(B) green", "B"),
    ("B: green", "B"),
    ("B、绿色", "B"),
    ("B，因为……", "B"),
    ("B\nIt is green.", "B"),
    ("A. red", "A"),
    ("C Blue", "C"),
    # somewhere
    ("I would take (C) here", "C"),
    ("It must be C then", "C"),
    ("我认为是C项", "C"),
    # the choice's text
    ("green", "B"),
    ("Green.", "B"),
    # nothing
    ("", ""),
    ("   ", ""),
    ("I do not know.", ""),
    ("A cat sat on the mat.", ""),
    ("A and B are both possible", ""),
    ("不知道", ""),
    ("E", ""),
    ("The answer is E.", ""),
    ("Banana", ""),
    ("It isn't that, I'd say", ""),
]


@pytest.mark.parametrize(("reply", "letter"), REPLIES)
def test_reply_forms(reply: str, letter: str) -> None:
    assert chosen_letter(reply, CHOICES) == letter


def test_letters_go_as_far_as_the_choices() -> None:
    assert chosen_letter("The answer is E.", (*CHOICES, "white")) == "E"


def test_same_text_twice_chooses_nothing() -> None:
    assert chosen_letter("red", ("red", "red", "blue")) == ""
