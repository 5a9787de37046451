"""A backend of generators for tests of what a teacher writes: each problem's own text names the replies."""

import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from components.models.generators.generator import ChatRequest, GeneratorSettings, Reply, Sampling, Usage

ASKED: list[ChatRequest] = []
"""All requests, in the order in which they were answered; a test empties it."""


class BookSettings(GeneratorSettings):
    """A teacher that answers as a problem says: `traces=good,wrong` names the first two replies of the kind traces.

    `fails` and `template` are replies that never come. `dies_after` answers it ends as a killed process does.
    """

    not_in_cache_key: ClassVar[frozenset[str]] = GeneratorSettings.not_in_cache_key | {"dies_after"}
    is_remote: ClassVar[bool] = True

    dies_after: int | None = None

    @abstractmethod
    def page(self, prompt: str) -> tuple[str, Mapping[str, str]]:
        """The kind of reply that a prompt asks for, and its texts by name."""

    def open(self) -> "BookTeacher":
        return BookTeacher(self)


class BookTeacher:
    def __init__(self, settings: BookSettings) -> None:
        self._settings, self._answered = settings, 0

    def answer(self, requests: Iterable[ChatRequest], sampling: Sampling) -> Iterator[Reply]:
        for request in requests:
            if self._answered == self._settings.dies_after:
                raise KeyboardInterrupt
            self._answered += 1
            ASKED.append(request)
            yield self._reply(request)

    def usage(self) -> Usage:
        return Usage(slots=1)

    def close(self) -> None:
        """Nothing to free."""

    def _reply(self, request: ChatRequest) -> Reply:
        prompt = request.messages[-1].content
        kind, texts = self._settings.page(prompt)
        said = re.search(rf"{kind}=([\w,]+)", prompt)
        assert said is not None
        names = said[1].split(",")
        name = names[int(request.key.rpartition("/")[2]) % len(names)]
        if name in {"fails", "template"}:
            return Reply(key=request.key, text="HTTP 400: content filter", finish="error", refused=name == "template")
        return Reply(key=request.key, text=texts[name], tokens_in=9, tokens_out=4)
