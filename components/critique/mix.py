"""Which critiques are learnt: right and wrong in balance, and each kind under its share of all rows."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from components.critique.settings import CritiqueSettings
from components.models.rollouts.fates import PENDING
from components.shared.outputs.digest import seed_of
from components.shared.rollout_rows import Critique

LEARNT, UNBALANCED, CAPPED = "learnt", "unbalanced", "capped"


def name_of(row: Critique) -> str:
    """The name of a critique, unique in an output: it is the id of the row to learn too."""
    return f"{row.id}/{row.kind}-{row.rollout}"


@dataclass
class Candidates:
    """The names of the critiques that may be learnt."""

    right: list[str]
    wrong: list[str]
    repairs: list[str]


def candidates(rows: Iterable[Critique]) -> Candidates:
    """The critiques without a fate, by kind and verdict."""
    found = Candidates([], [], [])
    for row in rows:
        if row.fate == PENDING:
            part = found.repairs if row.kind == "repair" else found.right if row.passed else found.wrong
            part.append(name_of(row))
    return found


def choose_mix(found: Candidates, traces: int, settings: CritiqueSettings) -> dict[str, str]:
    """The fate of each candidate by its name: learnt, unbalanced, or capped.

    Args:
        found: what may be learnt. Which of several is left out is decided by the seed.
        traces: how many traces are learnt, all of them.
        settings: of the step.
    """
    right, wrong = balanced(len(found.right), len(found.wrong), settings.right_share)
    shares = (settings.diagnosis_share, settings.repair_share)
    diagnoses, repairs = under_caps(traces, (right + wrong, len(found.repairs)), shares)
    kept_right, kept_wrong = balanced(len(found.right), len(found.wrong), settings.right_share, most=diagnoses)
    fates: dict[str, str] = {}
    for names, kept, in_balance in (
        (found.right, kept_right, right),
        (found.wrong, kept_wrong, wrong),
        (found.repairs, repairs, len(found.repairs)),
    ):
        for place, name in enumerate(_in_seeds_order(names, settings.seed)):
            fates[name] = LEARNT if place < kept else CAPPED if place < in_balance else UNBALANCED
    return fates


def balanced(right: int, wrong: int, share: float, most: int | None = None) -> tuple[int, int]:
    """How many right and wrong ones can be taken so that `share` of them is right, to the nearest one.

    Args:
        right: how many right ones there are.
        wrong: how many wrong ones there are.
        share: of the right ones, from 0 to below 1.
        most: of both together; None: any number.
    """
    part = Fraction(str(share))
    total = math.floor(wrong / (1 - part))
    if part:
        total = min(total, math.floor(right / part))
    if most is not None:
        total = min(total, most)
    taken = round(total * part)
    return taken, total - taken


def under_caps(traces: int, counts: tuple[int, int], shares: tuple[float, float]) -> tuple[int, int]:
    """The most of two kinds that can be taken so that neither exceeds its share of all rows, the traces included.

    The caps bound each other, since each kind adds to the rows that the other's share is of: starting from all, both
    are lowered until they hold, which gives the largest numbers.

    Args:
        traces: rows that are learnt in any case.
        counts: how many there are of each kind.
        shares: of each kind, together below 1.
    """
    first, second = (Fraction(str(share)) for share in shares)
    kept = counts
    while True:
        total = traces + sum(kept)
        lower = min(kept[0], math.floor(first * total)), min(kept[1], math.floor(second * total))
        if lower == kept:
            return kept
        kept = lower


def _in_seeds_order(names: Sequence[str], seed: int) -> list[str]:
    return sorted(names, key=lambda name: seed_of(f"{seed} {name}"))
