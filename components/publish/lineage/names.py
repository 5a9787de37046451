"""What people call the outputs of a run, and the order in which a page lists them."""

from collections import Counter
from collections.abc import Mapping, Sequence

from components.publish.lineage.lineage import Lineage
from components.registry import STEPS
from components.shared.outputs.manifest import Manifest, Parent
from components.shared.rows import SELECTION, Answered, Question

PLACES = list(dict.fromkeys(product.place for step in STEPS.values() for product in step.products))
"""First parts of addresses, in the order in which outputs follow from one another."""
CHOOSING = {
    product.place for step in STEPS.values() if Answered.content in step.inputs.values() for product in step.products
}
"""Places of what is made by choosing among responses. Other steps too make rows to learn from."""


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
            names[address] = _plain_name(lineage, manifest, _variants(lineage))
    for address in lineage.outside:
        names[address] = address
    return _told_apart(names)


def _variants(lineage: Lineage) -> dict[str, str]:
    """The first variant of each evaluated model, by the model's address."""
    evaluations = lineage.manifests[lineage.target].parents
    models = {name: model_of(lineage.manifests[parent.address]) for name, parent in evaluations.items()}
    return {model.address: name for name, model in reversed(models.items()) if model}


def _told_apart(names: Mapping[str, str]) -> dict[str, str]:
    """Names that several outputs have, with the beginning of each key."""
    often = {name for name, count in Counter(names.values()).items() if count > 1}
    return {
        address: f"{name} {address.rpartition('/')[2][:6]}" if name in often else name
        for address, name in names.items()
    }


def _plain_name(lineage: Lineage, manifest: Manifest, variants: Mapping[str, str]) -> str:
    """The step, with what tells this output from the step's others: a method, or the newest model that it is about."""
    if manifest.content == Question.content:
        return f"{manifest.step} benchmarks"
    alike = [other for other in lineage.holding(manifest.content) if other.step == manifest.step]
    if len(alike) == 1:
        return manifest.step
    models = [variants[address] for address in lineage.ancestors(manifest.address) if address in variants]
    method = manifest.settings.get("method")
    return f"{manifest.step} {method or (models[-1] if models else manifest.address.split('/')[-1][:6])}"


def selections(lineage: Lineage) -> list[Manifest]:
    """The outputs with rows that were chosen among responses."""
    return [manifest for manifest in lineage.holding(SELECTION) if manifest.step in CHOOSING]


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
