"""Log-probabilities of responses under the model that training starts from, computed before training or read."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from components.shared.log import Progress
from components.train.batches.order import padded_lengths
from components.train.batches.token_table import token_column
from components.train.ranks import Ranks


def reference_log_probs(
    trainer: Any, dataset: Any, lengths: np.ndarray, batch_size: int, number: int
) -> list[list[float]]:
    """What the trainer's `compute_ref_log_probs` returns, for every row: shape (number, rows), in nats.

    Every rank computes its share of each batch and makes the same number of forward passes, as ZeRO-3 needs.

    Args:
        trainer: the packed trainer, or one of trl's with a reference; not yet training.
        dataset: its rows.
        lengths: tokens of each row; rows of similar length share a forward pass, so that little is padded.
        batch_size: rows of one process in a forward pass.
        number: log-probs of each row, such as 2 for a chosen and a rejected response.
    """
    import torch
    import torch.distributed
    from trl.models import prepare_deepspeed

    ranks = Ranks.from_environment()
    # Under ZeRO the weights are not in place before training begins.
    model = prepare_deepspeed(trainer.model, trainer.accelerator) if trainer.is_deepspeed_enabled else trainer.model
    found = torch.zeros(number, len(dataset), dtype=torch.float64, device=trainer.accelerator.device)
    progress = Progress(trainer.task, "reference log-probs", len(dataset), "rows") if ranks.is_main else None
    for chunk in _by_length(lengths, batch_size * ranks.world):
        # A rank without rows in the last chunk computes one more and discards the result.
        mine = chunk[ranks.rank :: ranks.world]
        batch = trainer.data_collator([dataset[int(place)] for place in (mine if len(mine) else chunk[:1])])
        batch = trainer._prepare_inputs(batch)
        computed = trainer.compute_ref_log_probs(model, batch)
        if len(mine):
            found[:, mine] = torch.stack(computed[:number]).to(found.dtype)
        if progress is not None:
            progress.advance(len(chunk))
    if progress is not None:
        progress.finish()
    if ranks.world > 1:
        torch.distributed.all_reduce(found)
    result: list[list[float]] = found.float().cpu().tolist()
    return result


def with_reference(trainer: Any, dataset: Any, batch_size: int, names: Sequence[str]) -> Any:
    """The data set with the log-probs of `reference_log_probs` as columns, named in the order in which trl has them.

    trl hands them over through a file that all ranks must share; here they are exchanged in memory. A trainer with a
    `reference` (engine/reference_output.py) takes them from the store if they are there.
    """

    def compute() -> list[list[float]]:
        ids = [name for name in dataset.column_names if name.endswith("_ids")]
        lengths = padded_lengths({name: token_column(dataset, name) for name in ids})
        return reference_log_probs(trainer, dataset, lengths, batch_size, len(names))

    stored = getattr(trainer, "reference", None)
    columns = stored.columns(dataset, names, compute) if stored else dict(zip(names, compute(), strict=True))
    with_columns = dataset
    for name in names:
        with_columns = with_columns.add_column(name, columns[name])
    return with_columns


def _by_length(lengths: np.ndarray, chunk: int) -> list[np.ndarray]:
    """Row numbers in chunks of similar length, longest first."""
    order = np.argsort(-lengths, kind="stable")
    return [order[start : start + chunk] for start in range(0, len(order), chunk)]
