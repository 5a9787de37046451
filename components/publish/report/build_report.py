"""Put the report together from the comparison, the gate and the manifests that led there."""

import os
import platform
from collections import defaultdict

from components.publish.audit.compare_planted import compare_planted
from components.publish.audit.truth import Truth
from components.publish.gate.judgement import Judgement
from components.publish.lineage.lineage import Lineage, without_credentials
from components.publish.lineage.names import in_order, task_names
from components.publish.report.gather import gather_data, gather_losses
from components.publish.report.gather_rounds import gather_curriculum
from components.publish.report_schema import (
    CostFacts,
    LineageEdge,
    LineageFacts,
    LineageNode,
    MachineFacts,
    ReleaseFacts,
    Report,
    RunFacts,
    StepFacts,
    VariantFacts,
)
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest, Parent
from components.shared.outputs.training_compute import BUDGET
from components.shared.rows import Variant
from components.shared.step import MODEL


def build_report(library: Library, judgement: Judgement, release: ReleaseFacts | None, truth: Truth | None) -> Report:
    """Everything the report says. `truth` is None when no truth file was given.

    Raises:
        DamagedError: a file of an earlier step is not what its manifest promises.
        InputError: rows of an earlier step are not what this version expects.
    """
    lineage = judgement.lineage
    names = task_names(lineage)
    ordered = in_order(lineage, names, [variant.name for variant in judgement.table.variants])
    variants = describe_variants(judgement)
    return Report(
        run=_run_facts(judgement),
        asked=judgement.table.asked,
        variants=variants,
        gate=judgement.gate,
        release=release,
        planted=compare_planted(library, lineage, truth) if truth is not None else None,
        data=gather_data(library, lineage),
        losses=gather_losses(library, ordered, names),
        curriculum=gather_curriculum(library, lineage, names, variants, judgement.gate.benchmark),
        steps=tuple(_step_facts(manifest, names) for manifest in ordered),
        cost=_cost_facts(lineage),
        lineage=_lineage_facts(judgement, ordered, names),
        versions=_versions(lineage),
        machine=_machine_facts(),
    )


def describe_variants(judgement: Judgement) -> tuple[VariantFacts, ...]:
    """Every variant with how it was made, in the comparison's order."""
    lineage, table = judgement.lineage, judgement.table
    # Of a model that was handed on, the first name.
    model_names = {variant.digest: variant.name for variant in reversed(table.variants)}
    return tuple(_variant_facts(variant, lineage, table.base, model_names) for variant in table.variants)


def _variant_facts(variant: Variant, lineage: Lineage, base: str, model_names: dict[str, str]) -> VariantFacts:
    manifest = lineage.with_digest(variant.digest)
    method = manifest.settings.get("method") if manifest else None
    return VariantFacts.model_validate(
        {
            "name": variant.name,
            "kind": "base" if variant.name == base else _kind(variant, lineage, manifest),
            "method": str(method) if method else None,
            "made_from": _names_of_models(lineage, manifest, model_names) if manifest else (),
            "reference": without_credentials(manifest.address if manifest else variant.reference),
            "digest": variant.digest,
            "scores": variant.scores,
            "readings": variant.readings,
            "against_base": variant.against_base,
            "confirmation": variant.confirmation,
        }
    )


def _kind(variant: Variant, lineage: Lineage, manifest: Manifest | None) -> str:
    """Where a model comes from: merged ones are made of models alone, trained ones of rows too."""
    if variant.endpoint:
        return "endpoint"
    if manifest is None:
        return "outside"
    return "merged" if len(_models_behind(lineage, manifest)) == len(manifest.parents) else "trained"


def _models_behind(lineage: Lineage, manifest: Manifest) -> list[Parent]:
    """The models that an output was made from; what is not an output of this store is a model."""
    parents = [parent for name, parent in manifest.parents.items() if not name.startswith(BUDGET)]
    inputs = [(parent, lineage.manifests.get(parent.address)) for parent in parents]
    return [parent for parent, found in inputs if found is None or found.content == MODEL]


def _names_of_models(lineage: Lineage, manifest: Manifest, model_names: dict[str, str]) -> tuple[str, ...]:
    return tuple(
        model_names.get(parent.digest, without_credentials(parent.address))
        for parent in _models_behind(lineage, manifest)
    )


def _run_facts(judgement: Judgement) -> RunFacts:
    settings, correction = judgement.settings, judgement.comparison.settings.get("correction")
    return RunFacts(
        title=settings.title or settings.name,
        name=settings.run_name or None,
        recipe_digest=settings.recipe_digest or None,
        comparison=judgement.comparison.address,
        base=judgement.table.base,
        benchmark=judgement.gate.benchmark,
        correction=str(correction) if correction else None,
    )


def _step_facts(manifest: Manifest, names: dict[str, str]) -> StepFacts:
    return StepFacts(
        task=names[manifest.address],
        step=manifest.step,
        address=manifest.address,
        digest=manifest.digest,
        content=manifest.content,
        created=manifest.created,
        counts=manifest.counts,
        cost=manifest.cost,
        settings=without_credentials(manifest.settings),
    )


def _cost_facts(lineage: Lineage) -> CostFacts:
    costs = [manifest.cost for manifest in lineage.manifests.values()]
    price: dict[str, float] = defaultdict(float)
    for cost in costs:
        if cost.currency:
            price[cost.currency] += cost.price
    return CostFacts(
        seconds=round(sum(cost.seconds for cost in costs), 3),
        tokens_in=sum(cost.tokens_in for cost in costs),
        tokens_out=sum(cost.tokens_out for cost in costs),
        price=dict(sorted(price.items())),
    )


def _lineage_facts(judgement: Judgement, ordered: list[Manifest], names: dict[str, str]) -> LineageFacts:
    lineage, winner = judgement.lineage, judgement.winning_model
    winning = set(lineage.ancestors(winner.address)) if winner else set()
    digests = {address: parent.digest for address, parent in lineage.outside.items()}
    digests |= {manifest.address: manifest.digest for manifest in ordered}
    nodes = tuple(
        LineageNode(
            address=without_credentials(address),
            digest=digest,
            task=without_credentials(names[address]),
            inside=address in lineage.manifests,
            winning=address in winning,
        )
        for address, digest in digests.items()
    )
    edges = tuple(
        LineageEdge(source=without_credentials(parent.address), target=manifest.address, name=name)
        for manifest in ordered
        for name, parent in manifest.parents.items()
    )
    return LineageFacts(nodes=nodes, edges=edges)


def _versions(lineage: Lineage) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = defaultdict(set)
    for manifest in lineage.manifests.values():
        for package, version in manifest.versions.items():
            found[package].add(version)
    return {package: tuple(sorted(versions)) for package, versions in sorted(found.items())}


def _machine_facts() -> MachineFacts:
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        memory = None
    return MachineFacts(
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        cores=os.cpu_count(),
        memory_bytes=memory,
    )
