"""The letter that replies of many forms choose; `` is a reply that chooses nothing."""

import pytest

from components.rewards.choices.read_choice import listed_choices, read_choice

CHOICES = ("red", "green", "blue", "grey")

ONE_LETTER = [
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
    ("Ｂ", "B"),
    ("A", "A"),
    ("a", "A"),
    ("\\textbf{B}", "B"),
    ("`B`", "B"),
    ("Option B", "B"),
    ("选项B", "B"),
]

NAMED = [
    ("The answer is B.", "B"),
    ("The correct answer is (B).", "B"),
    ("The answer is: **B**", "B"),
    ("**Answer:** B", "B"),
    ("Answer: B", "B"),
    ("ANSWER: B", "B"),
    ("answer: b", "B"),
    ("the answer is c", "C"),
    ("The answer is a.", "A"),
    ("Answer - D", "D"),
    ("Answer (C)", "C"),
    ("My answer would be option D.", "D"),
    ("The correct option is C because of this.", "C"),
    ("The right choice would be D", "D"),
    ("So the answer is option C.", "C"),
    ("The best choice here is D: it is neither red nor green.", "D"),
    ("The answer to this question is C.", "C"),
    ("The answer is most likely D.", "D"),
    ("The answer, therefore, is D.", "D"),
    ("The answer must be C", "C"),
    ("The correct letter is D", "D"),
    ("I choose (d).", "D"),
    ("I would pick C here", "C"),
    ("I'd go with D", "D"),
    ("I select option b.", "B"),
    ("Let's go with A.", "A"),
    (r"Therefore \boxed{C}.", "C"),
    (r"\boxed{\textbf{(C)}}", "C"),
    (r"$\boxed{\mathrm{D}}$", "D"),
    (r"\[\boxed{B}\]", "B"),
    ("<answer>C</answer>", "C"),
    ('{"answer": "C"}', "C"),
    ("The answer is\n\nC", "C"),
    ("Final answer:\nC) blue", "C"),
    ("The answer is 'D'.", "D"),
    ("The answer is D) grey.", "D"),
    ("The answer is (D) grey, since grey has no hue.", "D"),
    ("The answer is D, which is grey.", "D"),
    ("The answer is D - grey", "D"),
    ("Answer:B", "B"),
    ("Correct answer: C. blue", "C"),
    ("The answer is A since apples are red.", "A"),
    ("The answer is A, a warm colour.", "A"),
    ("I believe that A is the answer.", "A"),
    ("C would be the correct choice.", "C"),
    ("The answer is a little surprising: D.", "D"),
    ("The answer is the third one, C.", "C"),
    ("The answer seems obvious. Answer: D", "D"),
    ("答案是B", "B"),
    ("答案：B", "B"),
    ("答案为（C）。", "C"),
    ("正确答案是 D。", "D"),
    ("选B", "B"),
    ("我选择C。", "C"),
    ("应选A。", "A"),
    ("应该选D。", "D"),
    ("因此，故选（D）。", "D"),
    ("正确的选项是C，因为……", "C"),
    ("本题答案应该是选项B", "B"),
    ("本题选D项。", "D"),
    ("本题的正确答案是：C", "C"),
    ("错误的是C。", "C"),
    ("下列说法不正确的是B。", "B"),
    ("故答案为：D．", "D"),
    ("【答案】C", "C"),
    ("答案：Ｂ", "B"),
    ("所以答案是**B**。", "B"),
    ("综上，答案选C。", "C"),
    ("C是正确答案。", "C"),
]

