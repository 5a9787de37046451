"""Converts a checkpoint of pipeline stages for processes that train with ZeRO, and back, by tensor name.

Both ways lead through DeepSpeed's universal checkpoint, which has a folder for each parameter: `zero/NAME/fp32.pt`,
`exp_avg.pt`, `exp_avg_sq.pt`. An engine reads it with `checkpoint.load_universal`, and stages read their own tensors.
"""

from pathlib import Path
from typing import Any

from components.shared.errors import SettingsError
from components.train.checkpoints.checkpoint import Fetched, stage_files
from components.train.checkpoints.convert_checkpoint import deal_random_states, to_universal

UNIVERSAL = "latest_universal"
"""DeepSpeed's name for the file that names the folder of the universal checkpoint."""
STATES = {"weight": "fp32", "exp_avg": "exp_avg", "exp_avg_sq": "exp_avg_sq"}
"""What a stage's file has of each tensor, and DeepSpeed's name for it."""
MOST_GROUPS = 8
"""More groups of parameters than a trainer makes: DeepSpeed reads as many as it has."""


def convert_for_stages(found: Fetched, ranks: int) -> None:
    """Convert a checkpoint, in its own folder, to one that stages on `ranks` processes can load.

    Raises:
        SettingsError: it is of ZeRO stage 0, whose optimizer state has no names, or DeepSpeed cannot convert it.
    """
    if not found.by_stages:
        if not found.shards_optimizer:
            raise _unnamed(f"the checkpoint of step {found.step} was written with ZeRO stage 0")
        to_universal(found, ranks)
    if found.ranks != ranks:
        deal_random_states(found.folder, found.ranks, ranks)


def convert_from_stages(found: Fetched, ranks: int) -> None:
    """Convert a checkpoint of stages, in its own folder, to a universal one for `ranks` processes with ZeRO 1 or 2.

    Stage 3 has no address in common with stages, and is not chosen for a training that continues.
    """
    import torch

    name = f"global_step{found.step}_universal"
    target = found.folder / name
    for path in stage_files(found.folder):
        for tensor, states in torch.load(path, map_location="cpu", weights_only=True, mmap=True).items():
            folder = target / "zero" / tensor
            folder.mkdir(parents=True, exist_ok=True)
            for ours, theirs in STATES.items():
                torch.save({"param": states[ours].float()}, folder / f"{theirs}.pt")
            torch.save(torch.tensor(float(found.step)), folder / "step.pt")
        path.unlink()
    schedule = torch.load(found.folder / "scheduler.pt", weights_only=True)
    torch.save(_optimizer_state(schedule["_last_lr"][0]), target / "zero" / "optimizer_state.pt")
    torch.save(_engine_state(found, schedule), target / "mp_rank_00_model_states.pt")
    (found.folder / UNIVERSAL).write_text(name)
    if found.ranks != ranks:
        deal_random_states(found.folder, found.ranks, ranks)


def universal_tensors(folder: Path) -> dict[str, Path]:
    """The folder of each tensor in a universal checkpoint, by the tensor's name; none where there is none."""
    if not (folder / UNIVERSAL).is_file():
        return {}
    zero = folder / (folder / UNIVERSAL).read_text().strip() / "zero"
    return {path.name: path for path in zero.iterdir() if path.is_dir()}


def require_named(found: Fetched | None, stage: int) -> None:
    """Raises SettingsError where a checkpoint of stages is to be continued with ZeRO stage 0."""
    if found is not None and found.by_stages and stage == 0:
        raise _unnamed(f"the checkpoint of step {found.step} was written by stages, and deepspeed.stage is 0")


def _unnamed(problem: str) -> SettingsError:
    return SettingsError(
        problem,
        rule="stages and ZeRO from 1 on keep the optimizer's state by the names of tensors, ZeRO 0 does not",
        allowed=["deepspeed.stage auto", "deepspeed.stage 1"],
        remedy="go on as it was written, or delete the checkpoints to start again",
    )


def _optimizer_state(rate: float) -> dict[str, Any]:
    """What DeepSpeed reads of the optimizer beside its tensors, under ZeRO stages 1 and 2."""
    from deepspeed import __version__

    return {"ds_version": __version__, "param_groups": [{"lr": rate} for _ in range(MOST_GROUPS)]}


def _engine_state(found: Fetched, schedule: dict[str, Any]) -> dict[str, Any]:
    """The state of DeepSpeed's engine after the step; its rates are left as they are, one for each of its groups."""
    names = ("last_epoch", "_step_count", "_last_lr")
    return {
        "dp_world_size": found.ranks,
        "mp_world_size": 1,
        "global_steps": found.step,
        "skipped_steps": 0,
        "lr_scheduler": {**{name: schedule[name] for name in names}, "lr_lambdas": []},
    }
