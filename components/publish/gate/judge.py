"""The gate: one variant is chosen on the selection part of the questions, and decided on the confirmation part.

The best of several scores is biased upwards, so the questions that choose do not decide. On the others one variant is
tested, and its p-value needs no correction for the number of variants. Losses on other benchmarks are limited by a
non-inferiority test: the lower bound of the difference to the base has to be above minus the margin.
"""

from components.publish.gate.explain import describe_outcome, reasons_not_to_choose, reasons_not_to_promote
from components.publish.gate.scores import against_base, lower_bound, questions_of, score_of
from components.publish.report_schema import GateFacts, LossFacts, PartFacts, VariantVerdict
from components.publish.settings import Gate
from components.shared.errors import InputError, SettingsError
from components.shared.intervals import paired_interval
from components.shared.rows import ComparisonTable, PartScores, Variant
from components.shared.text.counted import counted

FEWEST = 2
"""Questions that a part needs, so that its difference has a standard error."""


def judge(table: ComparisonTable, gate: Gate, outside: frozenset[str] = frozenset()) -> GateFacts:
    """Choose a variant on the selection part, and decide on the confirmation part whether it is promoted.

    Chosen is the variant with the highest score on the deciding benchmark among those that gain there and whose losses
    are within the margins; ties go to the higher mean over all benchmarks, then to the name that comes first.
    Endpoints are no candidates: they have no files that could be promoted.

    Args:
        table: all variants on all benchmarks, with both parts.
        gate: the rule.
        outside: names of variants that are not outputs of this store, so cannot be promoted.

    Raises:
        SettingsError: the gate names a benchmark that is not in the comparison.
        InputError: the comparison lacks the parts.
    """
    benchmark = _deciding(table, gate)
    _require_parts(table)
    few = _too_few(table, [benchmark, *(name for name in gate.max_loss if name != benchmark)])
    candidates = [variant for variant in table.variants if variant.name != table.base and not variant.endpoint]
    against = {variant.name: few or reasons_not_to_choose(variant, benchmark, gate, outside) for variant in candidates}
    eligible = [variant for variant in candidates if not against[variant.name]]
    chosen = min(eligible, key=lambda variant: _rank(variant, benchmark), default=None)
    verdicts = tuple(_verdict(variant, benchmark, gate, chosen, tuple(against[variant.name])) for variant in candidates)
    winner = next((verdict.variant for verdict in verdicts if verdict.passed), None)
    return GateFacts(
        rule=gate,
        benchmark=benchmark,
        verdicts=verdicts,
        chosen=chosen.name if chosen else None,
        winner=winner,
        sentence=describe_outcome(table, benchmark, verdicts),
    )


def _deciding(table: ComparisonTable, gate: Gate) -> str:
    """The benchmark that decides; every benchmark that the gate names must be in the comparison."""
    base = next(variant for variant in table.variants if variant.name == table.base)
    known = [score.benchmark for score in base.scores]
    for name in [gate.benchmark, *gate.max_loss]:
        if name and name not in known:
            raise SettingsError(
                f"the gate names the benchmark {name!r}, which was not run",
                rule="the gate judges by benchmarks of the comparison",
                allowed=known,
                remedy="correct gate.benchmark or gate.max_loss, or add the benchmark to the evaluation",
            )
    return gate.benchmark or known[0]


def _require_parts(table: ComparisonTable) -> None:
    if any(variant.selection is None or variant.confirmation is None for variant in table.variants):
        raise InputError(
            "the comparison does not separate the questions that choose from those that decide",
            rule="the gate chooses on one part of each benchmark's questions and decides on the other",
            remedy="run the evaluation again with this version of Tutelage",
        )


def _too_few(table: ComparisonTable, benchmarks: list[str]) -> list[str]:
    """Parts with too few questions to choose or to decide; the base's questions are those of all variants."""
    base = next(variant for variant in table.variants if variant.name == table.base)
    counts = [
        (part, name, questions_of(scores, name))
        for name in benchmarks
        for part, scores in (("selection", base.selection), ("confirmation", base.confirmation))
    ]
    return [
        f"the {part} part of {name} has {counted(count, 'question')}, and needs {FEWEST} or more: evaluate more "
        "(`limit`), or change compare.selection_share"
        for part, name, count in counts
        if count < FEWEST
    ]


def _verdict(
    variant: Variant, benchmark: str, gate: Gate, chosen: Variant | None, reasons: tuple[str, ...]
) -> VariantVerdict:
    losses = _losses(variant, gate)
    if variant is chosen:
        reasons = tuple(reasons_not_to_promote(variant, benchmark, gate, losses))
    elif chosen is not None and not reasons:
        best, own = (score_of(each.selection, benchmark) or 0.0 for each in (chosen, variant))
        reasons = (f"{chosen.name} was chosen: {100 * best:.1f} % on the selection part, this one {100 * own:.1f} %",)
    item = against_base(variant.confirmation, benchmark)
    return VariantVerdict(
        variant=variant.name,
        chosen=variant is chosen,
        passed=variant is chosen and not reasons,
        gain=item.difference if item else None,
        p_value=item.p_value if item else None,
        selection=_part(variant.selection, benchmark),
        confirmation=_part(variant.confirmation, benchmark),
        losses=losses,
        reasons=reasons,
    )


def _losses(variant: Variant, gate: Gate) -> tuple[LossFacts, ...]:
    """The non-inferiority tests, on the confirmation part."""
    losses = []
    for name, margin in sorted(gate.max_loss.items()):
        item = against_base(variant.confirmation, name)
        questions = questions_of(variant.confirmation, name)
        if item is None or not questions:
            continue
        bound = lower_bound(item, questions, gate.loss_alpha)
        losses.append(
            LossFacts(
                benchmark=name,
                margin=margin,
                questions=questions,
                difference=item.difference,
                lower_bound=bound,
                passed=bound > -margin,
            )
        )
    return tuple(losses)


def _part(scores: PartScores | None, benchmark: str) -> PartFacts | None:
    value, item = score_of(scores, benchmark), against_base(scores, benchmark)
    if value is None or item is None:
        return None
    return PartFacts(
        questions=questions_of(scores, benchmark),
        score=value,
        difference=item.difference,
        interval=paired_interval(item),
        p_value=item.p_value,
    )


def _rank(variant: Variant, benchmark: str) -> tuple[float, float, str]:
    """Smaller is better. Only the selection part is looked at."""
    assert variant.selection is not None
    values = [score.value for score in variant.selection.scores]
    return (-(score_of(variant.selection, benchmark) or 0.0), -sum(values) / max(len(values), 1), variant.name)
