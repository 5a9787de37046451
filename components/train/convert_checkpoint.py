"""A checkpoint made ready for another number of processes: DeepSpeed's universal checkpoint, which it cuts anew.

DeepSpeed splits the optimizer's state by the number of ranks. Its converter puts the parts of each parameter together
again (`ds_to_universal`), and an engine with `checkpoint.load_universal` takes its share of each.
"""

import argparse
import contextlib
import io
import shutil
from pathlib import Path
from typing import Any

from components.shared.errors import SettingsError
from components.train.checkpoint import Fetched, random_state_name

NOT_CONVERTIBLE = (AssertionError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError)


def convert(found: Fetched, ranks: int) -> None:
    """Make a checkpoint one that `ranks` processes can load, in its own folder.

    Raises:
        SettingsError: DeepSpeed cannot convert it, as with an optimizer that is not of Adam's kind.
    """
    source = found.folder / (found.folder / "latest").read_text().strip()
    target = found.folder / f"{source.name}_universal"
    try:
        _run_converter(source, target)
    except NOT_CONVERTIBLE as error:
        raise SettingsError(
            f"the checkpoint of step {found.step} was made by {found.ranks} processes and cannot be converted for "
            f"{ranks}: {type(error).__name__}: {error}",
            rule="DeepSpeed converts the state of Adam and AdamW alone",
            remedy=f"run it on {found.ranks} processes, or delete the checkpoints to begin again",
        ) from error
    _keep_own_settings(target / "zero" / "optimizer_state.pt")
    shutil.rmtree(source)
    deal_random_states(found.folder, found.ranks, ranks)


def _run_converter(source: Path, target: Path) -> None:
    """DeepSpeed's own program, in this process: its pools of processes would each load torch again."""
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
    with contextlib.redirect_stdout(io.StringIO()) as told, contextlib.redirect_stderr(told):
        ds_to_universal.main(arguments)


def _keep_own_settings(path: Path) -> None:
    """Under ZeRO-3, DeepSpeed 0.19 gives every group of parameters the settings of the first one.

    So weights without decay would get it. What the groups do not agree on is left out: each keeps its own.
    """
    import torch

    state = torch.load(path, weights_only=False)
    groups: list[dict[str, Any]] = state.get("optimizer_state_dict", {}).get("param_groups", [])
    if groups:
        shared = {name: value for name, value in groups[0].items() if all(g.get(name) == value for g in groups)}
        groups[0] = shared
        torch.save(state, path)


def deal_random_states(folder: Path, before: int, now: int) -> None:
    """Give each of the processes the random states of one of those before it; only dropout draws from them."""
    states = [(folder / random_state_name(rank, before)).read_bytes() for rank in range(before)]
    for rank in range(now):
        (folder / random_state_name(rank, now)).write_bytes(states[rank % before])
