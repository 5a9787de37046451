"""How many label positions go through the head at once, so that logits stay within a stated memory."""

from collections.abc import Iterator
from dataclasses import dataclass

FP32_BYTES = 4
COPIES = 3
"""Tensors of a chunk's size at one time: the head's output, its logits or softmax, and one temporary."""


@dataclass(frozen=True)
class HeadMemory:
    """Memory for logits, in bytes.

    Attributes:
        chunk_bytes: for the logits of a chunk and their temporaries.
        kept_bytes: for logits that are kept from the forward to the backward pass, which saves a quarter of the head's
            work; above it, the backward pass computes each chunk's logits again.
    """

    chunk_bytes: int = 256 * 2**20
    kept_bytes: int = 256 * 2**20

    def rows(self, vocabulary: int) -> int:
        """Positions in a chunk."""
        return max(1, self.chunk_bytes // (vocabulary * FP32_BYTES * COPIES))

    def chunks(self, labels: int, vocabulary: int) -> Iterator[slice]:
        """The chunks of so many positions."""
        step = self.rows(vocabulary)
        return (slice(start, min(start + step, labels)) for start in range(0, labels, step))

    def keeps(self, labels: int, vocabulary: int, bytes_each: int) -> bool:
        """Whether all logits, of so many bytes each, are kept for the backward pass."""
        return labels * vocabulary * bytes_each <= self.kept_bytes
