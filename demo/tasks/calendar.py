"""Weekdays and months counted forwards and backwards."""

import random
from typing import Final

from demo.tasks.task import DemoTask, make_task
from demo.tasks.word_lists import MONTHS, WEEKDAYS


def _shifted(cycle: tuple[str, ...], start: int, step: int) -> str:
    return cycle[(start + step) % len(cycle)]


def _cycle(
    rng: random.Random, label: str, cycle: tuple[str, ...], ahead: tuple[str, ...], back: tuple[str, ...]
) -> DemoTask:
    start, steps = rng.randrange(len(cycle)), rng.randint(2, 9)
    sign = rng.choice((1, -1))
    form = rng.choice(ahead if sign > 0 else back).format(name=cycle[start], steps=steps)
    wrong = [_shifted(cycle, start, sign * steps + off) for off in (1, -1, 2)]
    return make_task(label, form, _shifted(cycle, start, sign * steps), wrong)


def weekday(rng: random.Random) -> DemoTask:
    """The day two to nine days after or before a weekday."""
    ahead = (
        "What day is {steps} days after {name}?",
        "Today is {name}. What day is it in {steps} days?",
        "Count {steps} days on from {name}.",
        "{steps} days from {name} is which day?",
    )
    back = (
        "What day is {steps} days before {name}?",
        "Today is {name}. What day was it {steps} days ago?",
        "Count {steps} days back from {name}.",
        "Go back {steps} days from {name}.",
    )
    return _cycle(rng, "time / weekday", WEEKDAYS, ahead, back)


def month(rng: random.Random) -> DemoTask:
    """The month two to nine months after or before a month."""
    ahead = (
        "What month is {steps} months after {name}?",
        "It is {name}. What month is it in {steps} months?",
        "Count {steps} months on from {name}.",
        "{steps} months from {name} is which month?",
    )
    back = (
        "What month is {steps} months before {name}?",
        "It is {name}. What month was it {steps} months ago?",
        "Count {steps} months back from {name}.",
        "Go back {steps} months from {name}.",
    )
    return _cycle(rng, "time / month", MONTHS, ahead, back)


AHEAD_DRILLS: Final = (
    "{name} plus {steps} {unit}s",
    "{steps} {unit}s later than {name}",
    "Start at {name} and go {steps} {unit}s on.",
    "If it is {name} now, what is it after {steps} {unit}s?",
    "{name} + {steps} {unit}s = ?",
    "Move {steps} {unit}s forward from {name}.",
    "Which {unit} follows {name} by {steps}?",
    "{name}, then {steps} {unit}s on:",
)
BACK_DRILLS: Final = (
    "{name} minus {steps} {unit}s",
    "{steps} {unit}s earlier than {name}",
    "Start at {name} and go {steps} {unit}s back.",
    "If it is {name} now, what was it {steps} {unit}s before?",
    "{name} - {steps} {unit}s = ?",
    "Move {steps} {unit}s backward from {name}.",
    "Which {unit} precedes {name} by {steps}?",
    "{name}, then {steps} {unit}s back:",
)


def calendar_drill(rng: random.Random) -> DemoTask:
    """A weekday or month counted on or back in other words: for training only, never in the instructions or held out.

    With four phrasings of each count a model memorises the texts; with twelve it has to learn to count.
    """
    unit, cycle = rng.choice((("day", WEEKDAYS), ("month", MONTHS)))
    ahead, back = (tuple(form.replace("{unit}", unit) for form in forms) for forms in (AHEAD_DRILLS, BACK_DRILLS))
    return _cycle(rng, "time / weekday" if unit == "day" else "time / month", cycle, ahead, back)
