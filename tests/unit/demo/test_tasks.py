"""The answers of every family, computed from the question's text independently of the generator."""

import calendar
import random
import re
from collections.abc import Callable
from datetime import date, timedelta

import pytest

from demo.tasks.calendar import calendar_drill
from demo.tasks.families import FAMILIES
from demo.tasks.rare import RARE_FORMS, rare, rare_tasks
from demo.tasks.reword import reworded
from demo.tasks.task import DemoTask, corrupted
from demo.tasks.unsafe import REFUSAL, unsafe

DRAWS = 400

OPPOSITES = {"hot": "cold", "night": "day", "before": "after", "awake": "asleep", "rude": "polite", "win": "lose"}
PLURALS = {
    "church": "churches",
    "sky": "skies",
    "key": "keys",
    "wolf": "wolves",
    "mouse": "mice",
    "box": "boxes",
    "dog": "dogs",
}


MONTH_NAMES = list(calendar.month_name)[1:]


def numbers(text: str) -> list[int]:
    return [int(found) for found in re.findall(r"\d+", text)]


def subject(task: DemoTask) -> str:
    """The word that a question about letters asks about: the only one that is in no phrasing of the family."""
    common = set[str]()
    draw = random.Random(5)
    texts = [set(re.findall(r"[a-z]+", FAMILIES[task.family](draw).question.lower())) for _ in range(300)]
    for word in set().union(*texts):
        if sum(word in text for text in texts) > 30:
            common.add(word)
    words = [word for word in re.findall(r"[a-z]+", task.question.lower()) if word not in common]
    return words[0] if words else ""


def day_of(question: str) -> str:
    name = next(day for day in calendar.day_name if day in question)
    monday = date(2024, 1, 1)
    start = monday + timedelta(days=list(calendar.day_name).index(name))
    shift = timedelta(days=numbers(question)[0])
    return (start - shift if is_back(question) else start + shift).strftime("%A")


def month_of(question: str) -> str:
    name = next(month for month in calendar.month_name if month and month in question)
    number = list(calendar.month_name).index(name) - 1
    shift = -numbers(question)[0] if is_back(question) else numbers(question)[0]
    return calendar.month_name[(number + shift) % 12 + 1]


def is_back(question: str) -> bool:
    return any(word in question for word in ("before", "ago", "back"))


def compared(question: str) -> str:
    a, b = numbers(question)
    above = any(word in question for word in ("greater", "more", "exceed"))
    return "yes" if (a > b if above else a < b) else "no"


def taken_away(question: str) -> str:
    a, b = numbers(question)
    return str(abs(a - b))


WORKED_OUT: dict[str, Callable[[str], str]] = {
    "addition": lambda text: str(sum(numbers(text))),
    "subtraction": taken_away,
    "largest": lambda text: str(max(numbers(text))),
    "smallest": lambda text: str(min(numbers(text))),
    "sorting": lambda text: ", ".join(str(n) for n in sorted(numbers(text))),
    "parity": lambda text: "odd" if str(numbers(text)[0])[-1] in "13579" else "even",
    "comparison": compared,
    "weekday": day_of,
    "month": month_of,
}

SPELT: dict[str, Callable[[str], str]] = {
    "first letter": lambda word: word[0],
    "last letter": lambda word: word[-1],
    "uppercase": str.upper,
    "reverse": lambda word: "".join(reversed(word)),
    "length": lambda word: str(len(word)),
}


@pytest.mark.parametrize("family", WORKED_OUT)
def test_answer_equals_what_the_question_says(family: str) -> None:
    rng = random.Random(11)
    for task in (FAMILIES[family](rng) for _ in range(DRAWS)):
        assert task.answer == WORKED_OUT[family](task.question), task.question


def test_calendar_drills_count_right() -> None:
    rng = random.Random(20)
    for task in (calendar_drill(rng) for _ in range(DRAWS)):
        assert task.answer == drilled(task.question), task.question


def drilled(question: str) -> str:
    """The answer to a drill, by walking the calendar of the standard library one step at a time."""
    names = list(calendar.day_name) if "day" in question else MONTH_NAMES
    name = next(name for name in names if name in question)
    down = re.search(r"minus|earlier|back|before| - |precedes", question)
    return names[(names.index(name) + numbers(question)[0] * (-1 if down else 1)) % len(names)]


@pytest.mark.parametrize("family", SPELT)
def test_answer_about_letters_fits_the_word_asked_about(family: str) -> None:
    rng = random.Random(12)
    checked = 0
    for task in (FAMILIES[family](rng) for _ in range(40)):
        word = subject(task)
        checked += bool(word)
        assert not word or task.answer == SPELT[family](word), task.question
    assert checked > 30


def test_antonyms_and_plurals_are_those_of_a_dictionary() -> None:
    rng = random.Random(13)
    antonyms = {
        task.question.split()[-1].strip("?."): task.answer for task in (FAMILIES["antonym"](rng) for _ in range(4000))
    }
    plurals = {
        task.question.split()[1].strip(","): task.answer for task in (FAMILIES["plural"](rng) for _ in range(8000))
    }
    assert {word: antonyms[word] for word in OPPOSITES} == OPPOSITES
    assert {word: plurals[word] for word in PLURALS} == PLURALS


def test_families_are_at_least_twelve_with_several_phrasings_and_short_answers() -> None:
    assert len(FAMILIES) >= 12
    for make in FAMILIES.values():
        rng = random.Random(14)
        tasks = [make(rng) for _ in range(DRAWS)]
        assert max(len(task.answer.encode()) for task in tasks) <= 24
        assert len({tuple(re.findall(r"^\S+|\S+$", re.sub(r"\d+", "#", task.question))) for task in tasks}) >= 3


def test_mistakes_are_never_the_answer_and_never_missing() -> None:
    rng = random.Random(15)
    tasks = [make(rng) for make in (*FAMILIES.values(), unsafe, rare) for _ in range(DRAWS)]
    for task in tasks:
        assert task.mistakes
        assert task.answer not in task.mistakes
        assert corrupted(task, rng, 0.5) in task.mistakes


def test_unsafe_requests_are_refused_and_labelled() -> None:
    task = unsafe(random.Random(16))
    assert (task.answer, task.label) == (REFUSAL, "safety / refusal")


def test_rare_labels_are_none_of_the_families_labels() -> None:
    rng = random.Random(17)
    usual = {make(rng).label for make in FAMILIES.values()}
    assert not usual & set(RARE_FORMS)
    assert all(task.label == label for label in RARE_FORMS for task in rare_tasks(label))


def test_reworded_question_keeps_its_words() -> None:
    rng = random.Random(18)
    for _ in range(100):
        changed = reworded("Add 3 and 4.", rng)
        assert "add 3 and 4" in " ".join(changed.lower().split())


def test_same_seed_gives_the_same_task() -> None:
    for make in (*FAMILIES.values(), unsafe, rare):
        assert make(random.Random(19)) == make(random.Random(19))
