"""A generator behind one or several OpenAI-compatible endpoints."""

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import Any

from components.models.generators.generator import Ability, ChatRequest, Reply, Sampling, Usage, require_ability
from components.models.generators.openai.read_completion import read_completion
from components.models.generators.openai.settings import OpenAISettings
from components.models.generators.settle_reply import end_at_stop
from components.models.service.client import ServiceClient
from components.models.service.endpoint import TryOutcome
from components.models.service.service import HttpResponse, Service, ServiceRequest
from components.shared.errors import GenerationError
from components.shared.outputs.digest import seed_of
from components.shared.storable import storable


class ChatCompletions(Service[Reply]):
    """The chat completions of OpenAI's API."""

    name = "openai"
    path = "/chat/completions"
    probe_path = "/models"
    api = "an OpenAI-compatible API that serves the model"
    base_urls = ("http://HOST:PORT/v1", "https://HOST/v1")
    error = GenerationError

    def read(
        self, key: str, response: HttpResponse, by_status: Callable[[int], TryOutcome[Reply]]
    ) -> TryOutcome[Reply]:
        """What a completion contains."""
        return read_completion(key, response, by_status)

    def failed(self, key: str, reason: str, partial: Reply | None) -> Reply:
        """A reply with the finish `error`."""
        text = storable(reason)
        return partial.model_copy(update={"text": text}) if partial else Reply(key=key, text=text, finish="error")


class OpenAIGenerator:
    """Keeps a window of requests at each endpoint. Make one with `open`."""

    def __init__(self, settings: OpenAISettings, client: ServiceClient[Reply]) -> None:
        self.settings, self._client = settings, client
        self._counting = threading.Lock()
        self._usage = Usage(slots=client.slots)

    @classmethod
    def open(cls, settings: OpenAISettings) -> "OpenAIGenerator":
        """Connect, and wait until at least one endpoint responds.

        Raises:
            SettingsError: no endpoints, a URL that is not valid, or no key in the variable.
            GenerationError: no endpoint responds, or one refuses the key.
        """
        return cls(settings, ServiceClient.open(settings, ChatCompletions()))

    def answer(self, requests: Iterable[ChatRequest], sampling: Sampling) -> Iterator[Reply]:
        """Answer all requests. Several threads may call this at once: they share the window.

        Raises:
            GenerationError: no endpoint answers any more, or one refuses the key or does not know the model.
        """
        asked = (self._request(request, sampling) for request in requests)
        with closing(self._client.ask(asked)) as answered:
            for replies in answered:
                self._count(replies)
                # Some servers ignore `stop`, and some include it in the answer.
                yield from (end_at_stop(reply, sampling.stop) for reply in replies)

    def usage(self) -> Usage:
        """What was asked and answered until now, and how full the window was."""
        window = self._client.usage()
        measured = {"retries": window.retries, "busy_seconds": window.busy_seconds, "wall_seconds": window.wall_seconds}
        return self._usage.model_copy(update=measured)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _request(self, request: ChatRequest, sampling: Sampling) -> ServiceRequest:
        if request.opening:
            # The API has no field for it: servers would answer from the beginning.
            require_ability(self.settings, Ability.CONTINUES)
        messages = json.dumps([{"role": message.role, "content": message.content} for message in request.messages])
        fields: dict[str, Any] = {
            "model": self.settings.model,
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
        }
        if sampling.temperature > 0:
            seed = seed_of(f"{sampling.seed}:{request.key}", 32) >> 1
            fields.update(top_p=sampling.top_p, seed=seed)
        if sampling.stop:
            fields["stop"] = list(sampling.stop)
        fields.update(self.settings.extra)
        body = f'{json.dumps(fields)[:-1]}, "messages": {messages}}}'.encode()
        return ServiceRequest(request.key, body, prompt=messages)

    def _count(self, replies: list[Reply]) -> None:
        with self._counting:
            self._usage = self._usage.after(replies)
