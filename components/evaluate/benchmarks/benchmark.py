"""What a benchmark is: its protocol, its prompt, its worked examples, and how a reply is scored."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from components.shared.rows import Question
from components.shared.sandbox import Limits

Shot = tuple[str, str]


def no_shots(subject: str, dev: Sequence[Question]) -> list[Shot]:
    """A benchmark without worked examples."""
    return []


@dataclass(frozen=True)
class Benchmark:
    """One benchmark, asked in a chat: each worked example is a turn of the user and one of the assistant.

    Attributes:
        name: as in Question.benchmark and in the settings.
        metric: name of what is averaged.
        protocol: one line for reports.
        few_shot: worked examples before a question.
        max_tokens: longest reply.
        prompt: the user's turn for a question.
        score: a reply's score in [0, 1].
        run: in place of `score`, for replies that are programs: run under limits, several at a time.
        shots: all worked examples for a subject, given the subject's `dev` questions; the first few are used.
        stop: texts at which a reply ends, besides the model's own end of turn.
        files: the original files that `collect` imports.
    """

    name: str
    metric: str
    protocol: str
    few_shot: int
    max_tokens: int
    prompt: Callable[[Question], str]
    files: str
    score: Callable[[Question, str], float] | None = None
    run: Callable[[Question, str, Limits], float] | None = None
    shots: Callable[[str, Sequence[Question]], list[Shot]] = no_shots
    stop: tuple[str, ...] = ()

    def judge(self, question: Question, reply: str, limits: Limits) -> float:
        """The reply's score in [0, 1]."""
        if self.run is not None:
            return self.run(question, reply, limits)
        assert self.score is not None, f"benchmark {self.name} has neither score nor run"
        return self.score(question, reply)
