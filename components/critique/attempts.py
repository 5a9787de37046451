"""Which rollouts are critiqued: wrong ones of unsolved problems, and for balance right ones of the others."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Self

from components.critique.settings import CritiqueSettings
from components.models.rollouts.problems import Problem
from components.shared.outputs.digest import seed_of
from components.shared.rollout_rows import Probed, Rollout
from components.shared.rows import Dropped, Labelled
from components.shared.text.numbered_steps import as_steps
from components.shared.thought import answer_of

NO_ATTEMPT = "no_attempt"


@dataclass(frozen=True)
class Attempt:
    """One rollout that is critiqued.

    Attributes:
        rollout: its index in the probe's row.
        text: its answer without the thought, in numbered steps.
        passed: the verdict of its check.
    """

    rollout: int
    text: str
    passed: bool


@dataclass(frozen=True)
class AttemptedProblem:
    """A problem with the rollouts of it that are critiqued.

    Attributes:
        problem: without its rollouts.
        attempts: the rollouts, all wrong or all right.
        trace: the solution that bridge has for it; empty without one.
    """

    problem: Problem
    attempts: tuple[Attempt, ...]
    trace: str = ""

    @property
    def unsolved(self) -> bool:
        """Whether it is here since no rollout solved it; else it balances the diagnoses."""
        return not self.attempts[0].passed


@dataclass
class ChosenAttempts:
    """What is critiqued, in the order of the conversations' digests.

    `counts` are of problems and rollouts, and `dropped` are the unsolved problems without a rollout to critique.
    """

    problems: list[AttemptedProblem] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def with_traces(self, traces: Mapping[str, str]) -> Self:
        """The same with the solutions that bridge has, by the problem's id."""
        problems = [replace(one, trace=traces.get(one.problem.row.id, "")) for one in self.problems]
        return replace(self, problems=problems)


def choose_attempts(rows: Iterable[Probed], settings: CritiqueSettings) -> ChosenAttempts:
    """Choose by the seed: `attempts` wrong rollouts of each unsolved problem, and as many right ones as balance needs.

    A rollout without a verdict, without an answer, or that max_tokens ended is never chosen.

    Args:
        rows: of the probe.
        settings: of the step.
    """
    chosen, right = ChosenAttempts(), list[tuple[int, int, Problem, Attempt]]()
    for row in rows:
        chosen.counts["problems"] += 1
        problem, usable = _bare(row, settings.system_prompt), _usable(row, settings.seed)
        if row.successes:
            right += [(place, _rank(settings.seed, row, each.rollout), problem, each) for place, each in usable]
        elif row.tries:
            _add_unsolved(chosen, problem, [each for _, each in usable][: settings.attempts])
        else:
            chosen.counts["undecided_problems"] += 1
    wrong = sum(len(one.attempts) for one in chosen.problems)
    share = Fraction(str(settings.right_share))
    right.sort(key=lambda one: one[:2])
    some = right[: math.ceil(wrong * share / (1 - share))]
    chosen.problems += _together(some)
    chosen.problems.sort(key=lambda one: (one.problem.key, one.problem.row.id))
    chosen.counts.update(wrong_attempts=wrong, right_attempts=len(some))
    return chosen


def slices_of_attempts(problems: Sequence[AttemptedProblem], size: int) -> Iterator[tuple[int, list[AttemptedProblem]]]:
    """Consecutive problems, `size` at a time (fewer in the last), with their number from 0."""
    for index, start in enumerate(range(0, len(problems), size)):
        yield index, list(problems[start : start + size])


def _add_unsolved(chosen: ChosenAttempts, problem: Problem, attempts: Sequence[Attempt]) -> None:
    chosen.counts["unsolved_problems"] += 1
    if attempts:
        chosen.problems.append(AttemptedProblem(problem, tuple(attempts)))
        return
    row = problem.row
    evidence = "its rollouts are truncated, or have no answer"
    chosen.dropped.append(Dropped(id=row.id, source=row.source, line=row.line, reason=NO_ATTEMPT, evidence=evidence))


def _bare(row: Probed, system_prompt: str) -> Problem:
    """The problem without its rollouts, which need not travel to the actors."""
    labelled = {name: getattr(row, name) for name in Labelled.model_fields}
    return Problem.of(Labelled.model_construct(**labelled), system_prompt)


def _usable(row: Probed, seed: int) -> list[tuple[int, Attempt]]:
    """The rollouts that can be critiqued, right ones if the problem has some, in the seed's order with their places."""
    found: dict[str, Attempt] = {}
    for number, rollout in enumerate(row.rollouts):
        text = _answer(rollout)
        if text and rollout.passed is bool(row.successes):
            found.setdefault(text, Attempt(number, as_steps(text), bool(rollout.passed)))
    return list(enumerate(sorted(found.values(), key=lambda one: _rank(seed, row, one.rollout))))


def _answer(rollout: Rollout) -> str:
    return answer_of(rollout.text).strip() if rollout.finish == "stop" else ""


def _rank(seed: int, row: Labelled, rollout: int) -> int:
    return seed_of(f"{seed} {row.id} {rollout}")


def _together(right: Sequence[tuple[int, int, Problem, Attempt]]) -> list[AttemptedProblem]:
    """The chosen rollouts by their problems."""
    problems = {problem.row.id: problem for *_, problem, _ in right}
    attempts: dict[str, list[Attempt]] = {}
    for *_, problem, attempt in right:
        attempts.setdefault(problem.row.id, []).append(attempt)
    return [AttemptedProblem(problems[name], tuple(some)) for name, some in attempts.items()]
