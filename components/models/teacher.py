"""The one protocol of all teachers, and of whatever else answers prompts (the student too)."""

from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from typing import Annotated, ClassVar, Literal, Protocol, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator

from components.shared.rows import Message
from components.shared.settings import Settings, known

BACKENDS = {
    "transformers": "components.models.transformers_teacher:TransformersTeacher",
    "openai": "components.models.openai_teacher:OpenAITeacher",
    "vllm": "components.models.vllm_teacher:VllmTeacher",
}
"""Teachers by name: the module, and its class, whose `open` takes the settings."""

TEMPLATE_OPTIONS = "chat_template_kwargs"
"""Field of `extra` that chat templates are given (vLLM's and SGLang's name for it)."""


def _without_secret(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    if parts.username is not None or parts.password is not None:
        raise ValueError("an endpoint may hold no user or password; name a variable in api_key_variable")
    return endpoint


BackendName = Annotated[str, known(BACKENDS, "teacher backend"), Field(json_schema_extra={"enum": list(BACKENDS)})]
Endpoint = Annotated[str, AfterValidator(_without_secret)]


class Price(Settings):
    """A price list: money for a million tokens."""

    per_million_in: float = Field(0.0, ge=0, description="for a million prompt tokens")
    per_million_out: float = Field(0.0, ge=0, description="for a million generated tokens")
    currency: str = Field("USD", description="ISO 4217 code")


class Sampling(Settings):
    """How answers are drawn."""

    temperature: float = Field(0.0, ge=0, le=2, description="0 takes the likeliest token each time")
    top_p: float = Field(1.0, gt=0, le=1, description="nucleus sampling: the smallest set with this probability")
    max_tokens: int = Field(512, ge=1, description="longest answer, in tokens")
    seed: int = Field(0, description="seed of the sampling")


class TeacherSettings(Settings):
    """Who answers: a model and how it is reached."""

    apart_from_key: ClassVar[frozenset[str]] = frozenset(
        {
            *("endpoints", "api_key_variable", "window", "timeout_seconds", "attempts", "backoff_seconds"),
            *("price", "batch"),
        }
    )

    backend: BackendName = Field("transformers", description="what runs the model")
    model: str = Field(description="folder, store URI, hub id, package:FOLDER, or the name the endpoint serves")
    endpoints: tuple[Endpoint, ...] = Field((), description="openai: base URLs such as http://host:8000/v1")
    api_key_variable: str = Field("", description="openai: environment variable that holds the API key")
    window: int = Field(256, ge=1, description="openai: most requests in flight at one endpoint")
    timeout_seconds: float = Field(300.0, gt=0, description="openai: longest wait for one answer, in seconds")
    attempts: int = Field(6, ge=1, description="openai: tries for one request")
    backoff_seconds: float = Field(0.5, gt=0, description="openai: first pause before another try; doubles, to 60 s")
    extra: dict[str, JsonValue] = Field(
        {},
        description="openai: more fields of the request; everywhere: chat_template_kwargs, what the chat template is "
        "given, such as {enable_thinking: false}",
    )
    batch: int = Field(64, ge=1, description="transformers: prompts in one batch")
    price: Price = Field(Price(), description="price list")

    @property
    def template_options(self) -> dict[str, JsonValue]:
        """What a model that runs here gives its chat template besides the messages."""
        options = self.extra.get(TEMPLATE_OPTIONS, {})
        assert isinstance(options, dict)  # _check has seen to it
        return options

    @model_validator(mode="after")
    def _check(self) -> Self:
        others = sorted(self.extra.keys() - {TEMPLATE_OPTIONS})
        if self.backend != "openai" and others:
            raise ValueError(
                f"extra: backend {self.backend!r} reads {TEMPLATE_OPTIONS} alone, not {', '.join(others)}; "
                "sampling has settings of its own"
            )
        if not isinstance(self.extra.get(TEMPLATE_OPTIONS, {}), dict):
            raise ValueError(f"extra: {TEMPLATE_OPTIONS} is a mapping, such as {{enable_thinking: false}}")
        return self


class Request(BaseModel):
    """One prompt; `key` comes back with the reply."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    messages: tuple[Message, ...]


class Reply(BaseModel):
    """One answer. `finish` is `error` when every attempt failed, or none held an answer; `text` then holds the reason.

    `reasoning` is what the model thought before the answer, which `text` never holds. `leaked`: control tokens at the
    end of the answer (or the header of its turn) were cut. `mended`: it held what no UTF-8 can hold, now replaced.

    With `refused`, the model was never asked: its chat template refuses the conversation.
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
        """Whether another try may give an answer: a refusal stays one."""
        return self.finish == "error" and not self.refused


class Usage(BaseModel):
    """What a teacher did since it was opened.

    A slot is one request in flight (openai) or one row of a batch. `busy_seconds` sums over the slots the time that
    they worked, `wall_seconds` is the time with anything to do, so utilisation is busy / (slots x wall). `truncated`
    counts prompts that were cut; `reasoned`, `leaked` and `mended` count replies (see Reply).
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
        """The same with these replies counted."""
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

    @property
    def utilisation(self) -> float:
        """Share of the slots' time that was worked, 0 to 1."""
        return self.busy_seconds / (self.slots * self.wall_seconds) if self.slots * self.wall_seconds > 0 else 0.0


class Teacher(Protocol):
    """Answers prompts. Replies come as they finish, in any order, one for each request."""

    def answer(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Reply]:
        """Answer all requests. Raises TeacherError when the teacher cannot be reached at all."""
        ...

    def usage(self) -> Usage:
        """What was asked and answered until now."""
        ...

    def close(self) -> None:
        """Free memory and connections."""
        ...


def open_teacher(settings: TeacherSettings) -> Teacher:
    """Load or connect to the teacher that the settings name.

    Raises:
        SettingsError: impossible settings, or what the backend needs is not installed.
        TeacherError: no endpoint answers.
        ModelError: the model cannot be loaded.
    """
    module, _, name = BACKENDS[settings.backend].partition(":")
    teacher: Teacher = getattr(import_module(module), name).open(settings)
    return teacher
