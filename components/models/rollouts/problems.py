"""Problems in the order of their conversations' digests, in fixed slices, with the keys of their rollouts."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from components.models.generators.generator import ChatRequest
from components.shared.outputs.digest import digest_value, hex_of
from components.shared.rows import Labelled, Message

KEY_LENGTH = 16


@dataclass(frozen=True)
class Problem:
    """A problem that a model is asked.

    Attributes:
        key: of its conversation; problems with the same conversation share their rollouts.
        row: as it came.
        messages: what the model is asked.
    """

    key: str
    row: Labelled
    messages: tuple[Message, ...]

    @classmethod
    def of(cls, row: Labelled, system_prompt: str) -> "Problem":
        """The problem of a row; `system_prompt` is used where the row has no system message."""
        lead = [Message(role="system", content=system_prompt)] if system_prompt and not row.system else []
        messages = (*lead, *row.prompt())
        digest = digest_value([[message.role, message.content] for message in messages])
        return cls(hex_of(digest, KEY_LENGTH), row, messages)

    def request(self, number: int) -> ChatRequest:
        """The request of one rollout. Its seed follows from the key: it is the same in every set of problems."""
        return ChatRequest(key=f"{self.key}/{number}", messages=self.messages)


def problems_of(rows: Iterable[Labelled], system_prompt: str) -> list[Problem]:
    """All problems, in the order of their keys; those with one conversation in the order in which they came."""
    return sorted((Problem.of(row, system_prompt) for row in rows), key=lambda problem: problem.key)


def slices(problems: Sequence[Problem], size: int) -> Iterator[tuple[int, list[Problem]]]:
    """Consecutive problems, `size` at a time (fewer in the last), with their number from 0."""
    for index, start in enumerate(range(0, len(problems), size)):
        yield index, list(problems[start : start + size])


def kinds_of(problems: Iterable[Problem]) -> list[str]:
    """The kinds of the problems' checks."""
    return sorted({problem.row.check.kind for problem in problems if problem.row.check is not None})
