"""Log-probabilities of responses under the model that training starts from, computed before training or read."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from components.shared.log import Progress
from components.train.batches.budgeted_order import Limits
from components.train.batches.order import padded_lengths
from components.train.batches.token_table import lengths_of, token_column
from components.train.ranks import Ranks


def reference_log_probs(trainer: Any, dataset: Any, chunks: Sequence[np.ndarray], number: int) -> list[list[float]]:
    """What the trainer's `compute_ref_log_probs` returns, for every row: shape (number, rows), in nats.

    Every rank computes its share of each batch and makes the same number of forward passes, as ZeRO-3 needs.

    Args:
        trainer: the packed trainer, or one of trl's with a reference; not yet training.
        dataset: its rows.
        chunks: the numbers of the rows that all processes read in one forward pass (`reference_passes`).
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
    for chunk in chunks:
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


def with_reference(trainer: Any, dataset: Any, batch_size: int, names: Sequence[str], budget: int | None = None) -> Any:
    """The data set with the log-probs of `reference_log_probs` as columns, named in the order in which trl has them.

    trl hands them over through a file that all ranks must share; here they are exchanged in memory. A trainer with a
    `reference` (engine/reference_output.py) takes them from the store if they are there.

    Args:
        trainer: see `reference_log_probs`.
        dataset: its rows.
        batch_size: most rows of one process in a forward pass.
        names: of the columns.
        budget: most positions of one process in a forward pass; None: only rows are limited.
    """

    def compute() -> list[list[float]]:
        ids = [name for name in dataset.column_names if name.endswith("_ids")]
        columns = {name: token_column(dataset, name) for name in ids}
        lengths = padded_lengths(columns)
        positions = np.sum([lengths_of(column) for column in columns.values()], axis=0)
        most = int(positions.sum()) if budget is None else budget
        chunks = reference_passes(lengths, positions, Limits(most, batch_size), Ranks.from_environment().world)
        return reference_log_probs(trainer, dataset, chunks, len(names))

    stored = getattr(trainer, "reference", None)
    columns = stored.columns(dataset, names, compute) if stored else dict(zip(names, compute(), strict=True))
    with_columns = dataset
    for name in names:
        with_columns = with_columns.add_column(name, columns[name])
    return with_columns


def reference_passes(lengths: np.ndarray, positions: np.ndarray, limits: Limits, ranks: int) -> list[np.ndarray]:
    """The rows of each forward pass of all processes together: of similar length, longest first.

    Args:
        lengths: tokens of each row with the longest of its responses, shape (rows,), by which rows are sorted.
        positions: of each row with all of its responses, shape (rows,), of which a process reads at most its limit.
        limits: of one process.
        ranks: processes, to each of which a pass deals its rows in turn.
    """
    order, passes, start = np.argsort(-lengths, kind="stable"), [], 0
    while start < len(order):
        rows = order[start : start + limits.rows * ranks]
        largest = np.maximum.accumulate(positions[rows])
        # What a process reads is at most its number of rows times the largest.
        each = -(-np.arange(1, len(rows) + 1) // ranks)
        fitting = max(int(np.count_nonzero(each * largest <= limits.tokens)), min(ranks, len(rows)))
        passes.append(rows[:fitting])
        start += fitting
    return passes
