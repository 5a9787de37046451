"""Converts a checkpoint for another number of processes, to DeepSpeed's universal checkpoint format.

DeepSpeed shards the optimizer's state by the number of ranks. Its converter (`ds_to_universal`) joins the shards of
each parameter, and an engine with `checkpoint.load_universal` loads its own shard of each.
"""

import argparse
import contextlib
import io
import shutil
from pathlib import Path

from components.shared.errors import SettingsError
from components.shared.patch_libraries import keep_group_settings
from components.shared.text.counted import counted
from components.train.checkpoints.checkpoint import Fetched, random_state_name

NOT_CONVERTIBLE = (AssertionError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError)


def convert(found: Fetched, ranks: int) -> None:
    """Convert a checkpoint, in its own folder, to one that `ranks` processes can load.

    Where nothing is sharded (ZeRO stage 0), only random states depend on the processes.

    Raises:
        SettingsError: DeepSpeed cannot convert it, such as the state of an optimizer other than Adam or AdamW.
    """
    if found.shards_optimizer:
        to_universal(found, ranks)
    deal_random_states(found.folder, found.ranks, ranks)


def to_universal(found: Fetched, ranks: int) -> None:
    """Convert the engine's files alone. Raises SettingsError as `convert`."""
    source = found.folder / (found.folder / "latest").read_text().strip()
    target = found.folder / f"{source.name}_universal"
    try:
        _run_converter(source, target)
    except NOT_CONVERTIBLE as error:
        processes = counted(found.ranks, "process", "processes")
        raise SettingsError(
            f"the checkpoint of step {found.step} was written by {processes} and cannot be converted for "
            f"{ranks}: {type(error).__name__}: {error}",
            rule="DeepSpeed converts only the state of Adam and AdamW",
            remedy=f"run it on {processes}, or delete the checkpoints to start again",
        ) from error
    keep_group_settings(target / "zero" / "optimizer_state.pt")
    shutil.rmtree(source)


def _run_converter(source: Path, target: Path) -> None:
    """Run DeepSpeed's converter in this process: its worker processes would each import torch again."""
    from deepspeed.checkpoint import ds_to_universal

    arguments = argparse.Namespace(
        input_folder=str(source),
        output_folder=str(target),
        num_extract_workers=1,
        num_merge_workers=1,
        keep_temp_folder=False,
        strict=True,
        # ZeRO-2 checkpoints do not name the format's version themselves.
        inject_missing_state=True,
    )
    with contextlib.redirect_stdout(io.StringIO()) as output, contextlib.redirect_stderr(output):
        ds_to_universal.main(arguments)


def deal_random_states(folder: Path, before: int, now: int) -> None:
    """Give each process the random states of one of the processes that wrote the checkpoint; only dropout uses them."""
    states = [(folder / random_state_name(rank, before)).read_bytes() for rank in range(before)]
    for rank in range(now):
        (folder / random_state_name(rank, now)).write_bytes(states[rank % before])
