"""What a chat completion contains: an answer, a refusal, a tool call, an error, or something else."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from components.models.generators.finish_reasons import Ending, ending_of
from components.models.generators.generator import Reply
from components.models.generators.openai.read_message import ReadMessage, read_message
from components.models.generators.settle_reply import Written, settle_reply, why_empty
from components.models.service.endpoint import TryOutcome, TryStatus
from components.models.service.read_status import detail_of, parse_body
from components.models.service.service import HttpResponse

SHOWN_CHARACTERS = 200
NO_TOOL_PARSER = "start the server without a tool-call parser"


def read_completion(
    key: str, response: HttpResponse, by_status: Callable[[int], TryOutcome[Reply]]
) -> TryOutcome[Reply]:
    """The outcome of a successful status: usually an answer, but gateways send errors with it too.

    Args:
        key: the request's key.
        response: what the endpoint sent, with a status of success.
        by_status: the outcome that an error's code has as a status.
    """
    found = parse_body(response.data)
    if isinstance(found, dict) and (error := _error_in(found)) is not None:
        return _named_error(response, error, by_status)
    try:
        return _choice(key, response.url, found["choices"][0], found.get("usage"))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return _no_completion(response, found)


def _choice(key: str, url: str, choice: dict[str, Any], usage: Any) -> TryOutcome[Reply]:
    if choice.get("error"):
        reason = f"{url} ended the answer with an error{detail_of(json.dumps(choice['error']).encode())}"
        return TryOutcome(TryStatus.BROKEN, reason=reason, alive=True)
    message: dict[str, Any] = choice["message"] if "message" in choice else {"content": choice["text"]}
    content, ending = read_message(message), ending_of(choice.get("finish_reason"))
    if ending is Ending.INTERRUPTED:
        reason = f"{url} ended the answer with the finish reason {choice['finish_reason']!r}"
        return TryOutcome(TryStatus.BROKEN, reason=reason, alive=True)
    counts = _counts(usage)
    if ending is Ending.REFUSED or (content.refusal and not content.text.strip()):
        said = " ".join(content.refusal.split())[:SHOWN_CHARACTERS]
        named = choice.get("finish_reason") if ending is Ending.REFUSED else "refusal"
        return _refused(key, f"{url} withheld the answer: refused ({named}){f': {said}' if said else ''}", counts)
    if content.calls_tool or (ending is Ending.TOOL_CALL and not content.text.strip()):
        reason = f"{url} answers with a tool call instead of text: take `tools` out of `extra`, or {NO_TOOL_PARSER}"
        return _refused(key, reason, counts)
    if content.others and not content.text.strip():
        return _refused(key, f"{url} answers without text: its parts are {', '.join(content.others)}", counts)
    return _answer(key, url, content, ending is Ending.TRUNCATED, counts)


def _answer(key: str, url: str, content: ReadMessage, truncated: bool, counts: "TokenCounts") -> TryOutcome[Reply]:
    written = Written(content.text, content.reasoning, truncated, tokens_in=counts.prompt, tokens_out=counts.completion)
    reply = settle_reply(key, written)
    if reply.finish != "error":
        return TryOutcome(TryStatus.ANSWERED, answer=reply)
    reason = reply.text
    if counts.reasoning and not reply.reasoning:
        # OpenAI's own models don't return their reasoning, but count its tokens.
        reason = why_empty(thought_only=True, truncated=truncated)
    reason = f"{reason} [{url}]"
    return TryOutcome(TryStatus.REFUSED, reason=reason, partial=reply)


def _refused(key: str, reason: str, counts: "TokenCounts") -> TryOutcome[Reply]:
    partial = Reply(key=key, text=reason, tokens_in=counts.prompt, tokens_out=counts.completion, finish="error")
    return TryOutcome(TryStatus.REFUSED, reason=reason, partial=partial)


@dataclass(frozen=True)
class TokenCounts:
    """Tokens of a prompt, of its completion, and of the reasoning in the completion; 0 where unknown."""

    prompt: int = 0
    completion: int = 0
    reasoning: int = 0


def _counts(usage: Any) -> TokenCounts:
    if not isinstance(usage, dict):
        return TokenCounts()
    details = usage.get("completion_tokens_details")
    reasoning = details.get("reasoning_tokens") if isinstance(details, dict) else 0
    return TokenCounts(_whole(usage.get("prompt_tokens")), _whole(usage.get("completion_tokens")), _whole(reasoning))


def _whole(value: Any) -> int:
    """A count as servers write it (5, 5.0, "5"); 0 for anything else."""
    try:
        return max(int(float(value)), 0)
    except (TypeError, ValueError, OverflowError):
        return 0


def _no_completion(response: HttpResponse, found: Any) -> TryOutcome[Reply]:
    if isinstance(found, dict) and "choices" in found and not found["choices"]:
        return TryOutcome(
            TryStatus.BROKEN, reason=f"{response.url} answers without any choice{detail_of(response.data)}", alive=True
        )
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip() or "none"
    reason = f"{response.url} answers with something other than a chat completion (content type {kind})"
    return TryOutcome(TryStatus.BROKEN, reason=reason + detail_of(response.data))


def _error_in(body: dict[str, Any]) -> Any:
    """The error in a body, if any: the field `error`, or an object of the type `error`."""
    return body.get("error") or (body if body.get("object") == "error" and not body.get("choices") else None)


def _named_error(
    response: HttpResponse, error: Any, by_status: Callable[[int], TryOutcome[Reply]]
) -> TryOutcome[Reply]:
    """An error within a successful response (from OpenRouter, say) means what its code means as a status."""
    status = _whole(error.get("code")) if isinstance(error, dict) else 0
    if 400 <= status < 600:
        return by_status(status)
    return TryOutcome(TryStatus.BROKEN, reason=f"{response.url} answers with an error{detail_of(response.data)}")
