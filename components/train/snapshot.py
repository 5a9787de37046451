"""One process's files of a checkpoint as copies in memory: training waits for a copy, not for a disk."""

import copy
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any


class Snapshot:
    """Stands in for the saving of a DeepSpeed engine: `add` copies into the host's memory, `write` makes the files.

    The memory, some 12 to 16 bytes for each parameter, divided by the ranks, is kept for the next checkpoint: new
    memory would take longer to get than to fill. So a next checkpoint waits until the one before is written.
    """

    def __init__(self) -> None:
        self._states: dict[Path, Any] = {}
        self._memory: dict[str, list[Any]] = {}
        self._is_free = threading.Event()
        self._is_free.set()

    def add(self, state_dict: Any, path: str) -> None:
        """Copy what DeepSpeed saves at `path`."""
        self._is_free.wait()
        file = Path(path)
        copies = Copies(self._memory.get(file.name, ()))
        self._states[file] = copies.of(state_dict)
        self._memory[file.name] = copies.made

    def hand_over(self) -> None:
        """Say that this checkpoint is complete and that `write` follows, in another thread."""
        self._is_free.clear()

    @property
    def paths(self) -> list[Path]:
        """The files that `write` makes."""
        return list(self._states)

    def write(self) -> None:
        """Write the files and give the memory free."""
        import torch

        try:
            for path, state in self._states.items():
                torch.save(state, path)
        finally:
            self._states = {}
            self._is_free.set()


class Copies:
    """Copies a state dict into memory of the host.

    Args:
        memory: tensors of an earlier copy, whose memory is used again where shape and type are the same.
    """

    def __init__(self, memory: Iterable[Any]) -> None:
        self._memory = iter(memory)
        self._known: dict[Any, Any] = {}
        self.made: list[Any] = []

    def of(self, value: Any) -> Any:
        """The value with every tensor in dicts, lists and tuples copied; tied weights stay one tensor."""
        import torch

        if torch.is_tensor(value):
            return self._tensor(value)
        if isinstance(value, dict | list):
            same = copy.copy(value)
            for place, part in value.items() if isinstance(value, dict) else enumerate(value):
                same[place] = self.of(part)
            return same
        return tuple(map(self.of, value)) if type(value) is tuple else value

    def _tensor(self, tensor: Any) -> Any:
        import torch

        key = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        if key not in self._known:
            memory = next(self._memory, None)
            if memory is None or (memory.shape, memory.dtype) != (tensor.shape, tensor.dtype):
                memory = torch.empty(tensor.shape, dtype=tensor.dtype)
            self._known[key] = memory.copy_(tensor.detach())
            self.made.append(memory)
        return self._known[key]
