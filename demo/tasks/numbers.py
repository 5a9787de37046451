"""Arithmetic, order and parity of small numbers."""

import random

from demo.tasks.task import DemoTask, make_task


def addition(rng: random.Random) -> DemoTask:
    """Two numbers from 1 to 30, added."""
    a, b = rng.randint(1, 30), rng.randint(1, 30)
    forms = (f"What is {a} plus {b}?", f"Add {a} and {b}.", f"Find the sum of {a} and {b}.", f"Work out: {a} + {b}")
    total = a + b
    return make_task(
        "arithmetic / addition", rng.choice(forms), str(total), [str(total + 1), str(total - 1), str(total + 10)]
    )


def subtraction(rng: random.Random) -> DemoTask:
    """A number from 1 to 30, taken from one that leaves 0 to 30."""
    b, rest = rng.randint(1, 30), rng.randint(0, 30)
    a = b + rest
    forms = (f"What is {a} minus {b}?", f"Subtract {b} from {a}.", f"Take {b} away from {a}.", f"Calculate: {a} - {b}")
    return make_task("arithmetic / subtraction", rng.choice(forms), str(rest), [str(rest + 1), str(rest + 10), str(a)])


def largest(rng: random.Random) -> DemoTask:
    """The largest of three different numbers from 0 to 99."""
    a, b, c = rng.sample(range(100), 3)
    forms = (
        f"Which is the largest: {a}, {b} or {c}?",
        f"Pick the biggest number: {a}, {b}, {c}",
        f"Name the greatest of {a}, {b} and {c}.",
        f"Give the maximum: {a}, {b}, {c}",
    )
    low, middle, high = sorted((a, b, c))
    return make_task("numbers / largest", rng.choice(forms), str(high), [str(middle), str(low)])


def smallest(rng: random.Random) -> DemoTask:
    """The smallest of three different numbers from 0 to 99."""
    a, b, c = rng.sample(range(100), 3)
    forms = (
        f"Which is the smallest: {a}, {b} or {c}?",
        f"Pick the lowest number: {a}, {b}, {c}",
        f"Name the least of {a}, {b} and {c}.",
        f"Give the minimum: {a}, {b}, {c}",
    )
    low, middle, high = sorted((a, b, c))
    return make_task("numbers / smallest", rng.choice(forms), str(low), [str(middle), str(high)])


def sorting(rng: random.Random) -> DemoTask:
    """Three different numbers from 1 to 50, in rising order."""
    numbers = rng.sample(range(1, 51), 3)
    a, b, c = numbers
    forms = (
        f"Sort these numbers: {a}, {b}, {c}",
        f"Put {a}, {b} and {c} in order.",
        f"Arrange from low to high: {a}, {b}, {c}",
        f"Order {a}, {b}, {c} upwards.",
    )
    low, middle, high = sorted(numbers)
    wrong = [f"{middle}, {low}, {high}", f"{high}, {middle}, {low}", f"{low}, {high}, {middle}"]
    return make_task("numbers / sorting", rng.choice(forms), f"{low}, {middle}, {high}", wrong)


def parity(rng: random.Random) -> DemoTask:
    """Whether a number from 0 to 999 is even or odd."""
    n = rng.randint(0, 999)
    forms = (f"Is {n} even or odd?", f"Even or odd: {n}", f"State the parity of {n}.", f"Say if {n} is odd or even.")
    answer = ("even", "odd")[n % 2]
    return make_task("numbers / parity", rng.choice(forms), answer, ["even", "odd"])


def comparison(rng: random.Random) -> DemoTask:
    """Whether one of two different numbers from 0 to 99 is above or below the other."""
    a, b = rng.sample(range(100), 2)
    above = (f"Is {a} greater than {b}?", f"Yes or no: {a} is more than {b}", f"Does {a} exceed {b}?")
    below = (f"Is {a} less than {b}?", f"Yes or no: {a} is under {b}", f"Is {a} smaller than {b}?")
    up = rng.random() < 0.5
    answer = "yes" if (a > b) == up else "no"
    return make_task("numbers / comparison", rng.choice(above if up else below), answer, ["yes", "no"])
