"""Trainings that diverged: a loss, a gradient or a weight became infinite or NaN, so there is no model.

A training whose settings expect that (a study tries learning rates that may be too large) completes its output all the
same, with `diverged.json` in place of the model; the evaluation of such an output holds the file in place of scores.
"""

from pydantic import BaseModel, ConfigDict

from components.shared.outputs.manifest import Manifest

DIVERGED_FILE = "diverged.json"


class Divergence(BaseModel):
    """Content of `diverged.json`.

    `training` is the address of the training, `step` the optimizer step whose loss or gradients, or after which a
    weight, were not finite; `problem` says which.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    training: str
    step: int
    problem: str


def has_diverged(manifest: Manifest) -> bool:
    """Whether an output is of a training that diverged, or of the evaluation of one."""
    return any(shard.name == DIVERGED_FILE for shard in manifest.shards)
