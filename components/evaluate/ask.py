"""Asks a model the questions of one benchmark, and scores its answers."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from components.evaluate.asking import Asking
from components.evaluate.evaluated_model import EvaluatedModel, refused_question
from components.evaluate.kept_answers import Answer, KeptAnswers
from components.models.generators.generator import ChatRequest, Reply
from components.models.generators.read_reply import read_reply
from components.shared.errors import GenerationError
from components.shared.log import Progress
from components.shared.rows import Question, Sample

DECIMALS = 6
"""Of a log-likelihood that is stored."""

PROGRAMS_AT_ONCE = min(os.cpu_count() or 1, 16)


@dataclass
class Answers:
    """The answers to a benchmark, by the keys of their requests."""

    by_key: dict[str, Answer] = field(default_factory=dict)

    def tokens(self) -> dict[str, int]:
        """Tokens read and written."""
        answers = self.by_key.values()
        return {
            "tokens_in": sum(answer.tokens_in for answer in answers),
            "tokens_out": sum(answer.tokens_out for answer in answers),
        }


def require_askable(model: EvaluatedModel, asking: Asking) -> None:
    """Check that the chat template accepts the turns of a benchmark.

    Those of the first question of each subject and sequence of roles, since a template looks at nothing else.

    Raises:
        ModelError: it refuses them.
    """
    firsts: dict[tuple[str, bool, int], Question] = {}
    for question in asking.questions.asked:
        firsts.setdefault((question.subject, bool(question.system), len(question.history)), question)
    for question in firsts.values():
        model.require_askable(f"{asking.benchmark.name}/{question.id}", asking.conversation(question))


def ask(model: EvaluatedModel, asking: Asking, kept: KeptAnswers, progress: Progress) -> Answers:
    """The answers to all questions of a benchmark. Those of an endpoint are kept as they come.

    Raises:
        ModelError: the chat template refuses a question.
        GenerationError: an endpoint fails to answer a question, after its attempts.
    """
    requests = {request.key: request for request in asking.requests()}
    answers = Answers(kept.read() if model.is_remote else {})
    progress.advance(len(answers.by_key))
    missing = [request for key, request in requests.items() if key not in answers.by_key]
    failed: list[Reply] = []
    with kept.keeping() as keep:
        for reply in model.answer(missing, asking.sampling(model)):
            progress.advance()
            answer = _read(model, reply, requests[reply.key])
            if answer is None:
                failed.append(reply)
                continue
            answers.by_key[reply.key] = answer
            if model.is_remote:
                keep(answer)
    _require_answers(model, failed)
    return answers


def rank(model: EvaluatedModel, asking: Asking, progress: Progress) -> Answers:
    """The log-likelihoods of each question's texts, as JSON; a question's answers are all the same.

    Raises:
        ModelError: the chat template refuses a question, or the model computes no log-likelihoods.
    """
    answers = Answers()
    for ranking, question in zip(model.rank(asking.rankings()), asking.questions.asked, strict=True):
        if ranking.refusal:
            raise refused_question(f"{asking.benchmark.name}/{question.id}", ranking.refusal)
        output = json.dumps([round(total, DECIMALS) for total in ranking.log_likelihoods])
        for sample in range(asking.per_question.samples):
            key = asking.key(question, sample)
            answers.by_key[key] = Answer(key=key, output=output, tokens_in=0 if sample else ranking.tokens_in)
        progress.advance(asking.per_question.samples)
    return answers


def _read(model: EvaluatedModel, reply: Reply, request: ChatRequest) -> Answer | None:
    if reply.refused:
        raise refused_question(reply.key.rpartition("/")[0], reply.text)
    output = read_reply(reply, lambda: model.opens_thought(request.messages))
    if output is None:
        return None
    return Answer(key=reply.key, output=output, tokens_in=reply.tokens_in, tokens_out=reply.tokens_out)


def _require_answers(model: EvaluatedModel, failed: Sequence[Reply]) -> None:
    """Without an answer there is no score: a question that was not answered must not count as wrong."""
    if not failed:
        return
    first = min(failed, key=lambda reply: reply.key)
    more = f", and {len(failed) - 1} more answers failed" if len(failed) > 1 else ""
    raise GenerationError(
        f"{model.name}: question {first.key.rpartition('/')[0]!r} was not answered: {first.text}{more}",
        rule="a model is scored on its answers to all questions; one that failed must not count as wrong",
        remedy="see the reason; the answers so far are kept, and the next run asks only what is missing",
    )


def score_answers(asking: Asking, answers: Mapping[str, Answer]) -> list[Sample]:
    """One sample for each question, in the order of the questions; several programs run at a time."""
    kind, count = asking.kind, asking.per_question.samples
    asked = [
        (question, answers[asking.key(question, sample)].output)
        for question in asking.questions.asked
        for sample in range(count)
    ]

    def judge(one: tuple[Question, str]) -> float:
        return kind.judge(*one, asking.settings.sandbox)

    scores = _judged(judge, asked, PROGRAMS_AT_ONCE if kind.run is not None else 1)
    outputs = (output for _, output in asked)
    return [
        Sample(
            benchmark=asking.benchmark.name,
            id=question.id,
            outputs=tuple(next(outputs) for _ in range(count)),
            scores=tuple(next(scores) for _ in range(count)),
        )
        for question in asking.questions.asked
    ]


def _judged(
    judge: Callable[[tuple[Question, str]], float], asked: Sequence[tuple[Question, str]], at_once: int
) -> Iterator[float]:
    if at_once == 1:
        return map(judge, asked)
    with ThreadPoolExecutor(at_once) as pool:
        return iter(list(pool.map(judge, asked)))
