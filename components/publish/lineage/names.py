"""What people call the outputs of a run, and the order in which a page lists them."""

from collections.abc import Mapping, Sequence

from components.publish.lineage.lineage import Lineage
from components.registry import STEPS
from components.shared.outputs.manifest import Manifest, Parent
from components.shared.rows import Question

PLACES = list(dict.fromkeys(product.place for step in STEPS.values() for product in step.products))
"""First parts of addresses, in the order in which outputs follow from one another."""


def task_names(lineage: Lineage) -> dict[str, str]:
    """What a person calls each output: the step, and the variant where there are several."""
    comparison = lineage.manifests[lineage.target]
    names = {lineage.target: comparison.step}
    for variant, parent in comparison.parents.items():
        evaluation = lineage.manifests[parent.address]
        names[parent.address] = f"{evaluation.step} {variant}"
        model = model_of(evaluation)
        if model and model.address in lineage.manifests:
            names.setdefault(model.address, f"{lineage.manifests[model.address].step} {variant}")
    for address, manifest in lineage.manifests.items():
        if address not in names:
            names[address] = _plain_name(lineage, manifest)
    for address in lineage.outside:
        names[address] = address
    return names


def _plain_name(lineage: Lineage, manifest: Manifest) -> str:
    """The step, with what tells this output from the step's others."""
    if manifest.content == Question.content:
        return f"{manifest.step} benchmarks"
    alike = [other for other in lineage.holding(manifest.content) if other.step == manifest.step]
    if len(alike) == 1:
        return manifest.step
    return f"{manifest.step} {manifest.settings.get('method') or manifest.address.split('/')[-1][:6]}"


def model_of(evaluation: Manifest) -> Parent | None:
    """The model that an evaluation asked: its input called `model`."""
    return evaluation.parents.get("model")


def in_order(lineage: Lineage, names: Mapping[str, str], variants: Sequence[str]) -> list[Manifest]:
    """The outputs in the order of the registry: by step, and in a step by the comparison's order of variants."""

    def place(manifest: Manifest) -> tuple[int, int, str]:
        variant = names[manifest.address].removeprefix(f"{manifest.step} ")
        return (
            _index(PLACES, manifest.step, otherwise=len(PLACES)),
            _index(variants, variant, otherwise=-1),
            names[manifest.address],
        )

    return sorted(lineage.manifests.values(), key=place)


def _index(names: Sequence[str], name: str, otherwise: int) -> int:
    return names.index(name) if name in names else otherwise
