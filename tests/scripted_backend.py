"""A backend of generators for tests of what reads many answers: each problem's own text sets how often it is solved.

`solved 0.25` in a message: a quarter of the answers are "yes", the others "no", by the key of the request. `refused`,
`fails`, `thinks` and `empty` in a message give such replies.
"""

import re
from collections.abc import Iterable, Iterator
from typing import ClassVar, Literal

from components.models.generators.generator import ChatRequest, GeneratorSettings, Reply, Sampling, Usage
from components.models.generators.settle_reply import Written, settle_reply
from components.shared.outputs.digest import seed_of

ASKED: list[str] = []
"""The keys of all requests, in the order in which they were answered; a test empties it."""


class ScriptedSettings(GeneratorSettings):
    """Answers by the script; `dies_after` answers it ends as a killed process does."""

    not_in_cache_key: ClassVar[frozenset[str]] = GeneratorSettings.not_in_cache_key | {"dies_after"}
    is_remote: ClassVar[bool] = True

    backend: Literal["scripted"] = "scripted"
    dies_after: int | None = None

    def open(self) -> "ScriptedGenerator":
        return ScriptedGenerator(self)


class ScriptedGenerator:
    def __init__(self, settings: ScriptedSettings) -> None:
        self._settings, self._usage = settings, Usage(slots=1)

    def answer(self, requests: Iterable[ChatRequest], sampling: Sampling) -> Iterator[Reply]:
        for request in requests:
            if self._settings.dies_after is not None and self._usage.requests >= self._settings.dies_after:
                raise KeyboardInterrupt
            reply = _reply(request, sampling)
            self._usage = self._usage.after([reply])
            ASKED.append(request.key)
            yield reply

    def usage(self) -> Usage:
        return self._usage

    def close(self) -> None:
        """Nothing to free."""


def _reply(request: ChatRequest, sampling: Sampling) -> Reply:
    text = request.messages[-1].content
    if "refused" in text:
        return Reply(key=request.key, text="no such role", finish="error", refused=True)
    if "fails" in text:
        return Reply(key=request.key, text="HTTP 500", finish="error")
    if "thinks" in text:
        return settle_reply(request.key, Written("<think>\nyes", truncated=True, tokens_out=9))
    if "empty" in text:
        return settle_reply(request.key, Written(""))
    found = re.search(r"solved ([\d.]+)", text)
    rate = float(found[1]) if found else 1.0
    solved = seed_of(f"{sampling.seed}:{request.key}") < rate * 2**64
    return Reply(key=request.key, text="yes" if solved else "no", tokens_in=5, tokens_out=3 if solved else 7)
