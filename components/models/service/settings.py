"""Settings of an HTTP model service: where it is, its key, and how often it is asked."""

from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from components.shared.settings import Settings


def _without_secret(url: str) -> str:
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise ValueError("an endpoint must not contain a user or password; name a variable in api_key_variable")
    return url


BaseUrl = Annotated[str, AfterValidator(_without_secret)]


class ServiceSettings(Settings):
    """How a service behind one or several HTTP endpoints is reached. None of it changes what is computed."""

    not_in_cache_key: ClassVar[frozenset[str]] = frozenset(
        {"endpoints", "api_key_variable", "window", "timeout_seconds", "attempts", "backoff_seconds"}
    )

    endpoints: tuple[BaseUrl, ...] = Field((), description="base URLs such as http://host:8000/v1")
    api_key_variable: str = Field("", description="environment variable that holds the API key; empty: no key is sent")
    window: int = Field(256, ge=1, description="most requests in flight at one endpoint")
    timeout_seconds: float = Field(300.0, gt=0, description="longest wait for one answer, in seconds")
    attempts: int = Field(6, ge=1, description="attempts at one request; 429 and 503 don't count")
    backoff_seconds: float = Field(
        0.5, gt=0, description="pause before the second attempt, in seconds; doubles with each further one, up to 60"
    )
