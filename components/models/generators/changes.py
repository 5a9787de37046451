"""Counts what was changed in replies before they were used, and reports it."""

from collections import Counter

from components.models.generators.generator import Reply

CHANGES = {
    "reasoned": "had their reasoning split off",
    "leaked": "had leaked control tokens removed",
    "mended": "contained characters that UTF-8 cannot encode, which were replaced",
}
"""Each count, and what it counts."""


class Changes:
    """Counts the changes in replies."""

    def __init__(self) -> None:
        self.replies = 0
        self.counts: Counter[str] = Counter()

    def take(self, reply: Reply) -> None:
        """Count one reply."""
        self.replies += 1
        if reply.reasoning:
            self.counts["reasoned"] += 1
        if reply.leaked:
            self.counts["leaked"] += 1
        if reply.mended:
            self.counts["mended"] += 1

    def in_words(self) -> list[str]:
        """A line for each kind of change that was made."""
        made = {name: what for name, what in CHANGES.items() if self.counts[name]}
        return [f"{self.counts[name]} of {self.replies} replies {what}" for name, what in made.items()]
