"""The reference's log-probs as an output of the store, `ROOT/train-reference/KEY/`: computed once, then read.

KEY hashes what decides the values: the digest of the start (weights, tokenizer and chat template), the token ids that
are scored, `max_length`, the precision of the forward pass, and the version of `REFERENCE`. The token ids hold what the
rows, the template, `max_length`, `over_long` and a method's pairing (KTO: `seed`, `global_batch`, `kl_batch`) have made
of the dataset, so a method declares nothing, and what changes none of them (learning rate, beta, epochs, ranks, LoRA,
DPO's seed, a restart) reads what is there. A start on the hub is known by its name and revision alone, as everywhere.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from pydantic import Field

from components.models.reference import as_parent
from components.shared.log import say
from components.shared.outputs.digest import Digester, canonical
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest, Parent
from components.shared.outputs.output import Output, address_of
from components.shared.settings import Settings
from components.shared.text.counted import counted
from components.train.job_file import TrainingJob
from components.train.ranks import Ranks
from components.train.step import REFERENCE

FILE = "log_probs.safetensors"
"""One tensor for each column, float32, shape (rows,), in nats."""
COMPUTE = "compute"
WAIT_SECONDS = 3600.0
"""Longest wait for another training that computes them: the other ranks wait in a collective, for two hours at most."""
ROWS = 4096
"""Rows that are hashed together; another number changes every key."""


class ReferenceSettings(Settings):
    """What decides the log-probs, beside the start."""

    tokens: str = Field(description="digest of the token ids of all rows, in the order of the columns' values")
    columns: tuple[str, ...] = Field(description="names of the columns of log-probs")
    max_length: int = Field(description="as in the training: a method may truncate when it makes a batch")
    precision: str = Field(description="of the forward pass")


class ReferenceOutput:
    """The reference's log-probs of one training.

    Values that are not finite are stored too, since they are what the start computes: the numbers of their rows are
    `not_finite`, and the training refuses them (`require_finite_reference`).

    Args:
        job: the training.
        ranks: this process among all; the first one writes, and all read.
    """

    def __init__(self, job: TrainingJob, ranks: Ranks) -> None:
        self._job, self._ranks = job, ranks
        self._library = Library(job.root)
        self.counts: dict[str, float] = {}
        self.not_finite: np.ndarray = np.empty(0, dtype=np.int64)

    def columns(self, rows: Any, names: Sequence[str], compute: Callable[[], Any]) -> dict[str, np.ndarray]:
        """The log-probs of all rows by the column's name, shape (rows,), float32; every rank calls this.

        Args:
            rows: the data set, with token ids in the columns `…_ids`.
            names: of the columns.
            compute: makes them, shape (names, rows), on all ranks together.

        Raises:
            DamagedError: the stored file differs from its manifest.
            LeaseError: another training has been computing them for WAIT_SECONDS.
        """
        manifest = self._make(rows, names, compute) if self._ranks.is_main else self._follow(compute)
        columns = _unpacked(self._library.read_bytes(manifest, FILE), names)
        self.not_finite = np.flatnonzero(~np.isfinite(np.stack(list(columns.values()))).all(axis=0))
        return columns

    def _make(self, rows: Any, names: Sequence[str], compute: Callable[[], Any]) -> Manifest:
        output = self._output(rows, names)

        def work() -> Manifest:
            self._share(COMPUTE)
            output.write_bytes(FILE, _packed(names, compute()))
            return output.finish({"rows": len(rows)})

        made = output.made(work, wait_seconds=WAIT_SECONDS)
        read = FILE not in output.shards
        done = f"{counted(len(rows), 'row')} {'read from' if read else 'computed, written to'} {made.address}"
        say(self._job.task, f"reference log-probs: {done}")
        self.counts = {"reference_rows": len(rows), "reference_rows_computed": 0 if read else len(rows)}
        self._share(made.address)
        return made

    def _follow(self, compute: Callable[[], Any]) -> Manifest:
        """What a rank does that is not the first: take part in computing, if it is necessary, and find the output."""
        message = self._share()
        if message == COMPUTE:
            compute()
            message = self._share()
        return self._library.load(message)

    def _output(self, rows: Any, names: Sequence[str]) -> Output:
        settings = ReferenceSettings(
            tokens=digest_tokens(rows),
            columns=tuple(names),
            max_length=self._job.settings.max_length,
            precision=self._job.settings.precision,
        )
        start = as_parent(self._job.start, self._job.settings.allow_pickled_weights)
        parents: dict[str, Manifest | Parent] = {"dataset": self._library.load(self._job.dataset), "start": start}
        # The dataset is a parent and not in the key: the same tokens may come from another one.
        return Output(self._library, REFERENCE, settings, parents, address_of(REFERENCE, settings, {"start": start}))

    def _share(self, message: str = "") -> str:
        """The first process's message, in all processes."""
        if self._ranks.world == 1:
            return message
        import torch.distributed

        shared = [message]
        torch.distributed.broadcast_object_list(shared)
        return shared[0]


def digest_tokens(rows: Any) -> str:
    """Digest of the columns `…_ids` of a data set, in the order of its rows; how it is stored makes no difference."""
    import pyarrow

    names = sorted(name for name in rows.column_names if name.endswith("_ids"))
    digester = Digester()
    digester.update(canonical([names, len(rows)]))
    for batch in rows.select_columns(names).with_format("arrow").iter(ROWS):
        for name in names:
            column = batch[name].combine_chunks()
            digester.update(column.value_lengths().cast(pyarrow.int64()).to_numpy(zero_copy_only=False).tobytes())
            digester.update(column.flatten().cast(pyarrow.int32()).to_numpy(zero_copy_only=False).tobytes())
    return digester.digest


def _packed(names: Sequence[str], values: Any) -> bytes:
    from safetensors.numpy import save

    columns = np.asarray(values, dtype=np.float32)
    return save({name: np.ascontiguousarray(column) for name, column in zip(names, columns, strict=True)})


def _unpacked(data: bytes, names: Sequence[str]) -> dict[str, np.ndarray]:
    from safetensors.numpy import load

    columns = load(data)
    return {name: columns[name] for name in names}
