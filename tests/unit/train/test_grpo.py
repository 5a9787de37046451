"""GRPO's settings and rewards, without a model."""

from typing import Any

import pytest
from pydantic import ValidationError

from components.rewards.checks import math_check
from components.shared.errors import EmptyDataError, InputError
from components.shared.rollout_rows import Routed
from components.shared.rows import Check
from components.shared.sandbox.run_python import SandboxLimits
from components.train.batches.build_dataset import Template
from components.train.methods.registry import parse_train_settings
from components.train.rollouts.build_problems import build_problems
from components.train.rollouts.score import RolloutScorer, own_cores


def problem(kind: str = "exact", answer: str = "7", **given: Any) -> Routed:
    labels = {"type": "t", "primary": "a", "secondary": "b", "tries": 8, "successes": 1, "pool": "mixed"}
    check = Check(kind=kind, answer=answer, tests="assert double(2) == 4", entry_point="double")
    row = {"id": "p", "source": "s", "line": 1, "instruction": "What is it?", "check": check, **labels}
    return Routed.model_validate({**row, **given})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"global_batch": 20}, "global_batch 20 counts rollouts and is not a multiple of grpo.group_size 8"),
        ({"grpo": {"max_response": 1024}}, "grpo.max_response 1024 leaves no room for a prompt"),
        ({"grpo": {"updates": 3}}, "checkpoint_steps 100 is not a multiple of grpo.updates 3"),
        ({"grpo": {"rewards": {"right": 1}}}, "rewards has 'right'; known are check, boxed, thought, answer_line"),
        ({"grpo": {"rewards": {"check": -1}}}, "the weight -1.0 of 'check' is not above 0"),
        ({"grpo": {"vllm": {"mode": "server"}}}, "a server, and only it, has one"),
        ({"grpo": {"vllm": {"tensor_parallel": 2}}}, "vllm.tensor_parallel 2 does not divide the 1 ranks"),
        ({"shares": "speed"}, "shares is 'speed', and grpo trains on padded rows"),
        ({"lora": {"dropout": 0.1}}, "lora.dropout 0.1 has no effect with method grpo"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        parse_train_settings({"method": "grpo", **given})
    assert message in str(refused.value)


def test_rewards_are_weighted_by_name_whatever_the_kind_of_check() -> None:
    scorer = RolloutScorer({"check": 1.0, "boxed": 0.25}, ["exact", "math", "choice", "code"], SandboxLimits(), 1)
    problems = [problem(), problem("math"), problem("choice", "B"), problem("code"), problem("math"), problem("math")]
    code = "```python\ndef double(x):\n    return 2 * x\n```"
    texts = ["7", "It is \\boxed{7}", "The answer is (A).", code, "8", None]
    scores = scorer.score(problems, texts)
    assert scores[1] == {"check": 1.0, "boxed": 1.0}
    assert [scorer.total(each) for each in scores] == [1.0, 1.25, 0.0, 1.0, 0.0, None]


def test_a_check_that_fails_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison takes too long: nothing is known of the answer, whatever the other rewards say."""
    monkeypatch.setattr(math_check, "TIMEOUT_SECONDS", 0.0)
    scorer = RolloutScorer({"check": 1.0, "boxed": 0.25}, ["math"], SandboxLimits(), 1)
    (scores,) = scorer.score([problem("math", "\\sqrt{8}")], ["It is \\boxed{2\\sqrt{2}}"])
    assert scores == {"check": None, "boxed": 1.0}
    assert scorer.total(scores) is None


@pytest.mark.parametrize(
    ("form", "right", "wrong"),
    [
        ("boxed", "so \\boxed{3}", "\\boxed{3} or \\boxed{4}"),
        ("boxed", "<think>\n\\boxed{1}?\n</think>\n\\boxed{3}", "<think>\n\\boxed{1}\n</think>\n3"),
        ("thought", "<think>\n1 + 2\n</think>\n3", "<think>\n1 + 2"),
        ("thought", "<think>\n1 + 2\n</think>\n3", "3"),
        ("answer_line", "1 + 2\n#### 3", "#### 3\nor so"),
    ],
)
def test_forms(form: str, right: str, wrong: str) -> None:
    scorer = RolloutScorer({form: 1.0}, [], SandboxLimits(), 1)
    assert [scorer.total(each) for each in scorer.score([problem()] * 2, [right, wrong])] == [1.0, 0.0]


@pytest.fixture
def template(tokenizer: Any, templates: dict[str, str]) -> Template:
    tokenizer.chat_template = templates["plain"]
    return Template(tokenizer)


def test_long_prompts_are_dropped_and_counted(template: Template) -> None:
    rows = [problem(), problem(id="long", instruction="x" * 100), problem(id="spelt", instruction="<|end|>?")]
    made = build_problems(template, rows, room=60, kept=[])
    assert (made.counts["rows"], made.counts["rows_dropped"], made.counts["rows_with_control_text"]) == (2, 1, 1)
    with pytest.raises(EmptyDataError, match="no problem is left to train on: 3 prompts of more than 5 tokens"):
        build_problems(template, rows, room=5, kept=[])


def test_problems_without_a_check_are_refused(template: Template) -> None:
    with pytest.raises(InputError, match="2 problems of 3 came without a check, the first: 'b'"):
        build_problems(
            template, [problem(), problem(id="b", check=None), problem(id="c", check=None)], room=60, kept=[]
        )


@pytest.mark.parametrize(("processes", "cores"), [("1", 64), ("8", 8), ("100", 1)])
def test_the_processes_of_a_node_share_its_cores_for_checks(
    processes: str, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(64)))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    assert own_cores() == cores
