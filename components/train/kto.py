"""Kahneman-Tversky optimization (Ethayarajh and others, arXiv 2402.01306) on desirable and undesirable responses.

Run as `torchrun … -m components.train.kto --job JOB_URI`. The loss of a row, with r = log p / p_ref of its response and
z0 the mean of log p / p_ref over mismatched pairs of its batch (not below 0), is
lambda_D (1 - sigmoid(beta (r - z0))) where it is desirable and lambda_U (1 - sigmoid(beta (z0 - r))) where not
(equations 7 and 8).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from components.shared.errors import InputError
from components.shared.rows import KtoRow
from components.train.build_dataset import Example
from components.train.method import Prepared
from components.train.order import dealt, mismatched, shuffled
from components.train.reference_log_probs import reference_log_probs
from components.train.run_training import preload_libraries, run_program
from components.train.settings import KtoSettings, TrainSettings
from components.train.split import Split


class Kto:
    """trl's KTOTrainer with pairs and reference log-probs that are fixed before training.

    The reference is the model that training starts from. Its log-probs are taken once, so no second model is held and
    a step makes two forwards instead of four. Every epoch has the same batches, as the pairs belong to them.
    """

    part = "kto"
    row_type = KtoRow

    def prepare(self, examples: Sequence[Example], settings: TrainSettings, split: Split) -> Prepared:
        """One row of the data set for each place in an epoch, with the mismatched response beside it."""
        lengths = np.array([len(example) for example in examples])
        order = shuffled(len(examples), split.global_batch, settings.seed, epoch=0)
        prompts = number_prompts(examples)
        partners, elsewhere = mismatched(order, settings.kto.kl_batch, prompts, settings.seed)
        places = dealt(np.arange(len(order)), lengths[order], split, settings.kto.kl_batch)
        columns = {
            "prompt_ids": [np.asarray(examples[place].prompt) for place in order],
            "completion_ids": [np.asarray(examples[place].completion) for place in order],
            "KL_completion_ids": [np.asarray(examples[place].completion) for place in partners],
            "label": [examples[place].desirable for place in order],
        }
        desirable = sum(example.desirable for example in examples)
        counts = {"desirable": float(desirable), "undesirable": float(len(examples) - desirable)}
        balanced = weights(settings.kto, **counts)
        counts |= {"prompts": float(prompts.max() + 1), "kl_pairs": float(len(order)), "kl_pairs_elsewhere": elsewhere}
        return Prepared(
            columns,
            np.tile(places, settings.epochs),
            lengths[order],
            counts | balanced,
            balanced,
            _notes(elsewhere, len(order), len(examples), settings.kto.kl_batch),
        )

    def arguments(self, common: dict[str, Any], settings: TrainSettings, prepared: Prepared) -> Any:
        """A mismatched pair may pass the cutoff, so trl cuts at it too."""
        from trl import KTOConfig

        return KTOConfig(
            **common,
            max_length=settings.cutoff,
            beta=settings.kto.beta,
            precompute_ref_log_probs=True,
            precompute_ref_batch_size=settings.kto.reference_batch,
            **prepared.extra,
        )

    def trainer_type(self) -> type[Any]:
        """trl's, with two of its preparations replaced."""
        from trl import KTOTrainer

        class ReadyKtoTrainer(KTOTrainer):
            def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
                # Rows are tokenized and paired already, across all ranks.
                return dataset

            def _precompute_ref_logps(self, dataset: Any, _name: str, batch_size: int) -> Any:
                # trl hands them over through a file that all ranks must share; here they meet in memory.
                return reference_log_probs(self, dataset, batch_size)

        return ReadyKtoTrainer


def number_prompts(examples: Sequence[Example]) -> np.ndarray:
    """Each row's prompt as a number [rows], equal for equal tokens. Raises InputError when all are one."""
    numbers: dict[bytes, int] = {}
    found = np.array([numbers.setdefault(example.prompt.tobytes(), len(numbers)) for example in examples], np.int64)
    if len(numbers) < 2:
        raise InputError(
            f"all {len(examples)} KTO rows have the same prompt",
            rule="the reference point comes from pairs of a prompt and another prompt's response (KTO, section 4.1)",
            remedy="give it rows of at least two prompts, and some times kto.kl_batch for a sound estimate; or use sft",
        )
    return found


def _notes(elsewhere: int, pairs: int, rows: int, kl_batch: int) -> tuple[str, ...]:
    notes = []
    if rows < kl_batch:
        notes.append(
            f"{rows} rows are fewer than kto.kl_batch {kl_batch}: they are repeated within a batch, and no row is "
            "paired with itself"
        )
    if elsewhere:
        notes.append(
            f"{elsewhere} of {pairs} mismatched pairs take their response from outside their batch, as more than half "
            f"of its {kl_batch} rows have one prompt: the reference point is less exact"
        )
    return tuple(notes)


def weights(kto: KtoSettings, desirable: float, undesirable: float) -> dict[str, float]:
    """lambda_D and lambda_U, balanced by the counts where the settings say so. Raises InputError."""
    if not desirable or not undesirable:
        raise InputError(
            f"KTO has {desirable:.0f} desirable and {undesirable:.0f} undesirable rows",
            rule="it learns from the difference between both kinds",
            remedy="loosen the select step's thresholds so that both kinds come out",
        )
    more = max(desirable, undesirable) if kto.balance else 0.0
    return {
        "desirable_weight": kto.desirable_weight * (more / desirable if more else 1.0),
        "undesirable_weight": kto.undesirable_weight * (more / undesirable if more else 1.0),
    }


def preload() -> None:
    """Import what every process needs, so that forked ones share it."""
    preload_libraries(Kto())


def main() -> None:
    """Train as the job file says."""
    run_program(Kto())


if __name__ == "__main__":
    main()
