"""The gate: one variant is chosen on the selection part of the questions, and decided on the confirmation part.

The best of several scores flatters the variant that has it, so the questions that choose do not decide. On the others
one variant is tested, and its p-value needs no correction for the number of variants. What it may lose elsewhere is a
non-inferiority test: the lower bound of its difference to the base has to be above minus the margin.
"""

from components.publish.bounds import interval, lower_bound
from components.publish.report_schema import GateFacts, LossFacts, PartFacts, VariantFacts, VariantVerdict
from components.publish.settings import Gate
from components.shared.errors import InputError, SettingsError
from components.shared.rows import Comparison, ComparisonTable, PartScores, Variant

Scores = Variant | VariantFacts | PartScores
FEWEST = 2
"""Questions that a part needs, so that its difference has a standard error."""


def judge(table: ComparisonTable, gate: Gate, outside: frozenset[str] = frozenset()) -> GateFacts:
    """Choose a variant on the selection part, and decide on the confirmation part whether it is promoted.

    Chosen is the variant with the highest score on the deciding benchmark among those that gain there and whose losses
    are within the margins; ties go to the higher mean over all benchmarks, then to the name that comes first.

    Args:
        table: all variants on all benchmarks, with both parts.
        gate: the rule.
        outside: names of variants that are not in this store and so cannot be promoted.

    Raises:
        SettingsError: the gate names a benchmark that the comparison does not hold.
        InputError: the comparison lacks the parts.
    """
    benchmark = _deciding(table, gate)
    _require_parts(table)
    few = _too_few(table, [benchmark, *(name for name in gate.max_loss if name != benchmark)])
    candidates = [variant for variant in table.variants if variant.name != table.base]
    against = {variant.name: few or _reasons_not_to_choose(variant, benchmark, gate, outside) for variant in candidates}
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
        sentence=_sentence(table, benchmark, verdicts),
    )


def score_of(scores: Scores | None, benchmark: str) -> float | None:
    """The score on a benchmark, None when there is none."""
    found = scores.scores if scores else ()
    return next((score.value for score in found if score.benchmark == benchmark), None)


def against_base(scores: Scores | None, benchmark: str) -> Comparison | None:
    """The difference to the base on a benchmark, None when there is none."""
    found = scores.against_base if scores else ()
    return next((item for item in found if item.benchmark == benchmark), None)


def points(fraction: float) -> str:
    """A difference of scores in points: 0.0213 is `2.1 points`."""
    return f"{100 * fraction:.1f} points"


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
            "the comparison does not tell the questions that choose from those that decide",
            rule="the gate chooses on one part of each benchmark's questions and decides on the other",
            remedy="run the evaluate step again with this version of Tutelage",
        )


def _too_few(table: ComparisonTable, benchmarks: list[str]) -> list[str]:
    """Parts with too few questions to choose or to decide; the base's questions are those of all variants."""
    base = next(variant for variant in table.variants if variant.name == table.base)
    counts = [
        (part, name, _questions(scores, name))
        for name in benchmarks
        for part, scores in (("selection", base.selection), ("confirmation", base.confirmation))
    ]
    return [
        f"the {part} part of {name} has {count} questions, and {FEWEST} are the least: evaluate more (`limit`), or "
        "change evaluate.selection_share"
        for part, name, count in counts
        if count < FEWEST
    ]


def _reasons_not_to_choose(variant: Variant, benchmark: str, gate: Gate, outside: frozenset[str]) -> list[str]:
    """What speaks against a variant before the confirmation part is looked at."""
    item = against_base(variant.selection, benchmark)
    reasons = _gain_reasons(item, f"{benchmark} (selection part)", gate.min_gain)
    for name, margin in sorted(gate.max_loss.items()):
        other = against_base(variant.selection, name)
        if other is None:
            reasons.append(f"it was not compared with the base on {name} (selection part)")
        elif -other.difference > margin:
            lost = points(-other.difference)
            reasons.append(f"it loses {lost} on {name} (selection part), more than the margin of {points(margin)}")
    if variant.name in outside:
        reasons.append("its files are not an output of this store, so they cannot be promoted")
    return reasons


