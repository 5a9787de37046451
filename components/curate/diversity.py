"""Diversity of instructions: entropy of labels, distinct-n, and words by type."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from components.curate.text.token_hashes import TokenHasher, grams

LONGEST = 3


class Diversity(BaseModel):
    """Diversity of a set of rows.

    Entropies are in bits; the normalised ones are a share of the maximum for as many types or labels. `primary` is
    the label's first level, `label` both levels together. `distinct_1`, `_2`, `_3`: distinct n-grams over all n-grams
    (Li et al., NAACL 2016) of `sampled_rows` instructions; `words_by_type`: distinct tokens over all tokens of each
    type's instructions in the sample.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int
    types: int
    type_entropy_bits: float
    type_entropy_normalised: float
    primary_labels: int
    primary_entropy_bits: float
    primary_entropy_normalised: float
    labels: int
    label_entropy_bits: float
    label_entropy_normalised: float
    sampled_rows: int
    distinct_1: float
    distinct_2: float
    distinct_3: float
    mean_tokens: float
    words_by_type: dict[str, float]


def entropy(counts: Mapping[str, int]) -> tuple[float, float]:
    """Entropy of a distribution of counts, in bits, and as a share of its maximum (0 for a single label)."""
    total = sum(counts.values())
    shares = [count / total for count in counts.values() if count]
    if len(shares) < 2:
        return 0.0, 0.0
    bits = -sum(share * math.log2(share) for share in shares)
    return round(bits, 4), round(bits / math.log2(len(shares)), 4)


def distinct(texts: Sequence[Sequence[str]]) -> list[float]:
    """Distinct-1 to distinct-3 of tokenised texts."""
    batch = TokenHasher().batch(texts)
    ratios = [0.0] * LONGEST
    for n, hashes, valid in grams(batch, LONGEST):
        runs = hashes[valid]
        ratios[n - 1] = round(len(np.unique(runs)) / len(runs), 4) if len(runs) else 0.0
    return ratios


def words_by_type(texts: Sequence[Sequence[str]], types: Sequence[str]) -> dict[str, float]:
    """Distinct tokens over all tokens of each type."""
    seen: dict[str, set[str]] = {}
    totals: dict[str, int] = {}
    for tokens, kind in zip(texts, types, strict=True):
        seen.setdefault(kind, set()).update(tokens)
        totals[kind] = totals.get(kind, 0) + len(tokens)
    return {kind: round(len(seen[kind]) / totals[kind], 4) for kind in sorted(seen) if totals[kind]}


def measure_diversity(
    types: Mapping[str, int],
    primary: Mapping[str, int],
    labels: Mapping[str, int],
    sample: Sequence[tuple[str, Sequence[str]]],
) -> Diversity:
    """Diversity, from the number of rows of each type, primary label and label, and a sample of (type, tokens)."""
    texts = [tokens for _, tokens in sample]
    distinct_1, distinct_2, distinct_3 = distinct(texts)
    of_types, of_primary, of_labels = entropy(types), entropy(primary), entropy(labels)
    return Diversity(
        rows=sum(types.values()),
        types=len(types),
        type_entropy_bits=of_types[0],
        type_entropy_normalised=of_types[1],
        primary_labels=len(primary),
        primary_entropy_bits=of_primary[0],
        primary_entropy_normalised=of_primary[1],
        labels=len(labels),
        label_entropy_bits=of_labels[0],
        label_entropy_normalised=of_labels[1],
        sampled_rows=len(sample),
        distinct_1=distinct_1,
        distinct_2=distinct_2,
        distinct_3=distinct_3,
        mean_tokens=round(sum(map(len, texts)) / max(len(texts), 1), 2),
        words_by_type=words_by_type(texts, [kind for kind, _ in sample]),
    )
