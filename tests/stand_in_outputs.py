"""Outputs as the steps make them, with settings of any fields, for tests of the steps that read them."""

import gzip
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import create_model

from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest, Parent
from components.shared.outputs.output import Output
from components.shared.settings import Settings
from components.shared.step import Product

CONTENTS = {
    "collect": "instruction/1",
    "curate": "labelled/1",
    "synthesize": "answered/1",
    "select": "selection/1",
    "train": "model/1",
    "merge": "model/1",
    "evaluate": "evaluation/1",
    "compare": "comparison/1",
    "probe": "probe/1",
    "route": "routed/1",
    "bridge": "selection/1",
    "critique": "selection/1",
}


def stand_in_output(
    root: str, step: str, settings: Mapping[str, Any], inputs: Mapping[str, Manifest | Parent]
) -> Output:
    """An output of a step, to be written and finished."""
    fields: dict[str, Any] = {name: (type(value), value) for name, value in settings.items()}
    made = create_model("FakeSettings", __base__=Settings, **fields)()
    return Output(Library(root), Product(step, 1, CONTENTS[step]), made, inputs)


def stored_rows(root: Path, step: str, part: str, rows: Sequence[Any]) -> Manifest:
    """Rows as the only part of a step's output; another number of rows is another output."""
    output = stand_in_output(str(root), step, {"rows": len(rows)}, {})
    if rows:
        output.write_rows(f"{part}/00000", rows)
    return output.finish()


def kept_keys(root: Path, places: str) -> Counter[str]:
    """How often each of a model's kept replies is stored, by key; `places` is a pattern such as `teacher-*`."""
    paths = root.glob(f"{places}/*/*.gz")
    lines = (line for path in paths for line in gzip.decompress(path.read_bytes()).splitlines())
    return Counter(json.loads(line)["key"] for line in lines)
