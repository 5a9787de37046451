"""A batch without padding: what a model reads, and which positions predict which labels."""

# ruff: noqa: TID253 - imported by the job's own program only

from dataclasses import dataclass, replace

import torch

from components.models.forward.segments import Segments


@dataclass(frozen=True, eq=False)
class PackedRows:
    """Rows in one sequence without padding.

    Labels are the tokens of the completions, row after row; a prompt's last position predicts the first of them. A
    row's last token predicts nothing, so it is a label but no input.

    Attributes:
        input_ids: [1, tokens].
        position_ids: each token's place in its row [1, tokens].
        segments: which tokens attend to which.
        label_positions: for each label, the place in the batch that predicts it [labels]. For continuations: the place
            in the hidden states of the prompts' ends, one for each row, followed by those of the batch.
        label_ids: the labels [labels].
        label_counts: labels of each row [rows].
        prompt_spans: start and end of each row's prompt in the batch; empty for continuations.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    segments: Segments
    label_positions: torch.Tensor
    label_ids: torch.Tensor
    label_counts: torch.Tensor
    prompt_spans: tuple[tuple[int, int], ...] = ()

    @property
    def tokens(self) -> int:
        """Positions that the model computes."""
        return self.input_ids.shape[1]

    @property
    def prompt_ends(self) -> list[int]:
        """The last position of each row's prompt."""
        return [end - 1 for _, end in self.prompt_spans]

    def to(self, device: torch.device) -> "PackedRows":
        """The same batch on a device."""
        names = ("input_ids", "position_ids", "label_positions", "label_ids", "label_counts")
        return replace(self, **{name: getattr(self, name).to(device, non_blocking=True) for name in names})

    def sum_by_row(self, log_probs: torch.Tensor) -> torch.Tensor:
        """The sum of each row's log-probs [rows], added in a fixed order."""
        return torch.segment_reduce(log_probs, "sum", lengths=self.label_counts, axis=0, unsafe=True)
