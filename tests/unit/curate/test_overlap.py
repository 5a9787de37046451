import pytest

from components.curate.overlap import Overlap, OverlapIndex
from components.curate.tokens import tokenise
from components.shared.rows import Question

GSM8K = (
    "Janet’s ducks lay 16 eggs per day. She eats three for breakfast every morning and bakes muffins for her friends."
)
TRUE = "Which of the following is true?"


def question(text: str, choices: tuple[str, ...] = (), answer: str = "", number: int = 1) -> Question:
    return Question(benchmark="bench", id=str(number), question=text, choices=choices, answer=answer)


def search(questions: list[Question], asked: str, response: str = "", minimum: int = 4) -> Overlap | None:
    index = OverlapIndex(questions, longest=13, minimum=minimum, common=10)
    return index.search([(tokenise("an unrelated row"), []), (tokenise(asked), tokenise(response))]).get(1)


def test_a_shared_run_is_found_whole_and_is_the_evidence() -> None:
    passage = "janet's ducks lay 16 eggs per day she eats three for breakfast every morning and bakes muffins"
    found = search([question(GSM8K)], f"Read this. {passage.upper()}! Who?")
    assert found == Overlap(question="bench/1", passage=passage)
    assert found.evidence == f"bench/1: {passage}"


def test_fewer_shared_tokens_than_n_are_no_overlap() -> None:
    assert search([question(GSM8K)], "Janet's ducks lay 16 eggs per day. She eats three for breakfast, daily.") is None


def test_the_response_is_searched_too() -> None:
    assert search([question(GSM8K)], "Write a problem.", GSM8K) is not None


@pytest.mark.parametrize(
    "asked",
    [
        "What is 12 plus 7?",
        "WHAT IS 12 PLUS 7 ...",
        "Here is a short task from my homework: What is 12 plus 7?",
        "Can you help me with this one? What is 12 plus 7? Thank you!",
    ],
)
def test_a_short_question_is_found_when_all_of_it_stands_there(asked: str) -> None:
    found = search([question("What is 12 plus 7?")], asked)
    assert found is not None
    assert found.passage == "what is 12 plus 7"


@pytest.mark.parametrize(
    ("asked", "other"),
    [
        ("What is 12 plus 8?", "What is 12 plus 7?"),
        ("What is 12 plus 75?", "What is 12 plus 7?"),
        ("Sort the numbers 3 9 1 7", "Sort the numbers 3 9 1"),
        ("Sort the numbers 3, 9, 1, 7", "Sort the numbers 3, 9, 1"),
        ("Sort the numbers 9 1 3", "Sort the numbers 3 9 1"),
        ("What is 12 + 7 + 4?", "What is 12 + 7?"),
    ],
)
def test_another_question_of_the_same_form_is_no_overlap(asked: str, other: str) -> None:
    assert search([question(other)], asked) is None


def test_a_very_short_question_counts_only_as_the_whole_instruction() -> None:
    assert search([question("Spell horse backwards.")], "spell HORSE backwards") is not None
    assert search([question("Spell horse backwards.")], "Never spell horse backwards again") is None
    assert search([question("Spell horse backwards.")], "Never spell horse backwards again", minimum=3) is not None


def test_the_stem_of_a_multiple_choice_question_alone_is_no_overlap() -> None:
    choices = ("Whales are fish", "Bats are birds", "Dogs are mammals", "None of them")
    asked = f"{TRUE} Snow is hot. Ice is cold. None of them"
    assert search([question(TRUE, choices, "C")], asked) is None


@pytest.mark.parametrize(
    ("asked", "response"),
    [
        (TRUE, "Dogs are mammals."),
        (f"{TRUE} A. Whales are fish B. Bats are birds", ""),
        (f"{TRUE} Dogs are mammals, or cows?", ""),
    ],
)
def test_a_multiple_choice_question_is_found_by_its_answer_or_two_choices(asked: str, response: str) -> None:
    choices = ("Whales are fish", "Bats are birds", "Dogs are mammals", "None of them")
    assert search([question(TRUE, choices, "C")], asked, response) is not None


def test_of_several_questions_with_one_stem_the_right_one_is_named() -> None:
    questions = [question(TRUE, ("Up", "Down"), "A", 1), question(TRUE, ("Left", "Right"), "B", 2)]
    found = search(questions, TRUE, "Right")
    assert found is not None
    assert found.question == "bench/2"


def test_what_stands_in_many_questions_is_boilerplate() -> None:
    rules = "The following paragraphs each describe a set of three objects arranged in a fixed order"
    few = [question(f"{rules}. Number {number} is first.", number=number) for number in range(5)]
    many = [question(f"{rules}. Number {number} is first.", number=number) for number in range(20)]
    assert search(few, rules) is not None
    assert search(many, rules) is None
    assert search(many, f"{rules}. Number 7 is first. Which is last?") is not None


def test_chinese_questions() -> None:
    asked = "被马克思称之为古代最伟大的思想家的是"
    found = search([question(asked)], f"请回答：{asked}谁？")
    assert found is not None
    assert found.passage == asked


def test_an_id_that_names_its_benchmark_is_not_doubled() -> None:
    found = search([Question(benchmark="gsm8k", id="gsm8k/7", question=GSM8K, answer="")], GSM8K)
    assert found is not None
    assert found.question == "gsm8k/7"


def test_no_questions() -> None:
    assert search([], GSM8K) is None
