"""Which rows a preview shows: spread over sources and types, the same in every run."""

import random
from collections import Counter

from components.curate.choose_rows import Candidate, spread

SOURCES = {"large": 80, "middle": 15, "small": 2}


def candidates(seed: int = 0) -> list[Candidate]:
    """Rows of three sources, of which most are of one type."""
    chance = random.Random(seed)
    sources = [source for source, rows in SOURCES.items() for _ in range(rows)]
    return [
        Candidate(number, source, "question" if number % 5 else f"rare-{number % 3}", chance.randrange(2**64))
        for number, source in enumerate(sources)
    ]


def test_rows_are_spread_over_sources_and_types() -> None:
    rows = candidates()
    chosen = [rows[number] for number in spread(rows, 10)]
    assert Counter(row.source for row in chosen) == {"large": 4, "middle": 4, "small": 2}
    assert max(Counter(row.type for row in chosen).values()) <= 4, "three of four candidates are questions"


def test_the_choice_depends_neither_on_the_order_nor_on_how_many_are_wanted() -> None:
    rows = candidates()
    ten = spread(rows, 10)
    assert spread(list(reversed(rows)), 10) == ten < spread(rows, 11)
    assert spread(rows, 1000) == set(range(len(rows)))
