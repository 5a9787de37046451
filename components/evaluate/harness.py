"""Runs one benchmark in lm-evaluation-harness, from rows in memory."""
# ruff: noqa: TID253 - this module is imported only when a model is about to be run

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import datasets
from lm_eval.api.task import ConfigurableTask
from lm_eval.evaluator import evaluate

from components.evaluate.benchmarks.benchmark import Benchmark, Shot
from components.evaluate.language_model import LocalModel, refused_question
from components.evaluate.questions import QuestionSet, worked_examples
from components.evaluate.settings import BenchmarkSettings
from components.models.conversation.chat_template import Refusal
from components.shared.log import say
from components.shared.rows import Message, Question, Role, Sample
from components.shared.sandbox import Limits

PROGRAMS_AT_ONCE = min(os.cpu_count() or 1, 16)
ROLES: tuple[Role, ...] = ("user", "assistant")
"""Of a worked example's turns."""

Judge = Callable[[Question, str], float]


def ask(
    lm: LocalModel, benchmark: Benchmark, settings: BenchmarkSettings, questions: QuestionSet, limits: Limits
) -> list[Sample]:
    """Ask a model all questions of a benchmark.

    Returns:
        One sample for each question, in the order of the questions.
    """
    length = answer_length(lm, benchmark, settings)

    def judge(question: Question, reply: str) -> float:
        return benchmark.judge(question, reply, limits)

    tasks = {
        name: _task(name, benchmark, asked, worked_examples(settings, questions, asked[0].subject), length, judge)
        for name, asked in _by_subject(benchmark.name, questions.asked).items()
    }
    results = evaluate(
        lm, {"tasks": tasks, "groups": {}}, apply_chat_template=True, fewshot_as_multiturn=True, bootstrap_iters=0
    )
    found = {
        sample.id: sample
        for rows in results["samples"].values()
        for sample in (_sample(row, benchmark) for row in rows)
    }
    return [found[question.id] for question in questions.asked]


def require_askable(lm: LocalModel, benchmark: Benchmark, settings: BenchmarkSettings, questions: QuestionSet) -> None:
    """See that the model's chat template takes the turns of a benchmark: those of each subject's first question.

    Raises:
        ModelError: it does not.
    """
    for asked in _by_subject(benchmark.name, questions.asked).values():
        first = asked[0]
        worked = worked_examples(settings, questions, first.subject)
        messages = [Message(role=role, content=text) for shot in worked for role, text in zip(ROLES, shot, strict=True)]
        messages.append(Message(role="user", content=benchmark.prompt(first)))
        rendered = lm.encoder.render(messages)
        if isinstance(rendered, Refusal):
            raise refused_question(rendered, f"{benchmark.name}/{first.id}")


def answer_length(lm: LocalModel, benchmark: Benchmark, settings: BenchmarkSettings) -> int:
    """Longest reply in tokens: what is asked for, but at most half of what the model can hold."""
    wanted = settings.max_tokens if settings.max_tokens is not None else benchmark.max_tokens
    room = lm.max_length // 2
    if wanted > room:
        say("evaluate", f"{benchmark.name}: replies of at most {room} tokens, half of the model's {lm.max_length}")
    return int(min(wanted, room))


def _by_subject(name: str, questions: Sequence[Question]) -> dict[str, list[Question]]:
    """Questions by task: one for each subject, as the harness has it."""
    groups = defaultdict[str, list[Question]](list)
    for question in questions:
        groups[f"{name}/{question.subject}" if question.subject else name].append(question)
    return groups


def _task(  # noqa: PLR0917 - all that makes a task
    name: str,
    benchmark: Benchmark,
    asked: Sequence[Question],
    worked: Sequence[Shot],
    length: int,
    judge: Judge,
) -> ConfigurableTask:
    shots = [{"user": user, "assistant": reply} for user, reply in worked]
    rows = datasets.Dataset.from_list([{"row": question.model_dump_json()} for question in asked])
    return ConfigurableTask(
        config={
            "task": name,
            "custom_dataset": lambda **_: {"test": rows},
            "test_split": "test",
            "output_type": "generate_until",
            "doc_to_text": lambda doc: doc["user"] if "user" in doc else benchmark.prompt(_question(doc)),
            "doc_to_target": lambda doc: doc["assistant"] if "assistant" in doc else _question(doc).answer,
            "num_fewshot": len(shots),
            "fewshot_config": {"sampler": "first_n", "samples": shots},
            "target_delimiter": "",
            "fewshot_delimiter": "",
            "generation_kwargs": {"until": list(benchmark.stop), "do_sample": False, "max_gen_toks": length},
            "filter_list": [
                {"name": "score", "filter": [{"function": "custom", "filter_fn": _filter(benchmark, judge)}]}
            ],
            "process_results": lambda doc, results: {benchmark.metric: results[0]},
            "metric_list": [{"metric": benchmark.metric, "aggregation": "mean", "higher_is_better": True}],
        }
    )


def _filter(benchmark: Benchmark, judge: Judge) -> Callable[[Any, Any], list[float]]:
    """The harness' filter that turns replies into scores; programs run several at a time."""

    def score(replies: Any, docs: Any) -> list[float]:
        questions, texts = [_question(doc) for doc in docs], [reply[0] for reply in replies]
        if benchmark.run is None:
            return [judge(question, text) for question, text in zip(questions, texts, strict=True)]
        with ThreadPoolExecutor(PROGRAMS_AT_ONCE) as pool:
            return list(pool.map(judge, questions, texts))

    return score


def _question(doc: dict[str, str]) -> Question:
    return Question.model_validate_json(doc["row"])


def _sample(row: dict[str, Any], benchmark: Benchmark) -> Sample:
    question = _question(row["doc"])
    return Sample(benchmark=benchmark.name, id=question.id, output=row["resps"][0][0], score=row[benchmark.metric])
