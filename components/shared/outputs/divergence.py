"""Trainings that diverged: a loss, a gradient or a weight became infinite or NaN, so there is no model.

A training whose settings expect that (a study tries learning rates that may be too large) completes its output all the
same, with `diverged.json` in place of the model; the evaluation of such an output holds the file in place of scores. So
does that of a model whose weights are finite, but so large that its logits are not.
"""

from pydantic import BaseModel, ConfigDict

from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.parse_json import parse_json

DIVERGED_FILE = "diverged.json"


class Divergence(BaseModel):
    """Content of `diverged.json`.

    `training` is the address of the training, `step` the optimizer step whose loss or gradients, or after which a
    weight, were not finite; null where its evaluation found logits that are not. `problem` says which.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    training: str
    step: int | None
    problem: str


def has_diverged(manifest: Manifest) -> bool:
    """Whether an output is of a training that diverged, or of the evaluation of one."""
    return any(shard.name == DIVERGED_FILE for shard in manifest.shards)


def read_divergence(library: Library, manifest: Manifest) -> Divergence:
    """What such an output says of it. Raises DamagedError."""
    where = f"{manifest.address}/{DIVERGED_FILE}"
    return parse_json(library.read_bytes(manifest, DIVERGED_FILE), Divergence, where, f"run {manifest.step} again")
