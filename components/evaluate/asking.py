"""What one benchmark asks of a model: the conversations, their order, and how they are answered."""

from dataclasses import dataclass
from functools import cached_property

from components.evaluate.benchmarks.benchmark import AnswersPerQuestion, Benchmark, Shot
from components.evaluate.evaluated_model import EvaluatedModel
from components.evaluate.questions import QuestionSet, definition_of, turns_of, worked_examples
from components.evaluate.settings import BenchmarkSettings, EvaluationSettings
from components.models.generators.generator import ChatRequest, RankRequest, Sampling
from components.shared.rows import Message, Question


@dataclass(frozen=True)
class Asking:
    """One benchmark to ask: its part of the settings, the step's, and the questions."""

    benchmark: BenchmarkSettings
    settings: EvaluationSettings
    questions: QuestionSet

    @cached_property
    def kind(self) -> Benchmark:
        """The benchmark that the set is asked with."""
        return definition_of(self.benchmark, self.questions)

    @property
    def per_question(self) -> AnswersPerQuestion:
        """How often each question is asked, and how its answers are sampled."""
        return self.settings.answers_of(self.benchmark)

    @property
    def answers(self) -> int:
        """Answers to all questions together."""
        return len(self.questions.asked) * self.per_question.samples

    def key(self, question: Question, sample: int) -> str:
        """The key of one request, from which a sampled answer's seed follows."""
        return f"{self.benchmark.name}/{question.id}/{sample}"

    def conversation(self, question: Question) -> tuple[Message, ...]:
        """The system message, worked examples and earlier turns, and the question."""
        return tuple(turns_of(self.kind, self._examples[question.subject], question))

    @cached_property
    def _examples(self) -> dict[str, list[Shot]]:
        subjects = {question.subject for question in self.questions.asked}
        return {subject: worked_examples(self.benchmark, self.questions, subject) for subject in subjects}

    def requests(self) -> list[ChatRequest]:
        """All requests, those with a common beginning next to each other: engines compute it once."""
        conversations = [(question, self.conversation(question)) for question in self.questions.asked]
        conversations.sort(key=lambda item: [message.content for message in item[1]])
        return [
            ChatRequest(key=self.key(question, sample), messages=messages)
            for question, messages in conversations
            for sample in range(self.per_question.samples)
        ]

    def rankings(self) -> list[RankRequest]:
        """For each question its conversation and the texts to rank; the key is the question's id."""
        assert self.kind.continuations is not None, f"benchmark {self.kind.name} ranks nothing"
        return [
            RankRequest(
                key=question.id,
                messages=self.conversation(question),
                continuations=tuple(self.kind.continuations(question)),
            )
            for question in self.questions.asked
        ]

    def sampling(self, model: EvaluatedModel) -> Sampling:
        """How answers are sampled."""
        wanted = self.benchmark.max_tokens or self.kind.max_tokens
        return Sampling(
            temperature=self.per_question.temperature,
            top_p=self.per_question.top_p,
            max_tokens=model.answer_length(self.benchmark.name, wanted),
            seed=self.settings.seed,
            stop=self.kind.stop,
        )
