"""Collects what each supervised training of a curriculum learnt from: rows by kind."""

from collections import Counter
from collections.abc import Iterator, Mapping

from components.publish.lineage.lineage import Lineage
from components.publish.report_schema import TaughtFacts
from components.shared.outputs.manifest import Manifest
from components.shared.rows import SELECTION
from components.shared.step import MODEL

SFT, TRACE = "sft", "trace"


def gather_taught(lineage: Lineage, names: Mapping[str, str]) -> Iterator[TaughtFacts]:
    """The rows of each training whose dataset has rows for SFT, in the order of trainings."""
    for manifest in lineage.holding(MODEL):
        parent = manifest.parents.get("dataset")
        dataset = lineage.manifests.get(parent.address) if parent else None
        if dataset is not None and dataset.content == SELECTION and (rows := rows_by_kind(dataset)):
            yield TaughtFacts(task=names[manifest.address], rows=rows)


def rows_by_kind(dataset: Manifest) -> dict[str, int]:
    """Rows to learn by kind, which is the folder below `sft/`; those right below it are solutions."""
    found: Counter[str] = Counter()
    for shard in dataset.shards:
        part, *below = shard.name.split("/")[:-1] or [""]
        if part == SFT:
            found[below[0] if below else TRACE] += shard.rows
    return dict(found)
