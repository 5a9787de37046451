"""Rewards of rollouts: the verdict of the problem's check, and the forms that a reply can be asked for."""

import os
from collections.abc import Iterable, Mapping, Sequence

from components.rewards.checks.rollout_judge import RolloutJudge
from components.rewards.forms import FORMS
from components.shared.rows import Labelled
from components.shared.sandbox.run_python import SandboxLimits
from components.train.rollouts.settings import CHECK

RewardsByName = dict[str, float | None]
"""The rewards of a rollout by name, None without a verdict."""


class RolloutScorer:
    """RewardsByName rollouts.

    Args:
        weights: of the rewards, by name.
        kinds: of the problems' checks, which are opened at once.
        limits: of one run of code in the sandbox.
        threads: rollouts checked at a time; None: `own_cores`.

    Raises:
        InputError, SandboxError, SettingsError: a check cannot run here.
    """

    def __init__(
        self, weights: Mapping[str, float], kinds: Iterable[str], limits: SandboxLimits, threads: int | None
    ) -> None:
        self.weights = weights
        self._judge = RolloutJudge(kinds, limits, threads or own_cores()) if CHECK in weights else None

    def score(self, problems: Sequence[Labelled], texts: Sequence[str | None]) -> list[RewardsByName]:
        """The rewards of each text as an answer to its problem; None: there was no answer that could be read."""
        verdicts = self._verdicts(problems, texts)
        return [self._scores(text, verdict) for text, verdict in zip(texts, verdicts, strict=True)]

    def total(self, scores: RewardsByName) -> float | None:
        """The weighted sum; None where one of the rewards is missing."""
        values = {name: value for name, value in scores.items() if value is not None}
        if len(values) < len(scores):
            return None
        return sum(self.weights[name] * value for name, value in values.items())

    def _verdicts(self, problems: Sequence[Labelled], texts: Sequence[str | None]) -> list[bool | None]:
        if self._judge is None:
            return [None] * len(texts)
        tries = [(row, text) for row, text in zip(problems, texts, strict=True) if text is not None]
        found = iter(self._judge.verdicts(tries))
        return [None if text is None else next(found) for text in texts]

    def _scores(self, text: str | None, verdict: bool | None) -> RewardsByName:
        return {name: self._reward(name, text, verdict) for name in self.weights}

    def _reward(self, name: str, text: str | None, verdict: bool | None) -> float | None:
        if text is None:
            return None
        if name == CHECK:
            return None if verdict is None else float(verdict)
        return float(FORMS[name](text))


def own_cores() -> int:
    """This process's part of the cores that the processes of its node share; at least one.

    A check of code is a process with limits of its own, so with eight ranks eight times the cores would be in use.
    """
    return max(1, len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
