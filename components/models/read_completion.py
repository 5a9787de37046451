"""What a chat completion holds: an answer, a refusal, a tool call, an error, or nothing of the kind."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from components.models.endpoint import Outcome, Verdict
from components.models.finish_reasons import Ending, ending_of
from components.models.read_message import Spoken, read_message
from components.models.settle_reply import Written, settle_reply, why_empty
from components.models.teacher import Reply
from components.shared.storable import storable

SHOWN_CHARACTERS = 200
NO_TOOL_PARSER = "start the server without a tool-call parser"


@dataclass(frozen=True)
class Body:
    """What an endpoint answered to a request with a status of success."""

    url: str
    content_type: str
    data: bytes


def read_completion(key: str, body: Body, by_status: Callable[[int], Outcome]) -> Outcome:
    """The outcome of a success: mostly an answer, but gateways put errors into it as well.

    Args:
        key: the request's key.
        body: what came.
        by_status: the outcome that an error's own code has as a status.
    """
    found = _parsed(body.data)
    if isinstance(found, dict) and (error := _error_in(found)) is not None:
        return _named_error(body, error, by_status)
    try:
        return _choice(key, body.url, found["choices"][0], found.get("usage"))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return _no_completion(body, found)


def _parsed(data: bytes) -> Any:
    """The body as JSON, None where it is none. Gemini's OpenAI face puts errors into a list."""
    try:
        # A byte that is no UTF-8 becomes a lone surrogate, which is replaced and counted with the others; raw tabs and
        # line breaks within strings are read as what they are.
        text = data.decode("utf-8-sig", errors="surrogateescape")
        found = json.loads(text, strict=False)
    except ValueError:
        return None
    return found[0] if isinstance(found, list) and found else found


def _choice(key: str, url: str, choice: dict[str, Any], usage: Any) -> Outcome:
    if choice.get("error"):
        reason = f"{url} ended the answer with an error{detail_of(json.dumps(choice['error']).encode())}"
        return Outcome(Verdict.BROKEN, reason=reason, alive=True)
    message: dict[str, Any] = choice["message"] if "message" in choice else {"content": choice["text"]}
    spoken, ending = read_message(message), ending_of(choice.get("finish_reason"))
    if ending is Ending.INTERRUPTED:
        reason = f"{url} ended the answer with the finish reason {choice['finish_reason']!r}"
        return Outcome(Verdict.BROKEN, reason=reason, alive=True)
    counts = _counts(usage)
    if ending is Ending.REFUSED or (spoken.refusal and not spoken.text.strip()):
        said = " ".join(spoken.refusal.split())[:SHOWN_CHARACTERS]
        named = choice.get("finish_reason") if ending is Ending.REFUSED else "refusal"
        return _refused(key, f"{url} withheld the answer: refused ({named}){f': {said}' if said else ''}", counts)
    if spoken.calls_tool or (ending is Ending.TOOL_CALL and not spoken.text.strip()):
        reason = f"{url} answers with a tool call instead of text: take `tools` out of `extra`, or {NO_TOOL_PARSER}"
        return _refused(key, reason, counts)
    if spoken.others and not spoken.text.strip():
        return _refused(key, f"{url} answers without text: its parts are {', '.join(spoken.others)}", counts)
    return _answer(key, url, spoken, ending is Ending.TRUNCATED, counts)


def _answer(key: str, url: str, spoken: Spoken, truncated: bool, counts: "Counts") -> Outcome:
    written = Written(spoken.text, spoken.reasoning, truncated, tokens_in=counts.prompt, tokens_out=counts.completion)
    reply = settle_reply(key, written)
    if reply.finish != "error":
        return Outcome(Verdict.ANSWERED, reply=reply)
    reason = reply.text
    if counts.reasoning and not reply.reasoning:
        # OpenAI's own models keep their reasoning to themselves and only count it.
        reason = why_empty(thought_only=True, truncated=truncated)
    reason = f"{reason} [{url}]"
    return Outcome(Verdict.REFUSED, reason=reason, failed=reply.model_copy(update={"text": reason}))


def _refused(key: str, reason: str, counts: "Counts") -> Outcome:
    text = storable(reason)
    failed = Reply(key=key, text=text, tokens_in=counts.prompt, tokens_out=counts.completion, finish="error")
    return Outcome(Verdict.REFUSED, reason=text, failed=failed)


@dataclass(frozen=True)
class Counts:
    """Tokens of a prompt, of its completion, and how many of the latter are reasoning; 0 where unknown."""

    prompt: int = 0
    completion: int = 0
    reasoning: int = 0


def _counts(usage: Any) -> Counts:
    if not isinstance(usage, dict):
        return Counts()
    details = usage.get("completion_tokens_details")
    reasoning = details.get("reasoning_tokens") if isinstance(details, dict) else 0
    return Counts(_whole(usage.get("prompt_tokens")), _whole(usage.get("completion_tokens")), _whole(reasoning))


def _whole(value: Any) -> int:
    """A count as servers write it (5, 5.0, "5"); 0 for what is none."""
    try:
        return max(int(float(value)), 0)
    except (TypeError, ValueError, OverflowError):
        return 0


def _no_completion(body: Body, found: Any) -> Outcome:
    if isinstance(found, dict) and "choices" in found and not found["choices"]:
        return Outcome(
            Verdict.BROKEN, reason=f"{body.url} answers without any choice{detail_of(body.data)}", alive=True
        )
    kind = body.content_type.partition(";")[0].strip() or "none"
    reason = f"{body.url} answers with something that is no chat completion (content type {kind})"
    return Outcome(Verdict.BROKEN, reason=reason + detail_of(body.data))


def _error_in(body: dict[str, Any]) -> Any:
    """The error that a body is about, if it is: `error`, or an object that is one by its own word."""
    return body.get("error") or (body if body.get("object") == "error" and not body.get("choices") else None)


def _named_error(body: Body, error: Any, by_status: Callable[[int], Outcome]) -> Outcome:
    """An error within a success (OpenRouter's, say) means what its code would mean as a status."""
    status = _whole(error.get("code")) if isinstance(error, dict) else 0
    if 400 <= status < 600:
        return by_status(status)
    return Outcome(Verdict.BROKEN, reason=f"{body.url} answers with an error{detail_of(body.data)}")


def detail_of(data: bytes) -> str:
    """The message of an error's body, truncated to a readable length; empty where there is none."""
    body = _parsed(data)
    if body is None:
        body = data.decode(errors="replace")
    if isinstance(body, dict):
        error = body.get("error", body)
        body = (error.get("message") or error) if isinstance(error, dict) else error
    text = " ".join(storable(str(body)).split())[:SHOWN_CHARACTERS]
    return f": {text}" if text else ""
