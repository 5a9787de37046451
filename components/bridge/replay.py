"""Replay: right answers of the student's own, learnt beside the texts so that what it can do is not forgotten.

Fine-tuning on few problems takes others away. Rehearsing what the model wrote itself keeps them, without the data that
it once learnt from (Huang and others, arXiv 2403.01244); answers that a check accepted are the data of rejection
sampling fine-tuning (Yuan and others, arXiv 2308.01825). The probe has drawn them already.
"""

import heapq
from collections.abc import Iterable, Iterator
from fractions import Fraction

from components.shared.outputs.digest import seed_of
from components.shared.rollout_rows import Probed, Rollout
from components.shared.rows import Instruction, Scores, SftRow

REPLAY = "replay"
"""The kind of these rows."""


def replay_rows(
    probed: Iterable[Probed], taught: Iterable[Instruction], texts: int, share: float, seed: int
) -> list[SftRow]:
    """Right answers of the student, one for each of some problems.

    Args:
        probed: problems with the student's rollouts.
        taught: those that are sent to SFT, none of which is replayed.
        texts: rows to learn without these.
        share: of these among all rows to learn, 0 to below 1; there are fewer where the student solves too few.
        seed: which problems, and which of a problem's right answers. That depends on a problem alone.
    """
    sent = {_name(row) for row in taught}
    answers = (one for row in probed if (name := _name(row)) not in sent for one in _answer(row, f"{seed}:{name}"))
    return [row for _, row in heapq.nsmallest(wanted(texts, share), answers, key=lambda one: one[0])]


def wanted(texts: int, share: float) -> int:
    """How many rows are this share of all, together with the texts: the nearest number."""
    part = Fraction(str(share))
    return round(texts * part / (1 - part))


def _answer(row: Probed, seed: str) -> Iterator[tuple[int, SftRow]]:
    """A row to learn with its place in the seed's order; none where no try was right."""
    right = sorted({rollout.text for rollout in row.rollouts if _is_right(rollout)})
    if right:
        drawn = seed_of(seed)
        yield (
            drawn,
            SftRow(
                id=f"{row.id}/{REPLAY}",
                prompt=tuple(row.prompt()),
                completion=right[drawn % len(right)],
                origin="student",
                scores=Scores(checked=True),
                kind=REPLAY,
            ),
        )


def _is_right(rollout: Rollout) -> bool:
    return rollout.passed is True and rollout.finish == "stop"


def _name(row: Instruction) -> str:
    return f"{row.source}:{row.line}:{row.id}"
