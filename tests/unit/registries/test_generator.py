"""A backend that only this file knows answers in synthesize and judges in select: the registry is all it needs."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar, Literal

import pytest

from components.models.generators.generator import (
    Ability,
    ChatRequest,
    GeneratorSettings,
    Reply,
    Sampling,
    Usage,
    open_generator,
)
from components.models.generators.registry import BACKENDS
from components.rewards.scorers.judge import QualityJudge
from components.shared.errors import SettingsError
from components.shared.rows import Answered, Labelled, Response
from components.shared.store.open_store import open_store
from components.synthesize.answerer import Answerer
from components.synthesize.replies import ReplyShards
from components.synthesize.settings import Assignment, SynthesizeSettings
from pipelines.recipe.schemas import schema_of


class ParrotSettings(GeneratorSettings):
    """Repeats the last message, with a word in front."""

    not_in_cache_key: ClassVar[frozenset[str]] = GeneratorSettings.not_in_cache_key
    is_remote: ClassVar[bool] = True

    backend: Literal["parrot"] = "parrot"
    word: str = "so"

    def open(self) -> "Parrot":
        return Parrot(self)


class Parrot:
    def __init__(self, settings: ParrotSettings) -> None:
        self._settings, self._usage = settings, Usage(slots=1)

    def answer(self, requests: Iterable[ChatRequest], sampling: Sampling) -> Iterator[Reply]:
        for request in requests:
            reply = Reply(key=request.key, text=f"{self._settings.word} {request.messages[-1].content}", tokens_out=2)
            self._usage = self._usage.after([reply])
            yield reply

    def usage(self) -> Usage:
        return self._usage

    def close(self) -> None:
        """Nothing to free."""


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS, "parrot", ParrotSettings)


def test_its_settings_are_read_checked_and_hashed() -> None:
    def key(word: str) -> str:
        teacher = {"backend": "parrot", "model": "p", "word": word, "price": {"per_million_out": 1}}
        read = SynthesizeSettings.model_validate({"teacher": teacher, "origins": ["original", "teacher"]})
        return json.dumps(read.key_material())

    assert key("so") != key("well")
    with pytest.raises(ValueError, match="'parrot' has no such key; allowed: backend, extra, model, price, word"):
        SynthesizeSettings.model_validate({"teacher": {"backend": "parrot", "model": "p", "window": 1}})
    assert '"parrot"' in json.dumps(schema_of("recipe"))


def test_it_answers_in_synthesize(tmp_path: Path) -> None:
    settings = SynthesizeSettings.model_validate(
        {"teacher": {"backend": "parrot", "model": "p", "word": "well"}, "origins": ["original", "teacher"]}
    )
    assignment = Assignment(root=str(tmp_path), address="synthesize/0", dataset="curate/0", settings=settings)
    row = Labelled(
        id="a", source="s", line=1, instruction="Hi?", response="", type="chat", primary="chat", secondary="greeting"
    )
    done = Answerer(assignment.model_dump_json(), threads=1).answer_chunk("teacher", 0, [row])
    assert (done.answers, done.failed, done.usage.tokens_out) == (1, 0, 2)
    replies = ReplyShards(open_store(str(tmp_path)).at("synthesize/0"), "teacher").read(0)
    assert replies["a"].text == "well Hi?"


def test_it_judges_in_select() -> None:
    judge = QualityJudge.model_validate(
        {"scorer": "judge", "teacher": {"backend": "parrot", "model": "p"}, "template": "{response} Rating: 7"}
    )
    row = Answered(
        id="a",
        source="s",
        line=1,
        instruction="Hi?",
        response="",
        type="chat",
        primary="chat",
        secondary="greeting",
        responses=(Response(origin="teacher", text="Hello."),),
    )
    measure = judge.open()
    (measured,) = measure.measure([row])
    measure.close()
    assert measured.values == (pytest.approx(2 / 3, abs=1e-6),)


def test_a_backend_that_cannot_chat_is_not_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ParrotSettings, "abilities", frozenset({Ability.LOG_PROBABILITIES}))
    with pytest.raises(SettingsError, match="backend 'parrot' lacks the ability 'chat'") as caught:
        open_generator(ParrotSettings(model="p"))
    assert "log-probabilities" in caught.value.rule
