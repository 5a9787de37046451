"""What tells one kind of HTTP model service from another: its paths, and how a response is read."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Generic

from components.models.service.endpoint import Answer, TryOutcome
from components.shared.errors import ServiceError, TutelageError


@dataclass(frozen=True)
class HttpResponse:
    """An endpoint's response to one request: HTTP status, headers (case-insensitive) and body."""

    url: str
    status: int
    headers: Mapping[str, str]
    data: bytes


@dataclass(frozen=True, slots=True)
class ServiceRequest:
    """One request.

    Attributes:
        key: comes back with the answer.
        body: JSON.
        prompt: requests whose prompts start alike go to one endpoint, which caches that prefix; empty: to any.
    """

    key: str
    body: bytes
    prompt: str = ""


class Service(ABC, Generic[Answer]):
    """A kind of service, such as chat completions, a moderation endpoint or a reward server."""

    name: ClassVar[str]
    """In the log and in messages."""
    path: ClassVar[str]
    """Below an endpoint's base URL: where requests are posted."""
    probe_path: ClassVar[str]
    """Below an endpoint's base URL: what is read to see whether the endpoint is up. Any response will do."""
    api: ClassVar[str]
    """What an endpoint serves, for messages, such as `an OpenAI-compatible API`."""
    base_urls: ClassVar[tuple[str, ...]] = ("http://HOST:PORT", "https://HOST")
    """Forms of a base URL, for messages."""
    error: ClassVar[type[TutelageError]] = ServiceError
    """Raised when no endpoint answers, or none ever will."""

    @abstractmethod
    def read(
        self, key: str, response: HttpResponse, by_status: Callable[[int], TryOutcome[Answer]]
    ) -> TryOutcome[Answer]:
        """The outcome of an attempt whose status is one of success.

        Args:
            key: the request's key.
            response: what the endpoint sent.
            by_status: the outcome that an error status has, for services that send errors with status 200.
        """

    @abstractmethod
    def failed(self, key: str, reason: str, partial: Answer | None) -> Answer:
        """The answer to a request that failed permanently.

        Args:
            key: the request's key.
            reason: why it failed.
            partial: what is known of the answer nevertheless, such as its count of tokens.
        """
