"""The reasons against a variant, and the gate's outcome, in words."""

from components.publish.gate.scores import against_base, points, score_of
from components.publish.report_schema import LossFacts, VariantVerdict
from components.publish.settings import Gate
from components.shared.rows import Comparison, ComparisonTable, Variant
from components.shared.text.counted import counted


def reasons_not_to_choose(variant: Variant, benchmark: str, gate: Gate, outside: frozenset[str]) -> list[str]:
    """The reasons against a variant on the selection part alone."""
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


def reasons_not_to_promote(variant: Variant, benchmark: str, gate: Gate, losses: tuple[LossFacts, ...]) -> list[str]:
    """Why the confirmation part speaks against promoting the chosen variant; empty when the variant passes."""
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


def describe_outcome(table: ComparisonTable, benchmark: str, verdicts: tuple[VariantVerdict, ...]) -> str:
    """One sentence for people: which variant is promoted and by how much, or why none is."""
    base = next(variant for variant in table.variants if variant.name == table.base)
    base_score = score_of(base.confirmation, benchmark) or 0.0
    chosen = next((verdict for verdict in verdicts if verdict.chosen), None)
    if chosen is not None and chosen.passed:
        assert chosen.confirmation is not None
        part, (low, high) = chosen.confirmation, chosen.confirmation.interval
        return (
            f"{chosen.variant} is promoted: {100 * part.score:.1f} % on {benchmark}, {points(part.difference)} above "
            f"the base at {100 * base_score:.1f} % (95 % interval {100 * low:+.1f} to {100 * high:+.1f}, "
            f"on {counted(part.questions, 'question')} held out from the selection)."
        )
    best = chosen or max(verdicts, key=lambda v: (v.selection.score if v.selection else -1.0, v.variant), default=None)
    if best is None:
        return f"Nothing is promoted: no variant was compared with the base on {benchmark}."
    if best.selection is None:
        return f"Nothing is promoted: {' and '.join(best.reasons)}."
    return f"Nothing is promoted. The best variant is {best.variant}, but {' and '.join(best.reasons)}."
