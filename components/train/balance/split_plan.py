"""The document of a split: what each rank of a data-parallel training would compute, hold and wait for."""

from pydantic import BaseModel, ConfigDict

from components.train.balance.plan import SplitName


class SplitPart(BaseModel):
    """A part of the document."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RankGroup(SplitPart):
    """Ranks on devices of one kind.

    Attributes:
        devices: the kind's name.
        first_rank: the first of these ranks; they are consecutive.
        ranks: how many there are.
        share: of one rank, of a step's tokens: the largest of them.
        tokens: of that rank, in a step.
        positions: most positions of a forward pass.
        state_bytes: weights, gradients and optimizer state on one device.
        activation_bytes: what forward passes keep on one device, or drawing rollouts takes where that is more.
        host_bytes: copies of one process in host memory: of a checkpoint, and of the weights while they are saved.
        device_bytes: memory of one device.
        usable_bytes: what of it a plan may use.
        fits: whether all of it fits.
        tokens_a_second: of one device; None where it is not known.
        seconds: that the slowest of them computes in a step; None where no speed is known.
        waits: share of the step's computing time in which one of them waits for the slowest rank.
    """

    devices: str
    first_rank: int
    ranks: int
    share: float
    tokens: int
    positions: int
    state_bytes: int
    activation_bytes: int
    host_bytes: int
    device_bytes: int
    usable_bytes: int
    fits: bool
    tokens_a_second: float | None = None
    seconds: float | None = None
    waits: float | None = None


class SplitPlan(SplitPart):
    """One split of a training.

    Attributes:
        stage: ZeRO's.
        recomputed: whether activations are recomputed.
        groups: in the order of ranks.
        step_tokens: of an optimizer step, all ranks together.
        computing_seconds: of the slowest rank in a step.
        transfer_seconds: of gradients, and of weights that ZeRO shards.
        bound_seconds: a lower bound of computing: all tokens at the speed of all ranks together.
        why: what determines the step's time, or what does not fit.
    """

    split: SplitName
    stage: int
    recomputed: bool
    groups: tuple[RankGroup, ...]
    step_tokens: int
    computing_seconds: float | None = None
    transfer_seconds: float | None = None
    bound_seconds: float | None = None
    why: str

    @property
    def fits(self) -> bool:
        """Whether every rank's memory suffices."""
        return all(group.fits for group in self.groups)

    @property
    def step_seconds(self) -> float | None:
        """Predicted time of an optimizer step."""
        if self.computing_seconds is None or self.transfer_seconds is None:
            return None
        return self.computing_seconds + self.transfer_seconds
