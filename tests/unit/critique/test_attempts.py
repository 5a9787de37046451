"""Which rollouts are critiqued."""

from typing import Any

from components.critique.attempts import choose_attempts
from components.critique.critiqued_attempt import CritiquedAttempt
from components.critique.settings import CritiqueSettings
from components.models.generators.generator import Reply
from components.models.rollouts.kept_rollouts import DrawnRollout
from components.shared.rollout_rows import Probed, Rollout
from components.shared.rows import Check, Message


def settings(**changed: Any) -> CritiqueSettings:
    teacher = {"backend": "openai", "model": "m", "endpoints": ["http://127.0.0.1:1/v1"]}
    return CritiqueSettings.model_validate({"teacher": teacher, **changed})


def row(name: str, texts: list[str], solved: bool = False) -> Probed:
    rollouts = tuple(Rollout(text=text, passed=solved) for text in texts)
    facts = {"type": "t", "primary": "p", "secondary": "s", "tries": len(texts), "successes": len(texts) * solved}
    estimate = {"lengths": (), "truncated": 0, "low": 0.0, "high": 1.0, "decided": True, "rollouts": rollouts}
    text = {"id": name, "source": "s", "line": 1, "instruction": f"Is {{attempt}} in {name}?"}
    return Probed.model_validate({**text, **facts, **estimate, "check": Check(kind="exact", answer="no")})


def test_equal_answers_count_once_and_thoughts_are_left_out() -> None:
    rows = [row("a", ["<think>\nhm\n</think>\n\nyes", "yes", "<think>\nhm2\n</think>\n\nyes", "maybe\nyes"])]
    (problem,) = choose_attempts(rows, settings(attempts=4, right_share=0.0)).problems
    assert sorted((one.rollout, one.text) for one in problem.attempts) == [(0, "1. yes"), (3, "1. maybe\n2. yes")]
    assert problem.unsolved


def test_right_ones_are_of_as_many_problems_as_possible() -> None:
    rows = [row(f"w{number}", ["yes"]) for number in range(4)]
    rows += [row(f"r{number}", [f"no {place}" for place in range(9)], solved=True) for number in range(3)]
    chosen = choose_attempts(rows, settings()).problems
    assert sorted(len(one.attempts) for one in chosen if not one.unsolved) == [1, 1, 2]
    keys = [one.problem.key for one in chosen]
    assert keys == sorted(keys)


def test_the_seed_decides_whatever_the_other_problems_are() -> None:
    rows = [row("a", [f"yes {number}" for number in range(32)])]
    first, other = (choose_attempts(rows, settings(seed=seed, right_share=0.0)).problems[0] for seed in (0, 1))
    assert first.attempts != other.attempts
    more = choose_attempts([row("z", ["yes"]), *rows], settings(seed=1, right_share=0.0)).problems
    assert {one.problem.row.id: one.attempts for one in more}["a"] == other.attempts


def critiqued(*texts: str) -> CritiquedAttempt:
    (one,) = choose_attempts([row("a", list(texts))], settings(right_share=0.0, system_prompt="Be brief.")).problems
    return CritiquedAttempt(one, one.attempts[0], reference="")


def drawn(text: str, **facts: Any) -> DrawnRollout:
    return DrawnRollout(key="k", text=text, **facts)


def test_the_prompts_have_their_parts_and_nothing_in_them_is_replaced() -> None:
    one, asked = (
        critiqued("1. {problem}\n2. yes"),
        settings(diagnosis_prompt="{problem}|{attempt}|First wrong step:|{x}"),
    )
    request = one.diagnosis_request(asked)
    assert request.messages[-1].content == "Is {attempt} in a?|1. {problem}\n2. yes|First wrong step:|{x}"
    assert request.messages[0] == Message(role="system", content="Be brief.")
    one.note_diagnosis(drawn("<think>\nhm\n</think>\n\nIt is {step}.\nFirst wrong step: 2"))
    asked = settings(repair_prompt="{problem}|{beginning}|{step}|{diagnosis}", repairs=2)
    first, second = one.repair_requests(asked)
    assert first.messages[-1].content == "Is {attempt} in a?|1. {problem}|2|It is {step}."
    assert first.messages == second.messages and first.key != second.key
    assert first.key.startswith(one.one.problem.key)


def test_a_fault_in_the_first_step_is_corrected_from_the_start() -> None:
    one = critiqued("Let me see.\n1. yes\n2. so yes")
    one.note_diagnosis(drawn("No.\nFirst wrong step: 1"))
    assert one.repaired(drawn("1. no")) == "Let me see.\n1. no"
    bare = critiqued("yes")
    bare.note_diagnosis(drawn("No.\nFirst wrong step: 1"))
    assert next(bare.repair_requests(settings())).messages[-1].content.count("(Nothing: begin with the first step.)")
    assert bare.repaired(drawn("1. no")) == "1. no" and bare.repaired(drawn("no")) is None


def test_a_truncated_reply_is_not_learnt() -> None:
    one = critiqued("yes")
    one.note_diagnosis(drawn("No.\nFirst wrong step: 1", finish="length"))
    assert one.fate == "truncated" and not list(one.repair_requests(settings()))
    other = critiqued("yes")
    other.note_diagnosis(drawn("No.\nFirst wrong step: 1"))
    other.note_repair(drawn("1. no", finish="length"), "1. no", True)
    other.note_repair(Reply(key="k", text="HTTP 400", finish="error"), None, None)
    _, repair = other.critiques(settings())
    assert [each.fate for each in repair.repairs] == ["truncated", "failed"] and repair.fate == "unrepaired"


def test_the_first_right_continuation_can_be_kept_in_place_of_the_shortest() -> None:
    one = critiqued("yes")
    one.note_diagnosis(drawn("No.\nFirst wrong step: 1"))
    for text in ("1. no, never", "1. no"):
        one.note_repair(drawn(text), text, True)
    assert [list(one.critiques(settings(keep=keep)))[1].chosen for keep in ("first", "shortest")] == [0, 1]
