"""Settings of the backend `openai`: a model behind OpenAI-compatible endpoints."""

from typing import ClassVar, Literal

from pydantic import Field

from components.models.generators.generator import (
    TRIAL_TOKENS,
    ChatRequest,
    Generator,
    GeneratorSettings,
    Reply,
    Sampling,
)
from components.models.generators.settle_reply import needs_more_tokens
from components.models.service.settings import ServiceSettings
from components.shared.errors import GenerationError
from components.shared.rows import Message

TRIAL_SECONDS = 30.0


class OpenAISettings(GeneratorSettings, ServiceSettings):
    """A model behind one or several OpenAI-compatible endpoints: vLLM, SGLang, a gateway or a vendor."""

    not_in_cache_key: ClassVar[frozenset[str]] = GeneratorSettings.not_in_cache_key | ServiceSettings.not_in_cache_key
    is_remote: ClassVar[bool] = True

    backend: Literal["openai"] = Field("openai", description="what runs the model")

    @property
    def served_by(self) -> frozenset[str]:
        """Its endpoints: they, not the number of clients, limit how much is in flight."""
        return frozenset(self.endpoints)

    @property
    def most_in_flight(self) -> int:
        """A window at each endpoint."""
        return self.window * len(self.endpoints)

    def open(self) -> Generator:
        """Connect. Raises SettingsError and GenerationError."""
        # aiohttp is not installed in the image of the launcher.
        from components.models.generators.openai.generator import OpenAIGenerator

        return OpenAIGenerator.open(self)

    def try_out(self, sampling: Sampling) -> str:
        """Ask one question. Raises GenerationError where the answer is an error."""
        tokens = min(sampling.max_tokens, TRIAL_TOKENS)
        generator = self.model_copy(update={"attempts": 1, "timeout_seconds": TRIAL_SECONDS}).open()
        try:
            request = ChatRequest(key="doctor", messages=(Message(role="user", content="Say: ready"),))
            reply: Reply = next(iter(generator.answer([request], Sampling(max_tokens=tokens))))
        finally:
            generator.close()
        if needs_more_tokens(reply) and tokens < sampling.max_tokens:
            return f"thinks before it answers, within max_tokens {sampling.max_tokens}"
        if reply.finish == "error":
            remedy = "check the endpoint, its key, and max_tokens, which the reasoning needs too"
            raise GenerationError(f"{self.model} did not answer: {reply.text}", remedy=remedy)
        return "answers"
