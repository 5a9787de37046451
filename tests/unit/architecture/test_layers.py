"""Imports point one way: each folder imports only from those below it, and no modules form a circle."""

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

import pytest

from components.registry import STEPS
from tests.product_imports import imports, modules

PIPELINES = (
    ("pipelines.placement",),
    ("pipelines.preview",),
    ("pipelines.pipeline",),
    ("pipelines.data",),
    ("pipelines.promotion",),
    ("pipelines.distill", "pipelines.study", "pipelines.curriculum"),
    ("pipelines.registry",),
    ("pipelines.plan",),
    ("pipelines.recipe",),
    ("pipelines.local",),
    ("pipelines.kubeflow",),
    ("pipelines.doctor",),
    ("pipelines.cli",),
)
"""From the bottom layer to the top."""
SHARED = (
    ("components.shared",),
    ("components.shared.store", "components.shared.sandbox"),
    ("components.shared.outputs",),
    ("components.shared.process",),
)
LAUNCH = (
    ("components.launch.api",),
    ("components.launch.kinds",),
    ("components.launch.verdicts",),
    ("components.launch.follow",),
)
COLLECT = (
    ("components.collect.files",),
    ("components.collect.formats", "components.collect.shapes", "components.collect.importers"),
    tuple(f"components.collect.{name}" for name in ("settings", "set_settings", "source_settings", "step")),
    ("components.collect.sources",),
    ("components.collect.benchmarks",),
    tuple(f"components.collect.{name}" for name in ("collect", "collect_heads", "summarise", "component")),
)
BELOW_STEPS = ("shared", "launch", "models", "rewards")


def layer_of(module: str, layers: Sequence[Sequence[str]]) -> int | None:
    """The number of the layer whose folder holds the module, the longest name first; None where none does."""
    holding = [
        (len(folder), number)
        for number, folders in enumerate(layers)
        for folder in folders
        if module == folder or module.startswith(f"{folder}.")
    ]
    return max(holding)[1] if holding else None


def upward_imports(layers: Sequence[Sequence[str]], graph: Mapping[str, frozenset[str]]) -> list[str]:
    """Each import that points to a higher layer."""
    layer = {module: layer_of(module, layers) for module in graph}
    return [
        f"{module} imports {imported}"
        for module, found in graph.items()
        for imported in sorted(found)
        if (here := layer[module]) is not None and (there := layer.get(imported)) is not None and there > here
    ]


def everything() -> dict[str, frozenset[str]]:
    return {module: imports(module) for module in modules()}


@pytest.mark.parametrize(
    "layers", [PIPELINES, SHARED, LAUNCH, COLLECT], ids=["pipelines", "shared", "launch", "collect"]
)
def test_no_folder_imports_from_a_higher_one(layers: Sequence[Sequence[str]]) -> None:
    assert upward_imports(layers, everything()) == []


def test_every_folder_of_pipelines_has_a_layer() -> None:
    assert [name for name in modules() if name.startswith("pipelines.") and layer_of(name, PIPELINES) is None] == []


def test_every_module_of_collect_has_a_layer() -> None:
    assert [
        name for name in modules() if name.startswith("components.collect.") and layer_of(name, COLLECT) is None
    ] == []


def test_steps_never_import_each_other() -> None:
    crossing = [
        f"{module} imports {imported}"
        for step in STEPS
        for module in modules()
        if module.startswith(f"components.{step}.")
        for imported in imports(module)
        for other in STEPS
        if other != step and imported.startswith(f"components.{other}.")
    ]
    assert crossing == []


@pytest.mark.parametrize("folder", BELOW_STEPS)
def test_what_steps_share_imports_no_step(folder: str) -> None:
    inside = [module for module in modules() if module.startswith(f"components.{folder}.")]
    upward = [
        f"{module} imports {imported}"
        for module in inside
        for imported in imports(module)
        if imported.startswith("pipelines.") or any(imported.startswith(f"components.{step}.") for step in STEPS)
    ]
    assert inside and upward == []


def test_components_import_no_pipeline() -> None:
    inside = [module for module in modules() if module.startswith("components.")]
    assert [module for module in inside if any(name.startswith("pipelines") for name in imports(module))] == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    try:
        TopologicalSorter({module: imports(module, at_import=True) for module in modules()}).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_an_upward_import_is_found() -> None:
    layers = (("low",), ("high",))
    graph = {"low.one": frozenset({"high.two"}), "high.two": frozenset({"low.three"}), "low.three": frozenset[str]()}
    assert upward_imports(layers, graph) == ["low.one imports high.two"]
