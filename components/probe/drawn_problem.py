"""One problem while its rollouts are drawn: what is known, and what is asked next."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from components.models.generators.generator import ChatRequest, Reply
from components.models.rollouts.kept_rollouts import DrawnRollout
from components.models.rollouts.problems import Problem
from components.probe.rule import ProbeRule
from components.shared.intervals import wilson_interval
from components.shared.rollout_rows import Probed, Rollout
from components.shared.rows import Dropped

REFUSED = "template_refused"
DECIMALS = 6


@dataclass
class DrawnProblem:
    """A problem and its rollouts so far.

    A rollout without a verdict is no try: another one is drawn in its place, for one round's rollouts at most.
    """

    problem: Problem
    rule: ProbeRule
    rollouts: list[Rollout] = field(default_factory=list)
    failed: int = 0
    refusal: str = ""

    @property
    def tries(self) -> int:
        """Rollouts with a verdict."""
        return sum(rollout.passed is not None for rollout in self.rollouts)

    @property
    def successes(self) -> int:
        """Rollouts that passed."""
        return sum(rollout.passed is True for rollout in self.rollouts)

    @property
    def no_verdict(self) -> int:
        """Rollouts whose check failed."""
        return len(self.rollouts) - self.tries

    @property
    def is_decided(self) -> bool:
        """Whether the rule needs no further rollouts."""
        return self.rule.is_decided(self.tries, self.successes)

    def next_requests(self) -> Iterator[ChatRequest]:
        """The rollouts up to the next look; none where the problem is decided, or cannot be."""
        lost = self.no_verdict + self.failed
        if self.refusal or self.is_decided or lost > self.rule.round:
            return
        begin = len(self.rollouts) + self.failed
        for number in range(begin, begin + self.rule.round - self.tries % self.rule.round):
            yield self.problem.request(number)

    def asked_keys(self) -> list[str]:
        """The keys of the rollouts that were asked for, failed ones too."""
        return [self.problem.request(number).key for number in range(len(self.rollouts) + self.failed)]

    def add(self, rollout: DrawnRollout, passed: bool | None) -> None:
        """Note a rollout with its verdict."""
        facts = rollout.model_dump(exclude={"key"})
        self.rollouts.append(Rollout(**facts, passed=passed))

    def lose(self, reply: Reply) -> None:
        """Note a reply that is no rollout: it failed, or the model's chat template refuses the conversation."""
        if reply.refused:
            self.refusal = reply.text
        else:
            self.failed += 1

    def row(self) -> Probed:
        """The problem as it is handed on."""
        low, high = wilson_interval(self.successes, self.tries)
        return Probed(
            **dict(self.problem.row),
            tries=self.tries,
            successes=self.successes,
            no_verdict=self.no_verdict,
            failed=self.failed,
            lengths=tuple(rollout.tokens_out for rollout in self.rollouts),
            truncated=sum(rollout.finish == "length" for rollout in self.rollouts),
            low=round(low, DECIMALS),
            high=round(high, DECIMALS),
            decided=self.is_decided,
            rollouts=tuple(self.rollouts),
        )

    def dropped(self) -> Dropped:
        """The problem as one that the model cannot be asked."""
        row = self.problem.row
        return Dropped(id=row.id, source=row.source, line=row.line, reason=REFUSED, evidence=self.refusal)
