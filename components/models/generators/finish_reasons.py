"""Finish reasons of many servers: why an answer ended.

OpenAI, vLLM, SGLang, TGI, llama.cpp, Ollama, Azure, Gemini, Anthropic, Cohere, Mistral, DeepSeek, Bedrock, watsonx,
Zhipu: each has its own names, and gateways pass on those of the server behind them. Case is ignored.
"""

import enum
import functools
import re

from components.shared.log import say
from components.shared.storable import storable

SHOWN_CHARACTERS = 60


class Ending(enum.Enum):
    """What a finish reason means."""

    COMPLETE = "complete"
    TRUNCATED = "truncated"
    TOOL_CALL = "tool call"
    INTERRUPTED = "interrupted"  # the server gave up; another attempt may succeed
    REFUSED = "refused"  # the same request will be refused again


_REASONS = {
    Ending.COMPLETE: (
        *("stop", "eos", "eos_token", "end_turn", "complete", "completed", "stop_sequence", "stop_token"),
        *("endoftext", "end_of_text", "end_of_turn", "finish", "finished", "normal", "done", "success", "null", "none"),
        *(
            "stop_str",
            "stop_string",
            "stop_word",
            "stop_words",
            "stopped",
            "eos_token_id",
            "eos_id",
            "end_id",
            "eot",
            "end",
        ),
    ),
    Ending.TRUNCATED: (
        *("length", "max_tokens", "max_token", "max_length", "model_length", "max_new_tokens", "max_output_tokens"),
        *("max_completion_tokens", "max_output", "model_context_window_exceeded", "context_length_exceeded"),
        *("context_window_exceeded", "context_length", "error_limit", "token_limit", "time_limit", "incomplete"),
        *(
            "limit",
            "length_limit",
            "context_limit",
            "max_tokens_reached",
            "token_limit_reached",
            "truncated",
            "repetition",
        ),
    ),
    Ending.TOOL_CALL: (
        *("tool_calls", "tool_call", "tool_use", "function_call", "function_calls"),
        *("malformed_function_call", "unexpected_tool_call", "too_many_tool_calls"),
    ),
    Ending.INTERRUPTED: (
        *("error", "abort", "aborted", "cancelled", "canceled", "cancel", "user_cancel", "timeout", "timed_out"),
        *("network_error", "server_error", "internal_error", "engine_error", "overloaded", "failed", "failure"),
        "insufficient_system_resource",
    ),
    Ending.REFUSED: (
        *("content_filter", "content_filtered", "safety", "image_safety", "recitation", "image_recitation"),
        *("blocklist", "prohibited_content", "image_prohibited_content", "spii", "language", "refusal", "refused"),
        *("error_toxic", "guardrail_intervened", "sensitive", "moderation", "blocked", "flagged", "model_armor"),
    ),
}
# Underscores are removed: MAX_TOKENS, max-tokens and MaxTokens are the same.
_ENDINGS = {reason.replace("_", ""): ending for ending, reasons in _REASONS.items() for reason in reasons}


def ending_of(reason: object) -> Ending:
    """What a finish reason means; an unknown one counts as complete and is logged once.

    Args:
        reason: a string; null and an empty string count as complete; SGLang's form is `{"type": "length", …}`.
    """
    if isinstance(reason, dict):
        reason = reason.get("type")
    if not isinstance(reason, str):
        return Ending.COMPLETE
    # Enumerations are written FinishReason.MAX_TOKENS or FINISH_REASON_MAX_TOKENS.
    name = re.sub(r"[\s_-]+", "", reason.rpartition(".")[2]).casefold().removeprefix("finishreason")
    ending = _ENDINGS.get(name) if name else Ending.COMPLETE
    if ending is None:
        _note_unknown(reason.strip().casefold())
        return Ending.COMPLETE
    return ending


@functools.lru_cache(maxsize=256)
def _note_unknown(name: str) -> None:
    shown = storable(name[:SHOWN_CHARACTERS])
    say("models", f"unknown finish reason {shown!r}: answers with it count as complete")
