"""The protocol of generators, which answer prompts: a teacher, the student, a judge."""

import enum
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, ClassVar, Literal, Protocol, Self, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from components.models.generators.local_model import LocalPrompts, ModelFolder
from components.models.reference import as_parent
from components.shared.errors import SettingsError
from components.shared.outputs.digest import hex_of
from components.shared.outputs.manifest import Cost
from components.shared.rows import Message
from components.shared.settings import Settings
from components.shared.step import Image

TEMPLATE_OPTIONS = "chat_template_kwargs"
"""Key of `extra` whose value is passed to the chat template (the name that vLLM and SGLang use)."""

TRIAL_TOKENS = 64
"""Longest answer to doctor's question, in tokens; a step's own limit where that is lower."""


class Ability(enum.Enum):
    """What a backend can do with a model."""

    CHAT = "chat"  # answer a conversation
    SAMPLES = "samples"  # several different answers to one prompt: the seed of each depends on its request's key
    CONTINUES = "continues"  # go on with an answer that is begun: `ChatRequest.opening`
    LOG_PROBABILITIES = "log-probabilities"  # of a given text, by components/models/likelihood on the same files


class Price(Settings):
    """A price list, for a million tokens."""

    per_million_in: float = Field(0.0, ge=0, description="for a million prompt tokens")
    per_million_out: float = Field(0.0, ge=0, description="for a million generated tokens")
    currency: str = Field("USD", description="ISO 4217 code")

    def on(self, cost: Cost) -> Cost:
        """A cost with the price of its tokens."""
        paid = (cost.tokens_in * self.per_million_in + cost.tokens_out * self.per_million_out) / 1e6
        return cost.model_copy(update={"price": round(paid, 6), "currency": self.currency if paid else ""})


class Sampling(Settings):
    """How answers are sampled."""

    not_in_cache_key_at_default: ClassVar[frozenset[str]] = frozenset({"stop"})

    temperature: float = Field(0.0, ge=0, le=2, description="0 is greedy: the likeliest token each time")
    top_p: float = Field(1.0, gt=0, le=1, description="nucleus sampling: the smallest set with this probability")
    max_tokens: int = Field(512, ge=1, description="longest answer, in tokens")
    seed: int = Field(0, description="seed of the sampling")
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="texts that end an answer, besides the model's end of turn; they are not part of it"
    )


class GeneratorSettings(Settings):
    """Who answers: a model, and the backend that runs it.

    The base of every backend's settings. A backend is a subclass with a literal `backend`, and one line in registry.py;
    fields that hold any backend are annotated with `AnyGeneratorSettings` from there.
    """

    not_in_cache_key: ClassVar[frozenset[str]] = frozenset({"price"})

    is_remote: ClassVar[bool] = False
    """Whether the model runs behind an endpoint: its files aren't here, so only its name identifies it."""
    image: ClassVar[Image | None] = None
    """The image, of those that ship, that alone has the backend's packages; None: every step's image has them."""
    abilities: ClassVar[frozenset[Ability]] = frozenset({Ability.CHAT, Ability.SAMPLES})

    backend: str = Field(description="what runs the model")
    model: str = Field(description="folder, store URI, hub id, package:FOLDER, or the name the endpoint serves")
    extra: dict[str, JsonValue] = Field(
        {},
        description="chat_template_kwargs: a mapping that is passed to the chat template, such as "
        "{enable_thinking: false}",
    )
    price: Price = Field(Price(), description="price list")

    @property
    def served_by(self) -> frozenset[str]:
        """What a remote model is reached through: generators that share a part of it take turns."""
        return frozenset()

    @property
    def most_in_flight(self) -> int:
        """Most requests in progress at a time at a remote model."""
        return 1

    @property
    def template_options(self) -> dict[str, JsonValue]:
        """What the chat template receives besides the messages, where the model runs in this process."""
        options = self.extra.get(TEMPLATE_OPTIONS, {})
        assert isinstance(options, dict)  # _check_extra ensures it
        return options

    @abstractmethod
    def open(self) -> "Generator":
        """Load the model, or connect to its endpoints; heavy packages are imported here.

        Raises:
            SettingsError: the settings cannot work, or a package that the backend needs is not installed.
            GenerationError: no endpoint answers.
            ModelError: the model cannot be loaded.
        """

    def open_folder(self, model: ModelFolder) -> "LocalGenerator":
        """Load a model from a folder of this machine, whatever `model` names.

        Raises:
            SettingsError: the backend runs no model in this process; and whatever `open` raises.
        """
        raise SettingsError(
            f"backend {self.backend!r} runs no model in this process",
            remedy="choose a backend that loads a model's files",
        )

    def try_out(self, sampling: Sampling) -> str:
        """Doctor's check: where the files are here, their digest.

        Args:
            sampling: how the step will sample.

        Raises:
            TutelageError: the model is not there, or does not answer.
        """
        return f"{self.backend}, {hex_of(as_parent(self.model).digest, 12)}"

    @model_validator(mode="after")
    def _check_extra(self) -> Self:
        others = sorted(self.extra.keys() - {TEMPLATE_OPTIONS})
        if not self.is_remote and others:
            raise ValueError(
                f"extra: backend {self.backend!r} reads {TEMPLATE_OPTIONS} only, not {', '.join(others)}; "
                "for sampling use the step's sampling settings"
            )
        if not isinstance(self.extra.get(TEMPLATE_OPTIONS, {}), dict):
            raise ValueError(f"extra: {TEMPLATE_OPTIONS} must be a mapping, such as {{enable_thinking: false}}")
        return self


