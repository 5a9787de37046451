"""One process's files of a checkpoint as copies in host memory: training waits neither for a disk nor for the copy.

Only the optimizer's step changes what a checkpoint holds. So it is copied during the forward and backward passes that
follow, and only the next optimizer step waits for the rest of the copy.
"""

import copy
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any


class Snapshot:
    """Replaces the saving of a DeepSpeed engine: `add` collects what to copy to host memory, `hand_over` starts the
    copy, `settle` waits for it, `write` writes the files.

    The memory, some 12 to 16 bytes for each parameter, divided by the ranks, is kept for the next checkpoint: to
    allocate it takes longer than to fill it. So a checkpoint waits until the previous one is written.
    """

    def __init__(self) -> None:
        self._states: dict[Path, Any] = {}
        self._memory: dict[str, list[Any]] = {}
        self._pairs: list[tuple[Any, Any]] = []
        self._copier = ThreadPoolExecutor(max_workers=1, thread_name_prefix="snapshot")
        self._copied: Future[None] | None = None
        self._stream: Any = None
        self._is_free = threading.Event()
        self._is_free.set()

    def add(self, state_dict: Any, path: str) -> None:
        """Add what DeepSpeed saves at `path`: its tensors must not change before `settle`."""
        self._is_free.wait()
        file = Path(path)
        copies = Copies(self._memory.get(file.name, ()))
        self._states[file] = copies.of(state_dict)
        self._memory[file.name] = copies.made
        self._pairs += copies.pairs

    def hand_over(self) -> None:
        """End the collection for this checkpoint: its copy starts, and `write` may follow in another thread."""
        self._is_free.clear()
        pairs, self._pairs = self._pairs, []
        self._copied = self._copier.submit(_copy, pairs, self._side_stream(pairs))

    def settle(self) -> float:
        """Wait until the copy is complete, after which tensors may change; returns the seconds waited."""
        if self._copied is None:
            return 0.0
        began = time.monotonic()
        self._copied.result()
        self._copied = None
        return time.monotonic() - began

    @property
    def paths(self) -> list[Path]:
        """The files that `write` writes."""
        return list(self._states)

    def write(self) -> None:
        """Write the files, and release the memory for the next checkpoint."""
        import torch

        try:
            if (copied := self._copied) is not None:
                copied.result()
            for path, state in self._states.items():
                torch.save(state, path)
        finally:
            self._states = {}
            self._is_free.set()

    def _side_stream(self, pairs: list[tuple[Any, Any]]) -> Any:
        """On a GPU, a stream for the copy that first waits for the computation so far; else None."""
        import torch

        if not any(source.is_cuda for _, source in pairs):
            return None
        self._stream = self._stream or torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch's own
        self._stream.wait_stream(torch.cuda.current_stream())
        return self._stream


def _copy(pairs: list[tuple[Any, Any]], stream: Any) -> None:
    """Copy each source into its memory; torch releases the GIL meanwhile."""
    import torch

    with torch.cuda.stream(stream) if stream else nullcontext():
        for memory, source in pairs:
            memory.copy_(source, non_blocking=True)
    if stream:
        stream.synchronize()


class Copies:
    """A state dict whose tensors are replaced by host memory, and the pairs that are to be copied.

    Args:
        memory: tensors of an earlier copy, reused where shape and type are equal.
    """

    def __init__(self, memory: Iterable[Any]) -> None:
        self._memory = iter(memory)
        self._known: dict[Any, Any] = {}
        self.pairs: list[tuple[Any, Any]] = []

    @property
    def made(self) -> list[Any]:
        """The memory of this copy."""
        return [memory for memory, _ in self.pairs]

    def of(self, value: Any) -> Any:
        """The value with every tensor in dicts, lists and tuples replaced; tied weights stay one tensor."""
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
                # Pinned where the source is on a GPU, or the copy would wait for the computation.
                memory = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
            self._known[key] = memory
            self.pairs.append((memory, tensor.detach()))
        return self._known[key]
