"""What was changed in replies before anyone read them, counted and put into words."""

from collections import Counter

from components.models.teacher import Reply

CHANGES = {
    "reasoned": "had their reasoning split off",
    "leaked": "had leaked control tokens cut off",
    "mended": "held characters that UTF-8 cannot hold, which were replaced",
}
"""Each count, and what it counts."""


class Changes:
    """Counts the changes in replies as they come."""

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
        """A line for each kind of change; none where nothing was changed."""
        told = {name: what for name, what in CHANGES.items() if self.counts[name]}
        return [f"{self.counts[name]} of {self.replies} replies {what}" for name, what in told.items()]
