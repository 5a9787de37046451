"""The graded world's problems and solutions: answers computed from the question's text, and what the steps need."""

import json
import random
import re
from collections import Counter
from itertools import product

import pytest

from components.bridge.settings import BridgeSettings
from components.rewards.checks.math_check import MathChecker
from components.shared.rows import Check
from components.shared.text.numbered_steps import step_starts
from demo.graded.draw_examples import drawn_example
from demo.graded.lessons import LESSONS, GradedLesson
from demo.graded.make_problems import FOLDER, HELDOUT_EACH, TRAIN_EACH, file_questions, graded_problems, problem_rows
from demo.graded.tasks.critiques import NO_BEGINNING, diagnosis, drawn_attempt, repair
from demo.graded.tasks.families import FAMILIES, LEVELS
from demo.graded.tasks.problem import GradedProblem
from demo.graded.tasks.solutions import REWRITE_PROMPT, STEP_FORMS, at_length, hasty, in_steps, one_step_short, stated

CELLS = list(product(FAMILIES, LEVELS))


def solved(question: str) -> int:
    """The answer, from the question's text alone."""
    now = int(re.findall(r"\d+", question)[0])
    for move in re.findall(r"(Get|Lose|forward|back) (\d)|(Swap|First|Last)(?: (up|down))?\.", question):
        way, amount, part, turn = move
        if way:
            now += int(amount) if way in ("Get", "forward") else -int(amount)
        elif part == "Swap":
            now = int(str(now)[::-1])
        else:
            now += (10 if part == "First" else 1) * (1 if turn == "up" else -1)
    return (now - 1) % 12 + 1 if question.startswith("It is") else now


def drawn(family: str, steps: int, seed: int) -> GradedProblem:
    return FAMILIES[family](random.Random(seed), steps)


@pytest.mark.parametrize(("family", "steps"), CELLS)
def test_answers_follow_from_the_question(family: str, steps: int) -> None:
    for seed in range(200):
        problem = drawn(family, steps, seed)
        assert problem.steps == steps and problem.subject == f"{family}-{steps}"
        assert problem.answer == solved(problem.question), problem.question


@pytest.mark.parametrize("name", ["train", "heldout"])
def test_committed_files_are_what_the_generator_makes(name: str) -> None:
    rows = [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text().splitlines()]
    assert rows == problem_rows(name)
    each = {"train": TRAIN_EACH, "heldout": HELDOUT_EACH}[name]
    assert Counter(row["subject"] for row in rows) == {f"{family}-{steps}": each for family, steps in CELLS}


def test_no_problem_is_in_both_files() -> None:
    problems = graded_problems()
    assert len(file_questions()) == sum(map(len, problems.values()))


@pytest.mark.parametrize(("family", "steps"), CELLS)
def test_solutions_pass_the_check_and_answers_without_all_steps_do_not(family: str, steps: int) -> None:
    checker, problem = MathChecker(), drawn(family, steps, 5)
    check = Check(kind="math", answer=str(problem.answer))
    try:
        for text in (stated(problem.answer), at_length(problem), *(in_steps(problem, form) for form in STEP_FORMS)):
            assert checker.passes(check, text, problem.question), text
        assert not checker.passes(check, one_step_short(problem), problem.question)
        ends_early = problem.moves[0].result == problem.answer
        assert checker.passes(check, hasty(problem), problem.question) == ends_early
    finally:
        checker.close()


def test_rewritings_have_numbered_steps_that_bridge_reads() -> None:
    for steps in LEVELS:
        problem = drawn("coins", steps, 7)
        assert [len(step_starts(in_steps(problem, each))) for each in STEP_FORMS] == [steps] * len(STEP_FORMS)
        assert max(len(in_steps(problem, each)) for each in STEP_FORMS) < len(at_length(problem)) or steps == 1


def test_the_rewrite_prompt_is_one_that_bridge_accepts() -> None:
    settings = BridgeSettings.model_validate(
        {"teacher": {"backend": "transformers", "model": "m"}, "prompt": REWRITE_PROMPT}
    )
    assert settings.prompt == REWRITE_PROMPT


@pytest.mark.parametrize(
    "lesson", [lesson for lessons in LESSONS.values() for lesson in lessons], ids=lambda each: f"seed {each.plan.seed}"
)
def test_lessons_draw_no_problem_of_the_files(lesson: GradedLesson) -> None:
    rng, banned = random.Random(62), file_questions()
    prompts = [drawn_example(rng, lesson, banned)[0] for _ in range(1000)]
    assert not [prompt for prompt in prompts if any(line in banned for line in re.split(r"<\|\w+\|>|\n", prompt))]


def test_the_student_is_never_shown_steps_of_the_longest_problems_last() -> None:
    habit = LESSONS["student"][-1]
    longest = habit.shares[max(LEVELS)]
    assert (longest.at_length, longest.in_steps, longest.hasty) == (0, 0, 1)


def test_diagnoses_name_the_first_wrong_step() -> None:
    rng, seen = random.Random(3), Counter[str]()
    for seed in range(300):
        problem = drawn("coins", 3, seed)
        attempt = drawn_attempt(problem, rng)
        right = attempt.text.endswith(stated(problem.answer))
        assert right == (attempt.wrong_step is None)
        verdict = diagnosis(problem, attempt).splitlines()[-1]
        assert verdict == f"First wrong step: {attempt.wrong_step or 'none'}"
        if attempt.wrong_step and attempt.wrong_step > 1:
            begun = attempt.text.splitlines()[: attempt.wrong_step - 1]
            assert any(in_steps(problem, form).splitlines()[: len(begun)] == begun for form in STEP_FORMS)
        seen[verdict] += 1
    assert len(seen) == 4 and min(seen.values()) >= 20


def test_repairs_continue_from_their_step() -> None:
    rng = random.Random(4)
    for seed in range(50):
        problem = drawn("digits", 4, seed)
        asked, rest = repair(problem, rng)
        found = re.match(r"Go on from step (\d):", asked)
        assert found and rest.startswith(f"{found[1]}. ") and rest.endswith(stated(problem.answer))
        assert (NO_BEGINNING in asked) == (found[1] == "1")
