"""What the teacher is asked when it rewrites."""

from typing import Any

from components.bridge.settings import BridgeSettings
from components.bridge.taught_problem import TaughtProblem
from components.models.rollouts.kept_rollouts import DrawnRollout
from components.models.rollouts.problems import Problem
from components.shared.rollout_rows import Routed
from components.shared.rows import Check, Message


def taught(**changed: Any) -> TaughtProblem:
    facts = {"type": "t", "primary": "p", "secondary": "s", "tries": 8, "successes": 0, "pool": "hard"}
    row = {"id": "a", "source": "s", "line": 1, "instruction": "Is {trace} in {1, 2}?", **facts, **changed}
    return TaughtProblem(
        Problem.of(Routed.model_validate({"check": Check(kind="exact", answer="no"), **row}), "Be brief.")
    )


def settings(**changed: Any) -> BridgeSettings:
    teacher = {"backend": "openai", "model": "m", "endpoints": ["http://127.0.0.1:1/v1"]}
    return BridgeSettings.model_validate({"teacher": teacher, **changed})


def test_the_prompt_has_problem_trace_and_cap_and_nothing_in_them_is_replaced() -> None:
    one = taught()
    one.note_trace(DrawnRollout(key="k", text="<think>\nhm {problem}\n</think>\n\nno, {tokens}"), True)
    requests = list(one.rewritings(settings(prompt="{tokens}|{problem}|{trace}|{x}", candidates=2), 40))
    assert requests[0].messages[-1].content == "40|Is {trace} in {1, 2}?|hm {problem}\n\nno, {tokens}|{x}"
    assert requests[0].messages[0] == Message(role="system", content="Be brief.")
    assert requests[0].messages == requests[1].messages
    assert len({request.key for request in requests}) == 2
    assert all(request.key.startswith(one.problem.key) for request in requests)


def test_a_thought_is_never_learnt_and_an_empty_reference_is_none() -> None:
    one = taught(response="<think>\nhm\n</think>\n\nno")
    one.note_trace(DrawnRollout(key="k", text="<think>\nhm\n</think>\n\nno"), True)
    assert [(text.origin, text.text) for text in one.written(True).texts] == [("raw", "no"), ("reference", "no")]
    assert taught(response=" ").written(None).texts == ()


def test_only_a_complete_right_trace_is_rewritten() -> None:
    one = taught()
    one.note_trace(DrawnRollout(key="k", text="no", finish="length"), True)
    one.note_trace(DrawnRollout(key="l", text="no"), None)
    assert one.needs_trace and not list(one.rewritings(settings(), 40))
    assert dict(one.traces) == {"truncated": 1, "no_verdict": 1}
