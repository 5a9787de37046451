"""How large the benchmark is: the card's, and a toy's that shows on a CPU that everything runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from components.launch.accelerators import ACCELERATORS

QWEN2_HALF_BILLION: Mapping[str, Any] = {
    "vocab_size": 151_936,
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": True,
}
"""Qwen2-0.5B's config.json, as far as its cost depends on it."""

TOY: Mapping[str, Any] = {
    **QWEN2_HALF_BILLION,
    "vocab_size": 261,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}

DENSE_BF16: Mapping[str, float] = {
    "H100 PCIe": 756e12,
    "H100": ACCELERATORS["H100"].operations,
    "H200": ACCELERATORS["H200"].operations,
    "GH200": 989e12,
    "A100": ACCELERATORS["A100-80"].operations,
    "L40S": ACCELERATORS["L40S"].operations,
    "L4": ACCELERATORS["L4"].operations,
    "A10": ACCELERATORS["A10"].operations,
}
"""Operations a second in bf16 without sparsity, by what a card's name contains (NVIDIA's data sheets): first match."""


@dataclass(frozen=True)
class Scale:
    """The size of everything.

    Attributes:
        shape: of the model, in the names of Qwen2's config.json.
        precision: of the arithmetic.
        batch: rows of an optimizer step.
        micro_batch: most rows of a forward pass, of Tutelage and of TRL: TRL's default.
        steps: optimizer steps of each training.
        warm_up: steps at the beginning that are not timed.
        sft_tokens: tokens of an SFT row, all of one length.
        median: tokens of a KTO row's completion, log-normal; the prompt has half of it.
        longest: most tokens of a row.
    """

    shape: Mapping[str, Any]
    precision: Literal["bf16", "fp32"]
    batch: int
    micro_batch: int
    steps: int
    warm_up: int
    sft_tokens: int
    median: int
    longest: int


CARD = Scale(QWEN2_HALF_BILLION, "bf16", 32, 8, 24, 6, 1000, 200, 1024)
SMALL = Scale(TOY, "fp32", 16, 4, 3, 1, 60, 16, 96)
"""16 rows are KTO's smallest step by its defaults: one group that estimates the reference point."""


def parameters(shape: Mapping[str, Any]) -> int:
    """Weights of a Qwen2 with tied embeddings, without norms and biases, which take no products."""
    hidden, layers = shape["hidden_size"], shape["num_hidden_layers"]
    head = hidden // shape["num_attention_heads"]
    attention = 2 * hidden * hidden + 2 * hidden * head * shape["num_key_value_heads"]
    layer = attention + 3 * hidden * shape["intermediate_size"]
    return int(layers * layer + shape["vocab_size"] * hidden)


def operations(shape: Mapping[str, Any], rows: int, length: int) -> int:
    """Operations of forward and backward passes over rows of one length, as model FLOPs utilisation counts them.

    6 for each weight and token, and 12 x layers x width x length for attention (Chowdhery and others, arXiv
    2204.02311, appendix B), halved, since causal attention needs half of its scores. Recomputation does not count.
    """
    tokens = rows * length
    attention = 12 * shape["num_hidden_layers"] * shape["hidden_size"] * length // 2
    return tokens * (6 * parameters(shape) + attention)


def peak_operations(device: str) -> float | None:
    """The card's operations a second in bf16 by its name; None for one that is not in the table."""
    return next((peak for name, peak in DENSE_BF16.items() if name in device), None)
