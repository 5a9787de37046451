"""Opposites and plurals of English words."""

import random
from typing import Final

from demo.tasks.task import DemoTask, make_task
from demo.tasks.word_lists import ANTONYMS, IRREGULAR_PLURALS, NOUNS


def antonym(rng: random.Random) -> DemoTask:
    """The opposite of a word, in either direction of a fixed pair."""
    pair = rng.choice(ANTONYMS)
    word, answer = pair if rng.random() < 0.5 else pair[::-1]
    forms = (
        f"What is the opposite of {word}?",
        f"Give an antonym of {word}.",
        f"Which word means the reverse of {word}?",
        f"Name the opposite: {word}",
        f"{word} is the contrary of what?",
    )
    other = ANTONYMS[(ANTONYMS.index(pair) + 1) % len(ANTONYMS)][0]
    return make_task("words / antonym", rng.choice(forms), answer, [other, word, f"not {word}"])


UNCOUNTED: Final = frozenset({"bread", "chalk", "corn", "salt", "sand", "soap", "rain", "paint", "camp", "wood"})


def plural_of(noun: str) -> str:
    """The plural of an English noun from the word lists."""
    if noun in IRREGULAR_PLURALS:
        return IRREGULAR_PLURALS[noun]
    if noun.endswith(("s", "x", "ch", "sh")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"


COUNTED: Final = tuple(dict.fromkeys(noun for noun in (*NOUNS, *IRREGULAR_PLURALS) if noun not in UNCOUNTED))


def plural(rng: random.Random) -> DemoTask:
    """The plural of a noun."""
    noun = rng.choice(COUNTED)
    forms = (
        f"What is the plural of {noun}?",
        f"Give the plural form: {noun}",
        f"One {noun}, two what?",
        f"Make {noun} plural.",
    )
    answer = plural_of(noun)
    return make_task("words / plural", rng.choice(forms), answer, [f"{noun}es", f"{noun}s", f"{noun}en"])
