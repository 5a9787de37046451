"""One problem of several steps: a number to start with, and moves that each change it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Move:
    """One step of a problem: how the question asks for it, how a solution says it, and the number after it."""

    asked: str
    said: str
    result: int


@dataclass(frozen=True)
class GradedProblem:
    """A problem of one family with its moves, of which each needs the result of the one before.

    The question is `opening`, what each move asks, and `closing`, one sentence after another.
    """

    family: str
    opening: str
    start: int
    moves: tuple[Move, ...]
    closing: str

    @property
    def question(self) -> str:
        """The problem's text."""
        return " ".join([self.opening, *(move.asked for move in self.moves), self.closing])

    @property
    def steps(self) -> int:
        """The number of steps: the difficulty."""
        return len(self.moves)

    @property
    def answer(self) -> int:
        """The number after the last step."""
        return self.moves[-1].result

    @property
    def subject(self) -> str:
        """Family and steps, as in `clock-3`."""
        return f"{self.family}-{self.steps}"

    @property
    def numbers(self) -> list[int]:
        """The number before each move, and the answer."""
        return [self.start, *(move.result for move in self.moves)]