def _verdict(
    variant: Variant, benchmark: str, gate: Gate, chosen: Variant | None, reasons: tuple[str, ...]
) -> VariantVerdict:
    losses = _losses(variant, gate)
    if variant is chosen:
        reasons = tuple(_reasons_not_to_promote(variant, benchmark, gate, losses))
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


def _reasons_not_to_promote(variant: Variant, benchmark: str, gate: Gate, losses: tuple[LossFacts, ...]) -> list[str]:
    item = against_base(variant.confirmation, benchmark)
    reasons = _gain_reasons(item, benchmark, gate.min_gain)
    if item is not None and item.difference > 0 and not item.p_value < gate.alpha:
        reasons.append(
            f"its gain on {benchmark}, {points(item.difference)}, is within noise: "
            f"p = {item.p_value:.3f} is not below {gate.alpha:g}"
        )
    for loss in losses:
        if not loss.passed:
            reasons.append(
                f"a loss of more than {points(loss.margin)} on {loss.benchmark} is not ruled out: it is at "
                f"{points(loss.difference)}, with a lower bound of {points(loss.lower_bound)} on {loss.questions} "
                "questions"
            )
    return reasons


def _gain_reasons(item: Comparison | None, where: str, min_gain: float) -> list[str]:
    if item is None:
        return [f"it was not compared with the base on {where}"]
    if item.difference <= 0:
        how = f"{points(-item.difference)} below it" if item.difference < 0 else "equal to it"
        return [f"it is not better than the base on {where} ({how})"]
    if item.difference < min_gain:
        return [f"its gain on {where}, {points(item.difference)}, is below {points(min_gain)}"]
    return []


def _losses(variant: Variant, gate: Gate) -> tuple[LossFacts, ...]:
    """The non-inferiority tests, on the confirmation part."""
    losses = []
    for name, margin in sorted(gate.max_loss.items()):
        item = against_base(variant.confirmation, name)
        questions = _questions(variant.confirmation, name)
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
        questions=_questions(scores, benchmark),
        score=value,
        difference=item.difference,
        interval=interval(item),
        p_value=item.p_value,
    )


def _questions(scores: PartScores | None, benchmark: str) -> int:
    return next((score.count for score in scores.scores if score.benchmark == benchmark), 0) if scores else 0


def _rank(variant: Variant, benchmark: str) -> tuple[float, float, str]:
    """Smaller is better. Only the selection part is looked at."""
    assert variant.selection is not None
    values = [score.value for score in variant.selection.scores]
    return (-(score_of(variant.selection, benchmark) or 0.0), -sum(values) / max(len(values), 1), variant.name)


def _sentence(table: ComparisonTable, benchmark: str, verdicts: tuple[VariantVerdict, ...]) -> str:
    base = next(variant for variant in table.variants if variant.name == table.base)
    base_score = score_of(base.confirmation, benchmark) or 0.0
    chosen = next((verdict for verdict in verdicts if verdict.chosen), None)
    if chosen is not None and chosen.passed:
        assert chosen.confirmation is not None
        part, (low, high) = chosen.confirmation, chosen.confirmation.interval
        return (
            f"{chosen.variant} is promoted: {100 * part.score:.1f} % on {benchmark}, {points(part.difference)} above "
            f"the base at {100 * base_score:.1f} % (95 % interval {100 * low:+.1f} to {100 * high:+.1f}, "
            f"on {part.questions} questions held out from the selection)."
        )
    best = chosen or max(verdicts, key=lambda v: (v.selection.score if v.selection else -1.0, v.variant), default=None)
    if best is None:
        return f"Nothing is promoted: no variant was compared with the base on {benchmark}."
    if best.selection is None:
        return f"Nothing is promoted: {' and '.join(best.reasons)}."
    return f"Nothing is promoted. The best variant is {best.variant}, but {' and '.join(best.reasons)}."
