"""What a benchmark is: its protocol, its prompt, its worked examples, and how a reply is scored."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from components.shared.rows import Question
from components.shared.sandbox.run_python import SandboxLimits
from components.shared.thought import split_thought

Shot = tuple[str, str]
ReplyReader = Callable[[Question, str], float]
"""The score of a reply in [0, 1], under one way of reading it."""
AnswerReader = Callable[[Question, str], Hashable | None]
"""The answer that a reply states; None where it states none."""
AnswerGrouper = Callable[[Question, Sequence[str], SandboxLimits], Sequence[int]]
"""For each reply the index of the first one with the same answer."""


def no_shots(subject: str, dev: Sequence[Question]) -> list[Shot]:
    """No worked examples."""
    return []


@dataclass(frozen=True)
class AnswersPerQuestion:
    """How often a question is asked, and how answers are sampled: `samples` at `temperature` (0: greedy) and `top_p`.

    pass@k is reported for the k in `pass_at`, each at most `samples`.
    """

    samples: int
    temperature: float
    top_p: float
    pass_at: tuple[int, ...] = ()


@dataclass(frozen=True)
class Benchmark:
    """One benchmark, asked in a chat: each worked example is a turn of the user and one of the assistant.

    Attributes:
        name: of the benchmark; in an evaluation, that of the set of questions (`Question.benchmark`).
        metric: name of the score that is averaged.
        protocol: one line, for reports, without the number of worked examples, which is a setting.
        few_shot: worked examples before a question.
        max_tokens: longest reply.
        prompt: the user's turn for a question.
        continuations: instead of a reply, texts that each may follow a question's prompt: at least two, none empty;
            the question's answer is the letter of the right one. `score`, `answer` and `readings` then read a JSON
            list of their log-likelihoods, in nats, in order.
        score: an answer's score in [0, 1].
        run: instead of `score`, for replies that may be programs: they run under limits, several at a time.
        answer: what a reply states, for the vote of several replies to one question: equal answers are one; None
            where it states nothing.
        group: instead of `answer`, for answers of which only a comparison of two says whether they are one. Without
            either, there is no vote.
        readings: scores of the same answers by other rules, by metric; reported, but no decision uses them.
        shots: all worked examples of a subject, from its `dev` questions; the first `few_shot` are used.
        stop: texts that end a reply, besides the model's end of turn.
        files: the original files that `collect` imports.
        answers: how often its questions are asked, where a single greedy answer is not enough; None: as the step says.
        needs_check: whether replies are scored by the check of their question, which every question must have.
        takes_prompt: whether the settings may set the prompt.
    """

    name: str
    metric: str
    protocol: str
    few_shot: int
    max_tokens: int
    prompt: Callable[[Question], str]
    files: str
    continuations: Callable[[Question], Sequence[str]] | None = None
    score: ReplyReader | None = None
    run: Callable[[Question, str, SandboxLimits], float] | None = None
    answer: AnswerReader | None = None
    group: AnswerGrouper | None = None
    readings: Mapping[str, ReplyReader] = field(default_factory=dict)
    shots: Callable[[str, Sequence[Question]], list[Shot]] = no_shots
    stop: tuple[str, ...] = ()
    answers: AnswersPerQuestion | None = None
    needs_check: bool = False
    takes_prompt: bool = False

    def judge(self, question: Question, reply: str, limits: SandboxLimits) -> float:
        """The score of a reply in [0, 1]. Reasoning in tags is ignored; unfinished reasoning scores 0."""
        parted = split_thought(reply)
        if parted.unfinished:
            return 0.0
        if self.run is not None:
            return self.run(question, parted.answer, limits)
        assert self.score is not None, f"benchmark {self.name} has neither score nor run"
        return self.score(question, parted.answer)

    @property
    def ranks(self) -> bool:
        """Whether it ranks given texts, so that nothing is generated."""
        return self.continuations is not None

    @property
    def has_vote(self) -> bool:
        """Whether it can tell which of several replies to one question agree."""
        return self.answer is not None or self.group is not None

    def votes(self, question: Question, replies: Sequence[str], limits: SandboxLimits) -> list[Hashable | None]:
        """The answers that replies state, without their reasoning: equal ones are one; None where one states none."""
        parted = [split_thought(reply) for reply in replies]
        answers = [None if part.unfinished else part.answer for part in parted]
        if self.group is None:
            assert self.answer is not None, f"benchmark {self.name} reads no answers"
            return [None if answer is None else self.answer(question, answer) for answer in answers]
        groups = iter(self.group(question, [answer for answer in answers if answer is not None], limits))
        return [None if answer is None else next(groups) for answer in answers]

    def read_as(self, metric: str, question: Question, reply: str) -> float:
        """The score of a reply by one of `readings`."""
        parted = split_thought(reply)
        return 0.0 if parted.unfinished else self.readings[metric](question, parted.answer)
