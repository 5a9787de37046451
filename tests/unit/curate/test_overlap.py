import random

import pytest

from components.curate.overlap.overlap_index import Overlap, OverlapIndex
from components.curate.overlap.settings import OverlapSettings
from components.shared.rows import Question
from components.shared.text.words import tokenise

GSM8K = (
    "Janet’s ducks lay 16 eggs per day. She eats three for breakfast every morning and bakes muffins for her friends."
)
TRUE = "Which of the following is true?"


def question(text: str, choices: tuple[str, ...] = (), answer: str = "", number: int = 1) -> Question:
    return Question(benchmark="bench", id=str(number), question=text, choices=choices, answer=answer)


def search(questions: list[Question], asked: str, response: str = "", minimum: int = 4) -> Overlap | None:
    index = OverlapIndex(questions, OverlapSettings(overlap_minimum_tokens=minimum))
    return index.search([(tokenise("an unrelated row"), []), (tokenise(asked), tokenise(response))]).get(1)


def test_the_complete_shared_run_is_the_evidence() -> None:
    passage = "janet's ducks lay 16 eggs per day she eats three for breakfast every morning and bakes muffins"
    found = search([question(GSM8K)], f"Read this. {passage.upper()}! Who?")
    assert found == Overlap(question="bench/1", passage=passage, share=0.85, words=17.0)
    assert found.evidence == f"bench/1: {passage} [85% of the question's weight, 17.0 words]"


def test_fewer_than_n_shared_tokens_do_not_overlap() -> None:
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
def test_a_short_question_overlaps_if_it_occurs_completely(asked: str) -> None:
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
def test_another_question_of_the_same_form_does_not_overlap(asked: str, other: str) -> None:
    assert search([question(other)], asked) is None


def test_a_very_short_question_counts_only_as_the_complete_instruction() -> None:
    assert search([question("Spell horse backwards.")], "spell HORSE backwards") is not None
    assert search([question("Spell horse backwards.")], "Never spell horse backwards again") is None
    assert search([question("Spell horse backwards.")], "Never spell horse backwards again", minimum=3) is not None


def test_the_stem_of_a_multiple_choice_question_alone_does_not_overlap() -> None:
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


def test_the_right_one_of_several_questions_with_one_stem_is_named() -> None:
    questions = [question(TRUE, ("Up", "Down"), "A", 1), question(TRUE, ("Left", "Right"), "B", 2)]
    found = search(questions, TRUE, "Right")
    assert found is not None
    assert found.question == "bench/2"


RULES = "The following paragraphs each describe a set of three objects arranged in a fixed order"


@pytest.mark.parametrize("questions", [2, 5, 10, 20])
def test_a_shared_stem_does_not_overlap(questions: int) -> None:
    index = [question(f"{RULES}. Number {number} is first.", number=number) for number in range(questions)]
    assert search(index, RULES) is None
    assert search(index, f"{RULES}. On a shelf there are a plum, a pear and a fig.") is None
    found = search(index, f"Answer this. {RULES}. Number 1 is first. Which is last?")
    assert found is not None
    assert found.question == "bench/1"
    assert found.share == 1.0


def test_a_repeated_question_counts_once() -> None:
    twice = [question(GSM8K, number=1), question(GSM8K, number=2)]
    found = search(twice, GSM8K)
    assert found is not None
    assert found.words == 20.0


def test_a_long_passage_is_found_whatever_its_share_of_the_question() -> None:
    words = [f"word{number}" for number in range(300)]
    assert search([question(" ".join(words))], " ".join(words[100:140])) is None
    found = search([question(" ".join(words))], " ".join(words[100:160]))
    assert found is not None
    assert found.share == 0.2
    assert found.words == 60.0


