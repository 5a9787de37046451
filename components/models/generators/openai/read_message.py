"""Reads an assistant's message in the forms that OpenAI-compatible servers send.

`content` is a string, null, or parts (`text`, `thinking`, `refusal`); the reasoning is in `reasoning_content` (of
DeepSeek, vLLM, SGLang, llama.cpp), `reasoning` (OpenRouter, Ollama, newer vLLM), `thinking` or `reasoning_details`; a
tool call in `tool_calls`, or in the older `function_call`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
_REASONING_PARTS = ("thinking", "reasoning", "thought")


@dataclass(frozen=True)
class ReadMessage:
    """The parts of a message; each may be empty. `others` names the types of parts that are not text."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    calls_tool: bool = False
    others: tuple[str, ...] = ()


def read_message(message: Mapping[str, Any]) -> ReadMessage:
    """Read a message. Raises TypeError where its content is neither text nor a list of parts."""
    content = _read_content(message.get("content"))
    reasoning = next((text for name in _REASONING_FIELDS if (text := _plain(message.get(name)))), "")
    refusal = message.get("refusal")
    return ReadMessage(
        text=content.text,
        reasoning="\n\n".join(filter(None, (reasoning, content.reasoning))),
        refusal=refusal if isinstance(refusal, str) and refusal else content.refusal,
        calls_tool=bool(message.get("tool_calls") or message.get("function_call")) or content.calls_tool,
        others=content.others,
    )


def _read_content(content: Any) -> ReadMessage:
    if content is None or isinstance(content, str):
        return ReadMessage(text=content or "")
    parts = content.get("parts", [content]) if isinstance(content, dict) else content
    if not isinstance(parts, list):
        raise TypeError(f"content is of the type {type(content).__name__}")
    read = [_read_part(part) for part in parts]
    return ReadMessage(
        text="".join(part.text for part in read),
        reasoning="\n\n".join(part.reasoning for part in read if part.reasoning),
        refusal="".join(part.refusal for part in read),
        calls_tool=any(part.calls_tool for part in read),
        others=tuple(name for part in read for name in part.others),
    )


def _read_part(part: Any) -> ReadMessage:
    if isinstance(part, str):
        return ReadMessage(text=part)
    if not isinstance(part, dict):
        raise TypeError(f"a part of the content is of the type {type(part).__name__}")
    kind = str(part.get("type", "text"))
    if kind in _REASONING_PARTS or part.get("thought") is True:
        return ReadMessage(reasoning=_plain(part))
    if kind == "refusal":
        return ReadMessage(refusal=str(part.get("refusal") or part.get("text") or ""))
    if kind in {"tool_use", "tool_call", "function_call"}:
        return ReadMessage(calls_tool=True)
    text = part.get("text")
    # Some servers nest the text: {"type": "text", "text": {"value": …}}.
    text = text.get("value") if isinstance(text, dict) else text
    return ReadMessage(text=text) if isinstance(text, str) else ReadMessage(others=(kind,))


def _plain(value: Any) -> str:
    """The text of a string, or of parts in any of the known forms."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list):
        return "\n".join(filter(None, map(_plain, value)))
    if isinstance(value, dict):
        names = ("thinking", "text", "reasoning", "content", "summary")
        return next((text for name in names if (text := _plain(value.get(name)))), "")
    return ""
