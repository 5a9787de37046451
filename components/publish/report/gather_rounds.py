"""Collects what a curriculum has recorded: probes, routes, rewards and its score at equal compute."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from components.publish.gate.scores import full_score
from components.publish.lineage.lineage import Lineage, without_credentials
from components.publish.report.gather import LOSSES, MOST_POINTS, STEP_REPORT, has_file, read_json, read_records
from components.publish.report.gather_examples import gather_examples
from components.publish.report.gather_taught import gather_taught
from components.publish.report_schema import (
    BaselineFacts,
    CurriculumFacts,
    EqualComputeFacts,
    HandedOnFacts,
    PassAt,
    ProbeFacts,
    RewardCurve,
    RouteFacts,
    VariantFacts,
)
from components.shared.intervals import unpaired_interval
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest, Parent
from components.shared.outputs.training_compute import BUDGET, TOKENS, tokens_spent
from components.shared.page.formats import compact, percent, reach, signed
from components.shared.pools import POOLS
from components.shared.rollout_rows import Probed, Routed
from components.shared.rows import Score
from components.shared.step import MODEL

PARTS = ("sft", "rl", "dropped")
CURVES = ("reward", "useful_groups", "entropy", "response_tokens", "truncated_share", "clip_share")
"""What is drawn of a training that draws rollouts, by its names in losses.jsonl."""


def gather_curriculum(
    library: Library,
    lineage: Lineage,
    names: Mapping[str, str],
    variants: Sequence[VariantFacts],
    benchmark: str,
) -> CurriculumFacts | None:
    """What became of problems of graded difficulty; None for a run without probes.

    Raises:
        DamagedError: a file is not what its manifest promises.
        InputError: rows are not what this version expects.
    """
    probes = lineage.holding(Probed.content)
    if not probes:
        return None
    routes = lineage.holding(Routed.content)
    return CurriculumFacts(
        probes=tuple(_probe(library, lineage, manifest, names, variants) for manifest in probes),
        routes=tuple(_route(library, manifest, names) for manifest in routes),
        taught=tuple(gather_taught(lineage, names)),
        rewards=tuple(_reward_curves(library, lineage.holding(MODEL), names)),
        examples=gather_examples(library, lineage, names),
        equal_compute=compare_at_equal_compute(lineage, variants, benchmark),
        handed_on=tuple(_handed_on(variants)),
    )


def _handed_on(variants: Sequence[VariantFacts]) -> Iterator[HandedOnFacts]:
    """Models that several variants share: a training without rows hands on the model that it starts from."""
    names: dict[str, list[str]] = {}
    for variant in variants:
        if variant.kind != "endpoint":
            names.setdefault(variant.digest, []).append(variant.name)
    for model, *others in names.values():
        if others:
            yield HandedOnFacts(variants=tuple(others), model=model)


def _probe(
    library: Library,
    lineage: Lineage,
    manifest: Manifest,
    names: Mapping[str, str],
    variants: Sequence[VariantFacts],
) -> ProbeFacts:
    report = read_json(library, manifest, STEP_REPORT)
    model = manifest.parents.get("model")
    probed = {variant.digest: variant.name for variant in reversed(variants)}
    before = [
        address
        for address in lineage.ancestors(manifest.address)[:-1]
        if address in lineage.manifests and lineage.manifests[address].content == Probed.content
    ]
    return ProbeFacts(
        task=names[manifest.address],
        model=probed.get(model.digest, without_credentials(model.address)) if model else "an endpoint",
        after=names[before[-1]] if before else None,
        problems=report["problems"],
        pools={pool: report[f"{pool}_problems"] for pool in POOLS},
        rates=report["rates"],
        pass_at=tuple(PassAt(k=k, **report["pass_at"][str(k)]) for k in sorted(map(int, report["pass_at"]))),
    )


def _route(library: Library, manifest: Manifest, names: Mapping[str, str]) -> RouteFacts:
    report = read_json(library, manifest, STEP_REPORT)
    return RouteFacts(
        task=names[manifest.address],
        probe=names[manifest.parents["probed"].address],
        policy=report["policy"]["policy"],
        pools={pool: {name: report["pools"][pool][name] for name in ("problems", *PARTS)} for pool in POOLS},
    )


def _reward_curves(library: Library, trained: Iterable[Manifest], names: Mapping[str, str]) -> Iterable[RewardCurve]:
    """The curves of every training that drew rollouts."""
    for manifest in trained:
        records = read_records(library, manifest, LOSSES) if has_file(manifest, LOSSES) else []
        if any(CURVES[0] in record for record in records):
            yield reward_curve(names[manifest.address], records)


def reward_curve(task: str, records: Sequence[Mapping[str, Any]], most: int = MOST_POINTS) -> RewardCurve:
    """At most `most` points of each curve: each the mean of as many neighbours, at the last one's step."""
    width = -(-len(records) // most)
    groups = [records[start : start + width] for start in range(0, len(records), width)]
    found = [name for name in CURVES if any(name in record for record in records)]
    return RewardCurve(
        task=task,
        steps=tuple(group[-1]["step"] for group in groups),
        values={name: tuple(_mean([r[name] for r in group if name in r]) for group in groups) for name in found},
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def compare_at_equal_compute(
    lineage: Lineage, variants: Sequence[VariantFacts], benchmark: str
) -> EqualComputeFacts | None:
    """The curriculum's last model against the variants that had the compute of its trainings; None without such.

    The budgets tell the models apart: a baseline has one, and the curriculum's trainings are named in them.
    """
    chains = {variant.name: _chain(lineage, variant) for variant in variants}
    budgets = {
        parent.address for chain in chains.values() for manifest in chain for parent in _budget_of(manifest).values()
    }
    scores = {variant.name: score for variant in variants if (score := full_score(variant, benchmark))}
    limited = [name for name, chain in chains.items() if any(map(_budget_of, chain)) and name in scores]
    sources = [
        name
        for name, chain in chains.items()
        if name in scores and name not in limited and any(manifest.address in budgets for manifest in chain)
    ]
    if not limited or not sources:
        return None
    last = max(sources, key=lambda name: len(chains[name]))
    tokens = {name: _tokens(chains[name]) for name in (last, *limited)}
    # Of a baseline in stages, only the last model has all of its compute.
    complete = [name for name in limited if not _is_stage(name, limited, chains)]
    baselines = tuple(_baseline(name, tokens[name], scores[last], scores[name]) for name in complete)
    return EqualComputeFacts(
        benchmark=benchmark,
        variant=last,
        tokens=tokens[last],
        probe_tokens=_probe_tokens(lineage, chains[last][0]),
        score=scores[last].value,
        baselines=baselines,
        sentence=_sentence(benchmark, last, tokens[last], scores[last].value, baselines),
    )


def _chain(lineage: Lineage, variant: VariantFacts) -> list[Manifest]:
    """The trainings that led to a variant, in this store, the last one first."""
    chain: list[Manifest] = []
    manifest = lineage.with_digest(variant.digest)
    while manifest is not None:
        chain.append(manifest)
        start = manifest.parents.get("start")
        manifest = lineage.manifests.get(start.address) if start else None
    return chain


def _budget_of(manifest: Manifest) -> dict[str, Parent]:
    return {name: parent for name, parent in manifest.parents.items() if name.startswith(BUDGET)}


def _is_stage(name: str, others: Sequence[str], chains: Mapping[str, list[Manifest]]) -> bool:
    """Whether another of these models was trained on from this one."""
    own = chains[name][0].address
    return any(own in {manifest.address for manifest in chains[other][1:]} for other in others)


def _tokens(chain: Iterable[Manifest]) -> int:
    return sum(tokens_spent(manifest.counts) for manifest in chain if TOKENS in manifest.counts)


def _probe_tokens(lineage: Lineage, model: Manifest) -> int:
    """What the probes generated that a model's trainings come from."""
    ancestors = [
        lineage.manifests[address] for address in lineage.ancestors(model.address) if address in lineage.manifests
    ]
    return sum(manifest.cost.tokens_out for manifest in ancestors if manifest.content == Probed.content)


def _baseline(name: str, tokens: int, ours: Score, theirs: Score) -> BaselineFacts:
    return BaselineFacts(
        variant=name,
        tokens=tokens,
        score=theirs.value,
        difference=ours.value - theirs.value,
        interval=unpaired_interval(ours, theirs),
    )


def _sentence(benchmark: str, variant: str, tokens: int, score: float, baselines: Sequence[BaselineFacts]) -> str:
    best = max(baselines, key=lambda baseline: baseline.score)
    low, high = best.interval
    outcome = "helped" if low > 0 else "did harm" if high < 0 else "made no difference beyond chance"
    return (
        f"Routing {outcome}: on {benchmark}, {variant} has {percent(score)} % after {compact(tokens)} tokens of "
        f"compute, the best baseline {best.variant} {percent(best.score)} % after {compact(best.tokens)}: a difference "
        f"of {signed(best.difference)} points (95 % interval {reach(best.interval)})."
    )
