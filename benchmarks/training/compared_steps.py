"""The optimizer steps that are compared."""

from dataclasses import dataclass

from benchmarks.training import packed_steps, trl_steps
from benchmarks.training.counting import Counts
from benchmarks.training.packed_steps import Passes
from benchmarks.training.rows import TextRow, make_rows
from benchmarks.training.trl_steps import MakeTrainer, Peer


@dataclass(frozen=True)
class ComparedStep:
    """An optimizer step on packed batches, the same step by TRL's trainer, and whether its rows share prompts."""

    passes: Passes
    trainer: MakeTrainer
    shares_prompts: bool = False

    def rows(self, number: int | None = None) -> list[TextRow]:
        """The first rows of the benchmark."""
        return make_rows(self.shares_prompts)[:number]

    def count(self, rows: list[TextRow]) -> Counts:
        """What it costs on packed batches."""
        return packed_steps.counted(self.passes, rows)

    def count_peer(self, rows: list[TextRow], peer: Peer) -> Counts:
        """What it costs with TRL."""
        with self.trainer(rows, peer) as trainer:
            return trl_steps.counted(trainer)


STEPS = {
    "sft": ComparedStep(packed_steps.sft_passes, trl_steps.sft_trainer),
    "kto": ComparedStep(packed_steps.kto_passes, trl_steps.kto_trainer),
    "kto-pairs": ComparedStep(packed_steps.kto_passes, trl_steps.kto_trainer, shares_prompts=True),
    "dpo": ComparedStep(packed_steps.dpo_passes, trl_steps.dpo_trainer, shares_prompts=True),
}
