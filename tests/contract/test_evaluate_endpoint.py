"""Evaluating a model that is only an endpoint, and several sampled answers to each question."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest

from components.evaluate.evaluation import Evaluation
from components.evaluate.questions import QuestionSet
from components.evaluate.settings import EvaluationSettings
from components.evaluate.step import EVALUATION
from components.models.generators.generator import ChatRequest, GeneratorSettings, Reply, Sampling, Usage
from components.models.generators.registry import BACKENDS
from components.models.generators.settle_reply import Written, settle_reply
from components.shared.errors import GenerationError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output
from components.shared.rows import Check, Question, Sample
from tests.tiny_model import save_tiny_model

QUESTIONS = [
    Question(
        benchmark="exact", id=f"q{n}", question=f"Say {n}", answer=str(n), check=Check(kind="exact", answer=str(n))
    )
    for n in range(6)
]


class ServedSettings(GeneratorSettings):
    """An endpoint whose answers the test decides."""

    is_remote: ClassVar[bool] = True
    asked: ClassVar[list[str]] = []
    broken: ClassVar[set[str]] = set()

    backend: Literal["served"] = "served"

    def open(self) -> "Served":
        return Served()


class Served:
    def answer(self, requests: Iterable[ChatRequest], sampling: Sampling) -> Iterator[Reply]:
        for request in requests:
            said = request.messages[-1].content.split()[-1]
            ServedSettings.asked.append(said)
            if said in ServedSettings.broken:
                yield Reply(key=request.key, text="HTTP 500 after 6 attempts", finish="error")
            elif said == "5":
                yield settle_reply(request.key, Written("", tokens_in=3, tokens_out=1))
            else:
                yield Reply(key=request.key, text=said, tokens_in=3, tokens_out=2)

    def usage(self) -> Usage:
        return Usage()

    def close(self) -> None:
        """Nothing to free."""


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS, "served", ServedSettings)
    monkeypatch.setattr(ServedSettings, "asked", [])
    monkeypatch.setattr(ServedSettings, "broken", set())


def run(root: Path, folder: Path | None, **changed: Any) -> tuple[Manifest, list[Sample]]:
    settings = EvaluationSettings.model_validate({"benchmarks": [{"name": "exact", "max_tokens": 6}], **changed})
    output = Output(Library(str(root)), EVALUATION, settings, {})
    manifest = Evaluation(output, settings, "it", folder, {"exact": QuestionSet(tuple(QUESTIONS), {})}).run()
    return manifest, list(Library(str(root)).read_rows(manifest, Sample, "samples/exact"))


def test_an_endpoint_is_evaluated_without_files(tmp_path: Path) -> None:
    manifest, samples = run(tmp_path, None, generator={"backend": "served", "model": "m"})
    assert [sample.outputs for sample in samples] == [*((str(n),) for n in range(5)), ("",)]
    assert [sample.score for sample in samples] == [1.0] * 5 + [0.0], "an empty answer is one"
    assert (manifest.cost.tokens_in, manifest.cost.tokens_out) == (18, 11)
    assert not list(Library(str(tmp_path)).at(manifest.address).list("answers/"))


def test_a_question_without_an_answer_fails_the_evaluation_and_the_others_are_not_asked_again(tmp_path: Path) -> None:
    ServedSettings.broken |= {"2", "4"}
    with pytest.raises(
        GenerationError, match=r"it: question 'exact/q2' was not answered: HTTP 500.*and 1 more"
    ) as caught:
        run(tmp_path, None, generator={"backend": "served", "model": "m"})
    assert "kept" in caught.value.remedy
    ServedSettings.broken.clear()
    ServedSettings.asked.clear()
    manifest, samples = run(tmp_path, None, generator={"backend": "served", "model": "m"})
    assert sorted(ServedSettings.asked) == ["2", "4"]
    assert sum(sample.score for sample in samples) == 5 and manifest.cost.tokens_in == 18


def test_sampled_answers_are_several_and_the_same_in_every_run(tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "model")
    sampled = {"samples": 3, "temperature": 1.0, "pass_at": [2]}
    _, samples = run(tmp_path / "a", model, **sampled)
    _, again = run(tmp_path / "b", model, **sampled, generator={"batch": 5})
    assert samples == again
    assert all(len(sample.outputs) == len(sample.scores) == 3 for sample in samples)
    assert len({output for sample in samples for output in sample.outputs}) > len(samples)
