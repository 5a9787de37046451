"""The prompts of KTO's mismatched pairs, and what there is to note about the pairs."""

import hashlib
from collections.abc import Iterable

import numpy as np

from components.shared.errors import InputError


def number_prompts(prompts: Iterable[np.ndarray]) -> np.ndarray:
    """Each row's prompt as a number [rows], equal for equal tokens. Raises InputError when all are one."""
    numbers: dict[bytes, int] = {}
    found = np.array([numbers.setdefault(_print(ids), len(numbers)) for ids in prompts], np.int64)
    if len(numbers) < 2:
        raise InputError(
            f"all {len(found)} KTO rows have the same prompt",
            rule="the reference point comes from pairs of a prompt and another prompt's response (KTO, section 4.1)",
            remedy="provide rows of at least two prompts, and several times kto.kl_batch for a sound estimate; "
            "or train with method sft",
        )
    return found


def _print(ids: np.ndarray) -> bytes:
    return hashlib.blake2b(ids.tobytes(), digest_size=16).digest()


def notes_on_pairs(elsewhere: int, pairs: int, rows: int, kl_batch: int) -> tuple[str, ...]:
    """What a person should know about the mismatched pairs, for the log."""
    notes = []
    if rows < kl_batch:
        notes.append(
            f"{rows} rows are fewer than kto.kl_batch {kl_batch}: they are repeated within a batch, and no row is "
            "paired with itself"
        )
    if elsewhere:
        notes.append(
            f"{elsewhere} of {pairs} mismatched pairs take their response from outside their batch, as more than half "
            f"of its {kl_batch} rows have one prompt: the reference point is less exact"
        )
    return tuple(notes)
