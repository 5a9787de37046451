"""The sixteen families of short English tasks with checkable answers.

A family is a function of a seeded `random.Random` that returns a `DemoTask`. No family reads a clock or a file, so the
same seed gives the same texts on every machine. Labels have two levels: `primary / secondary`.
"""

import random
from collections.abc import Callable
from typing import Final

from demo.tasks.calendar import month, weekday
from demo.tasks.letters import first_letter, last_letter, length, reverse, uppercase
from demo.tasks.numbers import addition, comparison, largest, parity, smallest, sorting, subtraction
from demo.tasks.task import DemoTask
from demo.tasks.words import antonym, plural

FAMILIES: Final[dict[str, Callable[[random.Random], DemoTask]]] = {
    "addition": addition,
    "subtraction": subtraction,
    "largest": largest,
    "smallest": smallest,
    "sorting": sorting,
    "parity": parity,
    "comparison": comparison,
    "first letter": first_letter,
    "last letter": last_letter,
    "uppercase": uppercase,
    "reverse": reverse,
    "length": length,
    "antonym": antonym,
    "plural": plural,
    "weekday": weekday,
    "month": month,
}
