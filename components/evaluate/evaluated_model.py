"""The model under evaluation: in this process, or behind an endpoint."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from components.evaluate.settings import EvaluationSettings
from components.models.generators.generator import (
    ChatRequest,
    Generator,
    Ranking,
    RankRequest,
    RanksTexts,
    Reply,
    Sampling,
    open_generator,
)
from components.models.generators.local_model import LocalPrompts, ModelFolder
from components.shared.errors import ModelError
from components.shared.log import say
from components.shared.rows import Message


class EvaluatedModel:
    """Answers questions.

    Args:
        name: of the model, for the log and errors.
        generator: what answers.
        prompts: what is known about its prompts; None behind an endpoint.
    """

    def __init__(self, name: str, generator: Generator, prompts: LocalPrompts | None) -> None:
        self.name, self._generator, self._prompts = name, generator, prompts

    @classmethod
    def open(cls, settings: EvaluationSettings, name: str, folder: Path | None) -> "EvaluatedModel":
        """Load a model from a folder, or connect to the endpoint that the settings name.

        Raises:
            SettingsError: a package that the backend needs is not installed.
            ModelError: the model cannot be loaded, or lacks a chat template.
            GenerationError: no endpoint answers.
        """
        if settings.asks_endpoint:
            return cls(name, open_generator(settings.generator), None)
        assert folder is not None, "a model that runs here has files"
        files = ModelFolder(folder, name, settings.allow_remote_code, settings.allow_pickled_weights)
        generator = settings.generator.open_folder(files)
        return cls(name, generator, generator.prompts)

    @property
    def is_remote(self) -> bool:
        """Whether it runs behind an endpoint."""
        return self._prompts is None

    def answer(self, requests: Sequence[ChatRequest], sampling: Sampling) -> Iterator[Reply]:
        """One reply for each request, in any order. Raises GenerationError."""
        return self._generator.answer(requests, sampling)

    def rank(self, requests: Sequence[RankRequest]) -> Iterator[Ranking]:
        """Log-likelihoods of the continuations of each request, in order. Raises ModelError."""
        if not isinstance(self._generator, RanksTexts):
            raise ModelError(
                f"{self.name}: what answers for this model computes no log-likelihoods of given texts",
                rule="a ranked benchmark needs them",
                remedy="evaluate it with the backend transformers, or leave the ranked benchmarks out",
            )
        return self._generator.rank(requests)

    def answer_length(self, benchmark: str, wanted: int) -> int:
        """Longest reply in tokens: as requested, but at most half of the model's context."""
        if self._prompts is None:
            return wanted
        room = self._prompts.context // 2
        if wanted > room:
            context = self._prompts.context
            say("evaluate", f"{benchmark}: replies are limited to {room} tokens, half of the context of {context}")
        return min(wanted, room)

    def require_askable(self, question: str, messages: Sequence[Message]) -> None:
        """Check that the chat template accepts a question; an endpoint's is unknown here. Raises ModelError."""
        refusal = self._prompts.refusal(messages) if self._prompts is not None else None
        if refusal is not None:
            raise refused_question(question, str(refusal))

    def opens_thought(self, messages: Sequence[Message]) -> bool:
        """Whether the prompt is known to open a thought, so that the reply begins within it."""
        return self._prompts is not None and self._prompts.opens_thought(messages)

    def unusual_prompts(self) -> dict[str, int]:
        """Prompts so far that were truncated on the left, and that spell a control token; an endpoint reports none."""
        usage = self._generator.usage()
        return {"truncated_prompts": usage.truncated, "control_text_prompts": usage.control_text}

    def close(self) -> None:
        """Free its memory and connections."""
        self._generator.close()


def refused_question(question: str, reason: str) -> ModelError:
    """The error for a question that the chat template of a model refuses."""
    return ModelError(
        f"question {question!r}: {reason}",
        rule="every model must be asked every question, so a question that one of them cannot be asked is an error",
        remedy="use a model whose chat template accepts the turns of the benchmark, or set few_shot to 0 "
        "to ask without worked examples",
    )
