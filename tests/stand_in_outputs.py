"""Outputs as the steps make them, with settings of any fields, for tests of the steps that read them."""

from collections.abc import Mapping
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