class ChatRequest(BaseModel):
    """One conversation to answer; `key` identifies its reply.

    `opening` is how the answer begins, which a backend with the ability CONTINUES goes on with; the reply's text does
    not repeat it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    messages: tuple[Message, ...]
    opening: str = ""


class RankRequest(BaseModel):
    """One conversation, and texts of which each could follow its prompt directly."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    messages: tuple[Message, ...]
    continuations: tuple[str, ...]


class Ranking(BaseModel):
    """What ranks the continuations of a request.

    Attributes:
        key: of the request.
        log_likelihoods: of each continuation, in nats: the sum of its tokens' log-probabilities.
        tokens_in: tokens of the prompt and of all continuations.
        refusal: why the chat template refuses the conversation; then there are no log-likelihoods.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    log_likelihoods: tuple[float, ...] = ()
    tokens_in: int = 0
    refusal: str = ""


class Reply(BaseModel):
    """One answer. `finish` is `error` when all attempts failed or gave no answer; `text` is the reason then.

    Attributes:
        reasoning: what the model thought before the answer; it is never part of `text`.
        finish: `length`: the answer was truncated at max_tokens.
        leaked: control tokens at the end of the answer, or the header of its turn, were removed.
        mended: characters that UTF-8 cannot encode were replaced.
        refused: the model was never asked, since its chat template refuses the conversation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    text: str
    reasoning: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    finish: Literal["stop", "length", "error"] = "stop"
    leaked: bool = False
    mended: bool = False
    refused: bool = False

    @property
    def failed(self) -> bool:
        """Whether another attempt may give an answer; after a refusal it cannot."""
        return self.finish == "error" and not self.refused


class Usage(BaseModel):
    """What a generator did since it was opened.

    A slot is one request in flight at a remote model, or one row of a batch. `busy_seconds` is the time that slots were
    in use, summed over them; `wall_seconds` is the time with anything to do; utilisation is busy / (slots x wall).
    `truncated` counts prompts; `reasoned`, `leaked` and `mended` count replies (see Reply).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests: int = 0
    errors: int = 0
    retries: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    truncated: int = 0
    control_text: int = 0
    reasoned: int = 0
    leaked: int = 0
    mended: int = 0
    slots: int = 0
    busy_seconds: float = 0.0
    wall_seconds: float = 0.0

    def after(self, replies: Sequence[Reply]) -> "Usage":
        """The usage with these replies added."""
        return self.model_copy(
            update={
                "requests": self.requests + len(replies),
                "errors": self.errors + sum(reply.finish == "error" for reply in replies),
                "tokens_in": self.tokens_in + sum(reply.tokens_in for reply in replies),
                "tokens_out": self.tokens_out + sum(reply.tokens_out for reply in replies),
                "reasoned": self.reasoned + sum(bool(reply.reasoning) for reply in replies),
                "leaked": self.leaked + sum(reply.leaked for reply in replies),
                "mended": self.mended + sum(reply.mended for reply in replies),
            }
        )


class Generator(Protocol):
    """Answers prompts. Each request gets one reply; replies come in any order."""

    def answer(self, requests: Iterable[ChatRequest], sampling: Sampling) -> Iterator[Reply]:
        """Answer all requests. Raises GenerationError when the model cannot be reached."""
        ...

    def usage(self) -> Usage:
        """What was asked and answered so far."""
        ...

    def close(self) -> None:
        """Free memory and connections."""
        ...


class LocalGenerator(Generator, Protocol):
    """A model in this process."""

    @property
    def prompts(self) -> LocalPrompts:
        """What is known about its prompts."""
        ...


@runtime_checkable
class RanksTexts(Protocol):
    """What a backend with the ability LOG_PROBABILITIES opens."""

    def rank(self, requests: Iterable[RankRequest]) -> Iterator[Ranking]:
        """Log-likelihoods of the continuations of each request, in order. Raises ModelError."""
        ...


def open_generator(settings: GeneratorSettings) -> Generator:
    """Load, or connect to, the model that the settings name.

    Raises:
        SettingsError: the backend cannot chat; and whatever `GeneratorSettings.open` raises.
    """
    require_ability(settings, Ability.CHAT)
    return settings.open()


def require_ability(settings: GeneratorSettings, ability: Ability) -> None:
    """Refuse a backend that lacks an ability. Raises SettingsError."""
    if ability not in settings.abilities:
        raise SettingsError(
            f"backend {settings.backend!r} lacks the ability {ability.value!r}",
            rule=f"its abilities: {', '.join(sorted(one.value for one in settings.abilities)) or 'none'}",
            remedy="use another backend",
        )
