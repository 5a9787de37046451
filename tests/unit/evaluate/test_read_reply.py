"""What a model wrote, as benchmarks read it."""

import pytest

from components.evaluate.benchmarks.registry import BENCHMARKS
from components.models.generators.generator import Reply
from components.models.generators.read_reply import read_reply
from components.models.generators.settle_reply import Written, settle_reply
from components.shared.rows import Check, Question
from components.shared.sandbox.run_python import SandboxLimits

QUESTION = Question(benchmark="mine", id="1", question="?", answer="41", check=Check(kind="exact", answer="41"))


@pytest.mark.parametrize(
    ("text", "truncated", "opened", "score"),
    [
        ("41", False, False, 1.0),
        ("", False, False, 0.0),
        ("<think>\nIt is 41.\n</think>\n\n41", False, False, 1.0),
        ("It is 41.\n</think>\n\n41", False, True, 1.0),
        ("<think>\n41", True, False, 0.0),
        ("<think>\n41", False, False, 0.0),
        ("41", True, True, 0.0),
        ("41", False, True, 1.0),
        ("41<|im_end|>\n<|im_start|>user\n42", True, False, 1.0),
    ],
)
def test_thoughts_are_no_answers(text: str, truncated: bool, opened: bool, score: float) -> None:
    written = Written(text, truncated=truncated, opened=opened, generated=True)
    output = read_reply(settle_reply("k", written, may_be_empty=True), lambda: opened)
    assert output is not None
    assert BENCHMARKS["checked"].judge(QUESTION, output, SandboxLimits()) == score


@pytest.mark.parametrize("reason", ["HTTP 500", "vLLM ended the answer with the finish reason 'abort'", "refused"])
def test_what_failed_is_no_answer_at_all(reason: str) -> None:
    assert read_reply(Reply(key="k", text=reason, finish="error"), lambda: True) is None


def test_what_a_server_cut_before_the_answer_is_an_empty_one() -> None:
    assert read_reply(settle_reply("k", Written("", truncated=True)), lambda: False) == ""
    assert read_reply(settle_reply("k", Written("")), lambda: False) == ""
