"""Finish reasons of many servers: complete, truncated, or failed."""

import pytest

from components.models.generators.finish_reasons import Ending, ending_of


@pytest.mark.parametrize(
    "reason",
    [
        *(
            "stop",
            "STOP",
            "eos_token",
            "eos",
            "end_turn",
            "END_TURN",
            "COMPLETE",
            "stop_sequence",
            "FinishReason.STOP",
            None,
        ),
        *("", "endoftext", {"type": "stop", "matched": 151645}),
    ],
)
def test_complete(reason: object) -> None:
    assert ending_of(reason) is Ending.COMPLETE


@pytest.mark.parametrize(
    "reason",
    [
        *(
            "length",
            "LENGTH",
            "max_tokens",
            "MAX_TOKENS",
            "MaxTokens",
            "max-tokens",
            "model_length",
            "max_output_tokens",
        ),
        *(
            "FinishReason.MAX_TOKENS",
            "FINISH_REASON_MAX_TOKENS",
            "model_context_window_exceeded",
            "token_limit",
            {"type": "length", "length": 7},
        ),
    ],
)
def test_truncated(reason: object) -> None:
    assert ending_of(reason) is Ending.TRUNCATED


@pytest.mark.parametrize(
    "reason", ["error", "ERROR", "abort", "cancelled", "USER_CANCEL", "timeout", "insufficient_system_resource"]
)
def test_interrupted(reason: str) -> None:
    assert ending_of(reason) is Ending.INTERRUPTED


@pytest.mark.parametrize(
    "reason",
    [
        *(
            "content_filter",
            "SAFETY",
            "RECITATION",
            "BLOCKLIST",
            "PROHIBITED_CONTENT",
            "SPII",
            "refusal",
            "ERROR_TOXIC",
        ),
        *("guardrail_intervened", "sensitive", "Content-Filter"),
    ],
)
def test_refused(reason: str) -> None:
    assert ending_of(reason) is Ending.REFUSED


@pytest.mark.parametrize("reason", ["tool_calls", "tool_use", "function_call", "MALFORMED_FUNCTION_CALL"])
def test_tool_call(reason: str) -> None:
    assert ending_of(reason) is Ending.TOOL_CALL


def test_an_unknown_reason_counts_as_complete_and_is_logged_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert [ending_of("ran_out_of_steam"), ending_of("RAN_OUT_OF_STEAM")] == [Ending.COMPLETE] * 2
    assert ending_of("tired") is Ending.COMPLETE
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("'")[1] for line in lines] == ["ran_out_of_steam", "tired"]
