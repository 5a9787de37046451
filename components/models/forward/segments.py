"""Which tokens of a packed batch attend to which: its segments, and the keys that come before each segment's own."""

# ruff: noqa: TID253 - imported by the job's own program only

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

import torch

from components.models.forward.attention_layer import KeysAndValues
from components.models.forward.captured_keys import CapturedKeys

NO_PARENT = -1


@dataclass(frozen=True, eq=False)
class Segments:
    """A packed batch as segments. A token attends to itself and to earlier tokens of its segment and of its prefix.

    A prefix is another segment of the same batch (`parents`: a prompt that several responses share, and gradients flow
    into it) or a span of tokens of an earlier forward pass (`captured` and `spans`: detached).

    Attributes:
        lengths: tokens of each segment, in packed order; their sum is the batch's length.
        parents: the number of the segment that is each segment's prefix, or `NO_PARENT`; parents have none themselves.
        captured: keys and values of an earlier forward pass.
        spans: start and end of each segment's prefix in that earlier pass, one for each segment.
    """

    lengths: tuple[int, ...]
    parents: tuple[int, ...]
    captured: CapturedKeys | None = None
    spans: tuple[tuple[int, int], ...] = ()
    _cumulative: dict[tuple[str, torch.device], torch.Tensor] = field(default_factory=dict, repr=False)

    @cached_property
    def key_lengths(self) -> tuple[int, ...]:
        """Keys that each segment's last token attends to: its prefix and its own."""
        if self.captured is not None:
            return tuple(end - start + own for (start, end), own in zip(self.spans, self.lengths, strict=True))
        return tuple(
            own if parent == NO_PARENT else self.lengths[parent] + own
            for own, parent in zip(self.lengths, self.parents, strict=True)
        )

    @cached_property
    def have_prefixes(self) -> bool:
        """Whether any segment attends to more than its own tokens."""
        return self.key_lengths != self.lengths

    def split(self, states: torch.Tensor) -> Sequence[torch.Tensor]:
        """Each segment's own queries, keys or values [1, heads, length, width]."""
        return torch.split(states, list(self.lengths), dim=2)

    def with_prefixes(self, states: KeysAndValues, layer: int | None) -> list[KeysAndValues]:
        """What each segment attends to: keys and values [1, heads, prefix + length, width].

        Args:
            states: keys and values of the batch [1, heads, tokens, width].
            layer: index of the layer, to find its captured keys; None: nothing is captured.
        """
        earlier = None if self.captured is None or layer is None else self.captured.of_layer(layer)
        keys = self._joined(states.key, None if earlier is None else earlier.key)
        values = self._joined(states.value, None if earlier is None else earlier.value)
        return [KeysAndValues(*each) for each in zip(keys, values, strict=True)]

    def keys_in_a_row(self, states: KeysAndValues, layer: int | None) -> KeysAndValues:
        """What the segments attend to, one segment after the other [1, heads, all keys, width].

        Args:
            states: keys and values of the batch [1, heads, tokens, width].
            layer: index of the layer, to find its captured keys; None: nothing is captured.
        """
        if not self.have_prefixes:
            return states
        keys, values = zip(*self.with_prefixes(states, layer), strict=True)
        return KeysAndValues(torch.cat(keys, dim=2), torch.cat(values, dim=2))

    def _joined(self, states: torch.Tensor, earlier: torch.Tensor | None) -> list[torch.Tensor]:
        """Each segment's own keys or values behind those of its prefix.

        The batch is split once and the parts are joined, so that the backward pass adds a prefix's gradients in a fixed
        order and allocates nothing of the batch's length for each segment.
        """
        own = self.split(states)
        if earlier is not None:
            spans = zip(own, self.spans, strict=True)
            return [torch.cat([earlier[:, :, start:end], part], dim=2) for part, (start, end) in spans]
        return [
            part if parent == NO_PARENT else torch.cat([own[parent], part], dim=2)
            for part, parent in zip(own, self.parents, strict=True)
        ]

    def cumulative(self, kind: str, device: torch.device) -> torch.Tensor:
        """Cumulative lengths of `queries` or `keys` [segments + 1], int32, copied to each device once."""
        if (kind, device) not in self._cumulative:
            lengths = self.lengths if kind == "queries" else self.key_lengths
            sums = [0, *accumulate(lengths)]
            self._cumulative[kind, device] = torch.tensor(sums, dtype=torch.int32, device=device)
        return self._cumulative[kind, device]
