"""Generated instructions of known redundancy, the same on every machine."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

VOCABULARY = 30_000
TEMPLATES = 50
SHARE_REPEATED = 0.05
SHARE_EDITED = 0.05
SHARE_TEMPLATE = 0.30
REMEMBERED = 2_000


@dataclass(frozen=True)
class Words:
    """Made-up words of which the first are the commonest (Zipf with exponent 1)."""

    words: tuple[str, ...]
    weights: tuple[float, ...]

    @classmethod
    def made(cls, rng: random.Random) -> "Words":
        """A vocabulary."""
        letters = "abcdefghijklmnopqrstuvwxyz"
        words = {"".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(VOCABULARY)}
        cumulated, total = [], 0.0
        for rank in range(1, len(words) + 1):
            total += 1 / rank
            cumulated.append(total)
        return cls(words=tuple(sorted(words)), weights=tuple(cumulated))

    def some(self, rng: random.Random, count: int) -> list[str]:
        """Words by their frequency."""
        return rng.choices(self.words, cum_weights=self.weights, k=count)


def texts(rows: int, seed: int = 0) -> Iterator[str]:
    """Instructions of 6 to 120 words.

    60 % are new; 30 % fill a short slot of one of 50 templates (so that many share most of their words); 5 % repeat an
    earlier one with other case and punctuation; 5 % repeat one with a word changed.
    """
    rng = random.Random(seed)
    words = Words.made(rng)
    templates = [words.some(rng, rng.randint(10, 60)) for _ in range(TEMPLATES)]
    recent: list[list[str]] = []
    for number in range(rows):
        draw = rng.random()
        if recent and draw < SHARE_REPEATED:
            yield " ".join(rng.choice(recent)).upper() + "!"
            continue
        if recent and draw < SHARE_REPEATED + SHARE_EDITED:
            text = list(rng.choice(recent))
            text[rng.randrange(len(text))] = words.some(rng, 1)[0]
        elif draw < SHARE_REPEATED + SHARE_EDITED + SHARE_TEMPLATE:
            text = [*rng.choice(templates), *words.some(rng, rng.randint(1, 6))]
        else:
            text = words.some(rng, rng.randint(6, 120))
        if len(recent) < REMEMBERED:
            recent.append(text)
        else:
            recent[number % REMEMBERED] = text
        yield " ".join(text)
