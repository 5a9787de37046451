"""What a benchmark is: its protocol, its prompt, its worked examples, and how a reply is scored."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from components.shared.rows import Question
from components.shared.sandbox import Limits
from components.shared.thought import split_thought

Shot = tuple[str, str]
Reading = Callable[[Question, str], float]
"""A reply's score in [0, 1], as one way of reading it finds."""


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
        score: an answer's score in [0, 1].
        run: in place of `score`, for replies that are programs: run under limits, several at a time.
        readings: scores of the same answers by other rules, by the name of their metric: reported, never decided on.
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
    score: Reading | None = None
    run: Callable[[Question, str, Limits], float] | None = None
    readings: Mapping[str, Reading] = field(default_factory=dict)
    shots: Callable[[str, Sequence[Question]], list[Shot]] = no_shots
    stop: tuple[str, ...] = ()

    def judge(self, question: Question, reply: str, limits: Limits) -> float:
        """The reply's score in [0, 1]. Reasoning in tags is no part of the answer; one that never ended scores 0."""
        parted = split_thought(reply)
        if parted.unfinished:
            return 0.0
        if self.run is not None:
            return self.run(question, parted.answer, limits)
        assert self.score is not None, f"benchmark {self.name} has neither score nor run"
        return self.score(question, parted.answer)

    def read_as(self, metric: str, question: Question, reply: str) -> float:
        """The reply's score by one of `readings`."""
        parted = split_thought(reply)
        return 0.0 if parted.unfinished else self.readings[metric](question, parted.answer)
