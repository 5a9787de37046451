"""The three families of problems: sums of coins, hours on a clock, and the digits of a number.

A family is a function of a seeded `random.Random` and a number of steps. It reads no clock and no file, so the same
seed gives the same texts on every machine.
"""

import random
from collections.abc import Callable
from typing import Final

from demo.graded.tasks.problem import GradedProblem, Move

MOST_COINS: Final = 30
MOST_MOVED: Final = 5
HOURS: Final = 12
MOST_STEPS: Final = 4
LEVELS: Final = range(1, MOST_STEPS + 1)


def coins(rng: random.Random, steps: int) -> GradedProblem:
    """Coins that are got and lost, 1 to 5 at a time; there are always 1 to 30."""
    start = now = rng.randint(1, MOST_COINS)
    moves = []
    for _ in range(steps):
        changes = [change for change in range(-MOST_MOVED, MOST_MOVED + 1) if change]
        change = rng.choice([change for change in changes if 1 <= now + change <= MOST_COINS])
        now += change
        asked, said = ("Get", "plus") if change > 0 else ("Lose", "minus")
        moves.append(Move(f"{asked} {abs(change)}.", f"{said} {abs(change)}", now))
    return GradedProblem("coins", f"You have {start} coins.", start, tuple(moves), "How many?")


def clock(rng: random.Random, steps: int) -> GradedProblem:
    """A clock with twelve hours that is moved 1 to 5 hours forward or back."""
    start = now = rng.randint(1, HOURS)
    moves = []
    for _ in range(steps):
        hours, way, sign = rng.randint(1, MOST_MOVED), *rng.choice([("forward", 1), ("back", -1)])
        now = (now + sign * hours - 1) % HOURS + 1
        moves.append(Move(f"Go {way} {hours}.", f"{way} {hours}", now))
    return GradedProblem("clock", f"It is {start}.", start, tuple(moves), "What hour?")


def digits(rng: random.Random, steps: int) -> GradedProblem:
    """A number of two digits, 1 to 9 each, whose digits are swapped, or one of them raised or lowered by one."""
    start = now = 10 * rng.randint(1, 9) + rng.randint(1, 9)
    moves = []
    for _ in range(steps):
        tens, ones = divmod(now, 10)
        ways = [
            ("Swap.", "swapped", 10 * ones + tens),
            ("First up.", "first up", 10 * (tens + 1) + ones if tens < 9 else 0),
            ("First down.", "first down", 10 * (tens - 1) + ones if tens > 1 else 0),
            ("Last up.", "last up", now + 1 if ones < 9 else 0),
            ("Last down.", "last down", now - 1 if ones > 1 else 0),
        ]
        move = Move(*rng.choice([way for way in ways if way[2] not in (0, now)]))
        now = move.result
        moves.append(move)
    return GradedProblem("digits", f"Take {start}.", start, tuple(moves), "What is it?")


FAMILIES: Final[dict[str, Callable[[random.Random, int], GradedProblem]]] = {
    "coins": coins,
    "clock": clock,
    "digits": digits,
}
