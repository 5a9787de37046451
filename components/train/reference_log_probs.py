"""Log-probabilities of responses under the model that training starts from, taken once before it."""

from typing import Any

import numpy as np

from components.shared.log import Progress
from components.train.ranks import Ranks


def reference_log_probs(trainer: Any, dataset: Any, batch_size: int) -> Any:
    """The data set with columns `ref_logps` and `ref_KL_logps` (nats, summed over a response's tokens).

    Every rank takes its share of each batch and makes the same number of forwards, as ZeRO-3 needs.
    """
    import torch
    import torch.distributed
    from trl.models import prepare_deepspeed

    ranks = Ranks.from_environment()
    engine = prepare_deepspeed(trainer.model, trainer.accelerator)
    found = torch.zeros(2, len(dataset), dtype=torch.float64, device=trainer.accelerator.device)
    chunks = _by_length(dataset, batch_size * ranks.world)
    progress = Progress(trainer.task, "reference log-probs", len(dataset), "rows") if ranks.is_main else None
    for chunk in chunks:
        # A rank without rows in the last chunk computes one more and throws it away.
        mine = chunk[ranks.rank :: ranks.world]
        batch = trainer.data_collator([dataset[int(place)] for place in (mine if len(mine) else chunk[:1])])
        batch = {name: value.to(trainer.accelerator.device) for name, value in batch.items()}
        own, mismatched = trainer.compute_ref_log_probs(engine, batch)
        if len(mine):
            found[:, mine] = torch.stack([own, mismatched]).to(found.dtype)
        if progress is not None:
            progress.advance(len(chunk))
    if progress is not None:
        progress.finish()
    torch.distributed.all_reduce(found)
    log_probs = found.float().cpu().tolist()
    return dataset.add_column("ref_logps", log_probs[0]).add_column("ref_KL_logps", log_probs[1])


def _by_length(dataset: Any, chunk: int) -> list[np.ndarray]:
    """Places of the data set in chunks of about equal length, so that little is padded."""
    columns = ("prompt_ids", "completion_ids", "KL_completion_ids")
    prompts, own, other = ([len(ids) for ids in dataset[name]] for name in columns)
    lengths = np.array(prompts) + np.maximum(own, other)
    order = np.argsort(-lengths, kind="stable")
    return [order[start : start + chunk] for start in range(0, len(order), chunk)]