OTHERS_ARE_MENTIONED = [
    ("The answer is C. A is a frequent mistake here.", "C"),
    ("The answer is D. Option A is wrong because it is warm, and option B is wrong as well.", "D"),
    ("C. Option A is wrong since it is warm. Option B is wrong too. Option D is no colour.", "C"),
    ("C) blue\n\nOption A is incorrect. Option D is incorrect.", "C"),
    ("The correct answer is C, not option A.", "C"),
    ("The answer is C and not B.", "C"),
    ("The answer is C rather than D.", "C"),
    ("The answer is C (not D).", "C"),
    ("The answer cannot be A. So it must be D.", "D"),
    ("It is not A, it is B.", "B"),
    ("Not A, it is B.", "B"),
    ("It's not A but B.", "B"),
    ("It isn't A or B, so it must be D.", "D"),
    ("The answer is not A. It is C.", "C"),
    ("The answer isn't B; it's C.", "C"),
    ("I don't think it is A. I think the answer is D.", "D"),
    ("Neither A nor B is right, hence C.", "C"),
    ("We can rule out A and B. D is too dull. That leaves C.", "C"),
    ("Eliminate A, B and D. C remains.", "C"),
    ("A, B, and D are incorrect, so the answer is C.", "C"),
    ("The answer is D; options A, B and C are wrong.", "D"),
    ("A is incorrect. B is incorrect. C is correct. D is incorrect.", "C"),
    ("A: wrong. B: wrong. C: right. D: wrong.", "C"),
    ("A. red: incorrect\nB. green: incorrect\nC. blue: correct\nD. grey: incorrect", "C"),
    ("A. red\nB. green\nC. blue\nD. grey\n\nThe answer is B.", "B"),
    ("All options except D are wrong.", "D"),
    ("The wrong answers are A and C. The right one is D.", "D"),
    ("A is a common mistake. The answer is B.", "B"),
    ("The answer is A? No: B is too dark, so the answer is D.", "D"),
    ("Is the answer A? Or could it be B? It is C.", "C"),
    ("At first the answer seems to be A. However, the correct answer is C.", "C"),
    ("The answer might be A, but B is correct.", "B"),
    ("Both A and C look right, but the answer is C because A lacks a unit. B and D are out.", "C"),
    ("I first thought A, but the answer is D.", "D"),
    ("The answer is A. Wait, A is warm. Let me reconsider. It is C.", "C"),
    ("A. Wait, no. The answer is D.", "D"),
    ("Actually, C is correct.", "C"),
    ("The correct choice is option (D) grey, since option (B) green is a colour.", "D"),
    ("If the sky is meant, then the answer is C.", "C"),
    ("Students often choose A, but the answer is D.", "D"),
    ("The answer is C because vitamin D is not a colour.", "C"),
    ("B is the answer, although A is tempting.", "B"),
    ("Answer: C\nExplanation: A is warm. B is mixed. D is dull.", "C"),
    ("Explanation: A is warm.\n\nC", "C"),
    ("选C，因为A不对，B和D也不对。", "C"),
    ("答案不是B，而是D。", "D"),
    ("不是A，是B。", "B"),
    ("不选A，选D。", "D"),
    ("排除A、B、D，故选C。", "C"),
    ("A错误，B错误，C正确，D错误。", "C"),
    ("A项不符合题意，B项不符合题意，故选D。", "D"),
    ("答案是B。选项A不正确，选项C也不正确。", "B"),
    ("A、B、D都不对，所以是C。", "C"),
    ("答案是C，因为C不正确，A、B、D都正确。", "C"),
    ("应该选A还是选B？我认为选B。", "B"),
    ("有人会选A，但正确答案是D。", "D"),
    ("除了D，其他选项都不对。", "D"),
    ("C。A太暖，不对。", "C"),
]

BEGINS = [
    ("B. because green is a colour", "B"),
    ("B) green", "B"),
    ("(B) green", "B"),
    ("(b) green", "B"),
    ("b. green", "B"),
    ("b) green", "B"),
    ("a) red", "A"),
    ("(a) red", "A"),
    ("(d)", "D"),
    ("d.", "D"),
    ("B: green", "B"),
    ("B - green", "B"),
    ("B、绿色", "B"),
    ("B，因为……", "B"),
    ("B\nIt is green.", "B"),
    ("A. red", "A"),
    ("C Blue", "C"),
    ("- C. blue", "C"),
    ("Option C: blue", "C"),
    ("D because grey is no hue", "D"),
]

