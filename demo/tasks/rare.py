"""Kinds of tasks that occur rarely, so that their labels are rare."""

import random
from typing import Final

from demo.tasks.task import DemoTask, make_task

RARE_FORMS: Final[dict[str, tuple[tuple[str, ...], tuple[tuple[str, str], ...]]]] = {
    "words / rhyme": (
        ("What rhymes with {x}?", "Find a rhyme for {x}."),
        (("moon", "spoon"), ("cat", "hat"), ("king", "ring"), ("tree", "bee"), ("star", "car"), ("boat", "goat")),
    ),
    "fun / riddle": (
        ("Riddle: {x}", "Solve my riddle. {x}"),
        (
            ("What has hands but cannot clap?", "a clock"),
            ("What has keys but opens no door?", "a piano"),
            ("What gets wetter as it dries?", "a towel"),
            ("What has one eye but cannot see?", "a needle"),
            ("What has teeth but cannot bite?", "a comb"),
            ("What runs but has no legs?", "a river"),
        ),
    ),
    "fun / joke": (
        ("Tell me a joke about a {x}.", "Make me laugh with a joke about a {x}."),
        tuple((word, f"A {word} walks into a bar.") for word in ("frog", "cow", "robot", "duck", "pirate", "clown")),
    ),
    "nature / animal sound": (
        ("What sound does a {x} make?", "Which noise comes from a {x}?"),
        (("cow", "moo"), ("dog", "woof"), ("cat", "meow"), ("duck", "quack"), ("sheep", "baa"), ("lion", "roar")),
    ),
    "nature / colour": (
        ("What colour is {x}?", "Name the colour of {x}."),
        (
            ("grass", "green"),
            ("snow", "white"),
            ("coal", "black"),
            ("a ripe banana", "yellow"),
            ("the clear sky", "blue"),
            ("a ripe tomato", "red"),
        ),
    ),
    "geography / capital": (
        ("What is the capital of {x}?", "Name the capital city of {x}."),
        (
            ("France", "Paris"),
            ("Italy", "Rome"),
            ("Spain", "Madrid"),
            ("Japan", "Tokyo"),
            ("Egypt", "Cairo"),
            ("Norway", "Oslo"),
        ),
    ),
    "geography / continent": (
        ("On which continent is {x}?", "Name the continent of {x}."),
        (
            ("Kenya", "Africa"),
            ("Brazil", "South America"),
            ("India", "Asia"),
            ("Poland", "Europe"),
            ("Canada", "North America"),
            ("China", "Asia"),
        ),
    ),
    "writing / greeting": (
        ("Write a greeting for {x}.", "Say hello to {x}."),
        tuple((name, f"Hello, {name}!") for name in ("Anna", "Ben", "Clara", "David", "Emma", "Felix")),
    ),
    "writing / slogan": (
        ("Write a slogan for a {x}.", "Invent a short slogan for our {x}."),
        tuple(
            (thing, f"The best {thing} in town!") for thing in ("bakery", "bookshop", "garage", "museum", "cafe", "gym")
        ),
    ),
    "science / chemistry": (
        ("What is the chemical symbol of {x}?", "Give the symbol of the element {x}."),
        (("gold", "Au"), ("iron", "Fe"), ("oxygen", "O"), ("carbon", "C"), ("silver", "Ag"), ("helium", "He")),
    ),
    "code / python": (
        ("Which Python function {x}?", "Name the built-in of Python that {x}."),
        (
            ("prints text", "print"),
            ("gives the length of a list", "len"),
            ("adds up a list", "sum"),
            ("opens a file", "open"),
            ("sorts a list", "sorted"),
            ("reads a line from the keyboard", "input"),
        ),
    ),
    "translation / french": (
        ("Translate into French: {x}", "Say {x} in French."),
        (
            ("good morning", "bonjour"),
            ("thank you", "merci"),
            ("yes please", "oui"),
            ("goodbye", "au revoir"),
            ("the cat", "le chat"),
            ("the house", "la maison"),
        ),
    ),
}


def rare_tasks(label: str) -> list[DemoTask]:
    """Every task of one rare label, in a fixed order. Raises KeyError for a label that is not in `RARE_FORMS`."""
    forms, pairs = RARE_FORMS[label]
    return [make_task(label, form.format(x=x), answer, ["I do not know."]) for form in forms for x, answer in pairs]


def rare(rng: random.Random) -> DemoTask:
    """A task of one of the kinds that occur rarely."""
    return rng.choice(rare_tasks(rng.choice(list(RARE_FORMS))))