@pytest.mark.parametrize("edits", [1, 2, 3])
def test_a_question_with_a_few_words_edited_is_found(edits: int) -> None:
    words = [f"word{number}" for number in range(45)]
    copied = list(words)
    for number in range(edits):
        copied[(number + 1) * len(words) // (edits + 1) + number * 2] = "edited"
    assert search([question(" ".join(words))], " ".join(copied)) is not None


STEMS = (
    "Read the passage below and choose the right answer to the question that follows it, giving the letter only:",
    "I want to know whether the two sentences that I will give you now mean the same thing or not:",
    "Given a list of categories, company, artist, athlete, village, plant, film or album, say which fits this title:",
    "You are considering whether to buy a product and look at the reviews; would this review make it more likely:",
)


def slot(seed: int, words: int) -> str:
    draws = random.Random(seed)
    return " ".join("".join(draws.choices("bdfgklmnprstaeiou", k=6)) for _ in range(words))


def test_rows_of_the_templates_of_a_benchmark_are_kept_and_its_leaks_are_found() -> None:
    texts = [f"{STEMS[number % 4]} {slot(number, 3 + number % 9)}" for number in range(40)]
    index = OverlapIndex([question(text, number=n) for n, text in enumerate(texts)], OverlapSettings())
    alike = [f"{STEMS[number % 4]} {slot(1000 + number, 3 + number % 9)}" for number in range(200)]
    copied = [text.upper().replace(",", " ,") for text in texts]
    edited = [text.replace("that ", "which ").replace("would", "does") + " Thanks!" for text in texts]
    rows = [(tokenise(text), tokenise("No.")) for text in [*alike, *copied, *edited]]
    found = index.search(rows)
    assert sorted(found) == list(range(200, 280))
    assert [found[200 + number].question for number in range(80)] == [f"bench/{n % 40}" for n in range(80)]


def test_a_short_question_that_many_others_begin_with_counts_only_as_the_complete_instruction() -> None:
    stem = "Which word does not belong here?"
    questions = [question(stem, number=0), *(question(f"{stem} {slot(n, 4)}", number=n) for n in range(1, 20))]
    assert search(questions, f"{stem} {slot(99, 4)}") is None
    assert search(questions, stem) is not None


def test_the_choices_decide_if_all_words_of_a_longer_question_are_shared() -> None:
    stem = f"{RULES}, and only one of the four statements about them is true. Which one is it?"
    questions = [question(stem, (slot(n, 3), slot(n + 50, 3)), "A", n) for n in range(12)]
    assert search(questions, stem) is None
    assert search(questions[:2], f"{stem} {slot(99, 3)}") is None


THAI_STEM = "จงอ่านข้อความต่อไปนี้แล้วเลือกคำตอบที่ถูกต้องที่สุดเพียงข้อเดียว"


def test_the_length_of_a_run_is_in_words_of_its_script() -> None:
    # A Thai stem of some ten words has more than 13 letters: it is not a run of 13 words.
    asked = f"{THAI_STEM}: เมืองหลวงของประเทศญี่ปุ่นคือเมืองใดและมีประชากรประมาณเท่าใดในปัจจุบัน"
    other = f"{THAI_STEM}: แม่น้ำสายใดยาวที่สุดในทวีปแอฟริกาและไหลผ่านประเทศใดบ้างก่อนลงทะเล"
    assert len(tokenise(THAI_STEM)) > 26
    assert search([question(asked)], other) is None
    found = search([question(asked)], f"ช่วยตอบหน่อย {asked}")
    assert found is not None
    assert found.share == 1.0


@pytest.mark.parametrize(
    ("asked", "other"),
    [
        ("दिन में कितने घंटे होते हैं और रात में कितने", "दान में कितने घंटे होते हैं और रात में कितने"),
        ("คนไปป่ากับใคร", "คนไปป้ากับใคร"),
        ("مَن كَتَبَ هذا", "مَن كُتُب هذا"),
    ],
)
def test_combining_marks_distinguish_short_questions(asked: str, other: str) -> None:
    assert search([question(asked)], other, minimum=1) is None
    assert search([question(asked)], asked, minimum=1) is not None


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