SOMEWHERE = [
    ("I would take (C) here", "C"),
    ("It must be C then", "C"),
    ("It is A because apples are red.", "A"),
    ("Among these, D is the best answer.", "D"),
    ("I think C is correct.", "C"),
    ("That would be D.", "D"),
    ("Hence, C.", "C"),
    ("C fits best.", "C"),
    ("我认为是C项", "C"),
    ("应该是D吧", "D"),
    ("B是对的", "B"),
    ("Looking at the picture, (D) shows it.", "D"),
]

THOUGHT = [
    ("<think>The answer is A? No, option C is warmer.</think>\nB", "B"),
    ("<think>It is A, so the answer is A.</think>The answer is D.", "D"),
    ("It is surely A.\n</think>\n\nD", "D"),
    ("<think>The answer is A, or the answer is B, let me", ""),
    ("<think>答案是A，不对，", ""),
    ("<think>The answer is A.</think>", ""),
]

NOTHING = [
    ("", ""),
    ("   ", ""),
    ("I do not know.", ""),
    ("I don't know which one it is.", ""),
    ("None of the above.", ""),
    ("None of these are right", ""),
    ("A cat sat on the mat.", ""),
    ("A and B are both possible", ""),
    ("The answer is A or B.", ""),
    ("Both A and B are correct.", ""),
    ("The answer is not A.", ""),
    ("Not B.", ""),
    ("不是A。", ""),
    ("A. red\nB. green\nC. blue\nD. grey", ""),
    ("不知道", ""),
    ("E", ""),
    ("The answer is E.", ""),
    ("Banana", ""),
    ("It isn't that, I'd say", ""),
    ("Could it be B?", ""),
    ("Is it A, B, C or D?", ""),
    ("以上都不对", ""),
    ("Vitamin C is healthy.", ""),
    ("I am a language model.", ""),
    ("The answer is a bit unclear.", ""),
]


@pytest.mark.parametrize(
    ("reply", "letter"),
    [*ONE_LETTER, *NAMED, *OTHERS_ARE_MENTIONED, *BEGINS, *SOMEWHERE, *THOUGHT, *NOTHING],
)
def test_reply_forms(reply: str, letter: str) -> None:
    assert read_choice(reply, CHOICES) == letter
    if letter or "E" not in reply:
        assert read_choice(reply) == letter, "the texts of the choices are not needed"


@pytest.mark.parametrize(
    ("reply", "letter"),
    [("green", "B"), ("Green.", "B"), ("The answer is blue.", "C"), ("Answer: **grey**", "D"), ("答案是green", "B")],
)
def test_the_text_of_a_choice_is_one(reply: str, letter: str) -> None:
    assert read_choice(reply, CHOICES) == letter and read_choice(reply) == ""


def test_letters_go_as_far_as_the_choices() -> None:
    assert read_choice("The answer is E.", (*CHOICES, "white")) == "E"
    assert read_choice("The answer is J.") == "J" and read_choice("The answer is I.") == "I"


def test_none_of_the_above_may_be_a_choice() -> None:
    assert read_choice("None of the above.", ("red", "green", "None of the above")) == "C"


def test_same_text_twice_chooses_nothing() -> None:
    assert read_choice("red", ("red", "red", "blue")) == ""


@pytest.mark.parametrize(
    ("question", "choices"),
    [
        ("Which?\nA. red\nB. green\nC. blue", ("red", "green", "blue")),
        ("Which?\n(A) red\n(B) green", ("red", "green")),
        ("哪个？\nA、红\nB、绿\nC、蓝\nD、灰\n答案：", ("红", "绿", "蓝", "灰")),
        ("Which? A cat.", ()),
        ("Write a poem.", ()),
    ],
)
def test_choices_that_a_question_lists(question: str, choices: tuple[str, ...]) -> None:
    assert listed_choices(question) == choices
