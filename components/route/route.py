"""Route: each problem to SFT, to RL, to both or to neither, by its pass rate."""

from collections.abc import Mapping

from components.route.policies.policy import Policy, Way
from components.route.settings import RouteSettings
from components.route.step import ROUTED, STEP
from components.route.tally import NO_VERDICT, PARTS, REASONS, RouteTally, count_of
from components.shared.errors import EmptyDataError
from components.shared.log import say
from components.shared.outputs.digest import seed_of
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output, RowWriter
from components.shared.outputs.shards import count_rows
from components.shared.rollout_rows import Probed, Routed
from components.shared.rows import Dropped, Labelled
from components.shared.text.counted import counted

REPORT = "report.json"
SEED_BITS = 64


def route_problems(library: Library, settings: RouteSettings, probed: Manifest) -> Manifest:
    """Send each problem to the trainings that can learn from it.

    Args:
        library: where outputs are stored.
        settings: the policy.
        probed: content probe/1, rows in `rows/`.

    Returns:
        The manifest of an address with Routed in `sft/` and `rl/`, Dropped in `dropped/`, and `report.json`. A problem
        may be in both `sft/` and `rl/`. Rows are in the order of the input.

    Raises:
        EmptyDataError: there are no problems; or all of them are dropped, and the settings do not take that for a
            result.
        InputError: rows that are not Probed.
    """
    output = Output(library, ROUTED, settings, {"probed": probed})

    def check() -> None:
        if count_rows(probed) == 0:
            raise EmptyDataError(
                f"{probed.address} contains no problems", remedy="check what the earlier steps dropped", step=STEP.name
            )

    def work() -> Manifest:
        tally = _write(library, settings, probed, output)
        _require_rows(settings, tally.counts())
        remarks = [*_differing_thresholds(settings.by, probed), *_undecided(tally), *_nothing_left(tally)]
        for remark in remarks:
            say(STEP.name, remark)
        policy = settings.by.model_dump(mode="json")
        output.write_json(REPORT, {**tally.report(), "policy": policy, "remarks": remarks})
        return output.finish(tally.counts())

    manifest = output.made(work, prepare=check)
    _require_rows(settings, manifest.counts)
    return manifest


def parts_of(row: Labelled, way: Way, seed: int) -> tuple[str, ...]:
    """The parts that a problem is in, given where those of its pool go.

    Whether it is in RL's share depends on the seed, its source and its id, not on the other problems.
    """
    drawn = seed_of(f"{seed}:{row.source}:{row.line}:{row.id}", SEED_BITS) < way.rl_share * 2**SEED_BITS
    taught = way.sft == "all" or (way.sft == "rest" and not drawn)
    parts = (*(("sft",) if taught else ()), *(("rl",) if drawn else ()))
    return parts or ("dropped",)


def _write(library: Library, settings: RouteSettings, probed: Manifest, output: Output) -> RouteTally:
    writers, tally = {part: RowWriter(output, part) for part in PARTS}, RouteTally()
    ways = settings.by.ways
    for row in library.read_rows(probed, Probed):
        if not row.decided:
            tally.add_undecided()
            writers["dropped"].add(_dropped(row, NO_VERDICT, f"{row.no_verdict} rollouts could not be checked"))
            continue
        pool = settings.by.pool_at(row.pass_rate)
        parts = parts_of(row, ways[pool], settings.seed)
        tally.add(row, pool, parts)
        _add(writers, row, pool, parts)
    for writer in writers.values():
        writer.close()
    return tally


def _add(writers: Mapping[str, RowWriter], row: Probed, pool: str, parts: tuple[str, ...]) -> None:
    for part in parts:
        if part == "dropped":
            evidence = f"{row.successes} of {row.tries} tries passed, and the policy's share did not keep it"
            writers[part].add(_dropped(row, pool, evidence))
        else:
            problem = {name: getattr(row, name) for name in Labelled.model_fields}
            writers[part].add(Routed(**problem, tries=row.tries, successes=row.successes, pool=pool))


def _dropped(row: Probed, reason: str, evidence: str) -> Dropped:
    return Dropped(id=row.id, source=row.source, line=row.line, reason=reason, evidence=evidence)


def _require_rows(settings: RouteSettings, counts: Mapping[str, float]) -> None:
    """Raises EmptyDataError when nothing is left to learn from, and the settings do not take that for a result."""
    if settings.when_empty == "fail" and not _learnt(counts):
        dropped = {reason: counts[count_of(reason)] for reason in REASONS}
        reasons = ", ".join(f"{reason} {count:.0f}" for reason, count in dropped.items() if count)
        raise EmptyDataError(
            f"all {counts['problems']:.0f} problems are dropped: {reasons}",
            rule="a problem is learnt from where the model can still improve, or where a policy's share keeps it",
            remedy="collect harder problems, raise easy_share, or choose another policy",
            step=STEP.name,
        )


def _learnt(counts: Mapping[str, float]) -> float:
    return counts["sft_rows"] + counts["rl_rows"]


def _nothing_left(tally: RouteTally) -> list[str]:
    return [] if _learnt(tally.counts()) else ["nothing is left to learn: every problem is dropped"]


def _differing_thresholds(policy: Policy, probed: Manifest) -> list[str]:
    """A remark where the probe stopped early for the pools of other thresholds, so that rates near these are rough."""
    rule = probed.settings.get("rule", {})
    named = ("hard_at_most", "easy_at_least")
    theirs, ours = [rule.get(name) for name in named], [getattr(policy, name) for name in named]
    if not rule or theirs == ours:
        return []
    return [
        f"the probe stopped early for thresholds {theirs[0]:g} and {theirs[1]:g}, the policy has {ours[0]:g} and "
        f"{ours[1]:g}: set the probe's rule to the policy's for rates that decide its pools"
    ]


def _undecided(tally: RouteTally) -> list[str]:
    lost = tally.reasons[NO_VERDICT]
    return [f"{counted(lost, 'problem')} dropped: too few rollouts could be checked"] if lost else []
