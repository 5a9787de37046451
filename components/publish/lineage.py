"""Everything that an output comes from, found by walking the manifests of the store."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.shared.errors import DamagedError
from components.shared.manifest import Manifest, Parent, find_manifest, load_manifest

STEPS = ("collect", "curate", "synthesize", "select", "train", "merge", "evaluate", "publish")
ADDRESS = re.compile(r"[a-z][a-z0-9-]*/[0-9a-f]{16}|models/[^/]+/[^/]+")
CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


@dataclass(frozen=True)
class Lineage:
    """Outputs and outside references by address.

    `manifests` holds the outputs of this store, inputs before what is made of them; `outside` the references that
    lie elsewhere (packaged models, hub ids, other stores), with their digests.
    """

    target: str
    manifests: Mapping[str, Manifest]
    outside: Mapping[str, Parent]

    def ancestors(self, address: str) -> list[str]:
        """The address itself and everything it comes from, inputs first."""
        found: dict[str, None] = {}

        def visit(current: str) -> None:
            if current in self.manifests:
                for parent in self.manifests[current].parents.values():
                    visit(parent.address)
            found.setdefault(current)

        visit(address)
        return list(found)

    def of_step(self, step: str) -> list[Manifest]:
        """The outputs of one step."""
        return [manifest for manifest in self.manifests.values() if manifest.step == step]

    def with_digest(self, digest: str) -> Manifest | None:
        """The output that has this content, None when none here does."""
        return next((manifest for manifest in self.manifests.values() if manifest.digest == digest), None)


def trace(root: str, target: Manifest) -> Lineage:
    """Walk from an output to everything it comes from.

    A parent that is no address, or an address that this store does not hold, is an outside reference; the direct
    parents of the target must be here.

    Raises:
        NotFoundError: a direct parent is missing.
        DamagedError: a manifest cannot be read, or is no longer the one that its child was made from.
    """
    manifests: dict[str, Manifest] = {}
    outside: dict[str, Parent] = {}
    for parent in target.parents.values():
        load_manifest(root, parent.address)

    def visit(manifest: Manifest) -> None:
        """Parents first, each once."""
        for name, parent in manifest.parents.items():
            if parent.address in manifests or parent.address in outside:
                continue
            found = _find(root, manifest, name, parent)
            if found is None:
                outside[parent.address] = parent
            else:
                visit(found)
        manifests[manifest.address] = manifest

    visit(target)
    return Lineage(target.address, manifests, outside)


def _find(root: str, child: Manifest, name: str, parent: Parent) -> Manifest | None:
    if not ADDRESS.fullmatch(parent.address):
        return None
    manifest = find_manifest(root, parent.address)
    if manifest is not None and manifest.digest != parent.digest:
        raise DamagedError(
            f"{parent.address} is not what {child.address} was made from: its digest is {manifest.digest[:12]}, "
            f"the input {name!r} of {child.address} had {parent.digest[:12]}",
            rule="a manifest names its inputs by address and digest",
            remedy=f"restore {parent.address}, or run the pipeline again from the {manifest.step} step",
        )
    return manifest


def task_names(lineage: Lineage) -> dict[str, str]:
    """What a person calls each output: the step, and the variant where there are several."""
    comparison = lineage.manifests[lineage.target]
    names = {lineage.target: "compare"}
    for variant, parent in comparison.parents.items():
        names[parent.address] = f"evaluate {variant}"
        model = model_of(lineage.manifests[parent.address])
        if model and model.address in lineage.manifests:
            names.setdefault(model.address, f"{lineage.manifests[model.address].step} {variant}")
    for address, manifest in lineage.manifests.items():
        if address not in names:
            names[address] = _plain_name(manifest, alone=len(lineage.of_step(manifest.step)) == 1)
    for address in lineage.outside:
        names[address] = address
    return names


def _plain_name(manifest: Manifest, alone: bool) -> str:
    if manifest.content.startswith("question/"):
        return "collect benchmarks"
    if manifest.step == "collect" or alone:
        return manifest.step
    return f"{manifest.step} {manifest.settings.get('method') or manifest.address.split('/')[-1][:6]}"


def model_of(evaluation: Manifest) -> Parent | None:
    """The model that an evaluation asked: its input called `model`."""
    return evaluation.parents.get("model")


def in_order(lineage: Lineage, names: Mapping[str, str], variants: Sequence[str]) -> list[Manifest]:
    """The outputs in the order of the pipeline: by step, and in a step by the comparison's order of variants."""
    steps = {step: number for number, step in enumerate(STEPS)}

    def place(manifest: Manifest) -> tuple[int, int, str]:
        variant = names[manifest.address].removeprefix(f"{manifest.step} ")
        last = manifest.address == lineage.target
        return (
            steps.get(manifest.step, len(STEPS)),
            len(variants) if last else _index(variants, variant),
            names[manifest.address],
        )

    return sorted(lineage.manifests.values(), key=place)


def _index(names: Sequence[str], name: str) -> int:
    return names.index(name) if name in names else -1


def without_credentials(value: Any) -> Any:
    """Settings as plain values, with what stands before an @ in a URI removed."""
    if isinstance(value, str):
        return CREDENTIALS.sub("", value)
    if isinstance(value, dict):
        return {name: without_credentials(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_credentials(item) for item in value]
    return value
