"""Questions about the letters of a word."""

import random

from demo.tasks.task import DemoTask, make_task
from demo.tasks.word_lists import NOUNS


def first_letter(rng: random.Random) -> DemoTask:
    """The first letter of a word."""
    word = rng.choice(NOUNS)
    forms = (
        f"What is the first letter of {word}?",
        f"Which letter does {word} start with?",
        f"Give the initial letter: {word}",
        f"{word} begins with which letter?",
    )
    return make_task("letters / first letter", rng.choice(forms), word[0], [word[1], word[-1]])


def last_letter(rng: random.Random) -> DemoTask:
    """The last letter of a word."""
    word = rng.choice(NOUNS)
    forms = (
        f"What is the last letter of {word}?",
        f"Which letter does {word} end with?",
        f"Give the final letter: {word}",
        f"{word} finishes with which letter?",
    )
    return make_task("letters / last letter", rng.choice(forms), word[-1], [word[-2], word[0]])


def uppercase(rng: random.Random) -> DemoTask:
    """A word in capital letters."""
    word = rng.choice(NOUNS)
    forms = (
        f"Write {word} in capital letters.",
        f"Make this uppercase: {word}",
        f"Convert {word} to upper case.",
        f"Capitalise every letter: {word}",
    )
    return make_task("letters / uppercase", rng.choice(forms), word.upper(), [word.capitalize(), word])


def reverse(rng: random.Random) -> DemoTask:
    """A word of three to five letters, backwards."""
    word = rng.choice([noun for noun in NOUNS if len(noun) <= 5])
    forms = (
        f"Reverse the word {word}.",
        f"Spell {word} backwards.",
        f"Write this backwards: {word}",
        f"Turn {word} around, letter by letter.",
    )
    back = word[::-1]
    return make_task(
        "letters / reverse", rng.choice(forms), back, [back[:-2] + back[-1] + back[-2], word, back[1:] + back[0]]
    )


def length(rng: random.Random) -> DemoTask:
    """How many letters a word has."""
    word = rng.choice(NOUNS)
    forms = (
        f"How many letters are in {word}?",
        f"Count the letters: {word}",
        f"How long is the word {word}?",
        f"State the number of letters in {word}.",
    )
    n = len(word)
    return make_task("letters / length", rng.choice(forms), str(n), [str(n + 1), str(n - 1)])
