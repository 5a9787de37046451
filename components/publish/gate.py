"""The gate: which variants are better than the base by more than noise and lose nothing that matters."""

from components.publish.report_schema import GateFacts, VariantFacts, VariantVerdict
from components.publish.settings import Gate
from components.shared.errors import SettingsError
from components.shared.rows import Comparison, ComparisonTable, Variant


def judge(table: ComparisonTable, gate: Gate, outside: frozenset[str] = frozenset()) -> GateFacts:
    """Judge every variant but the base and choose the winner.

    The winner has the highest score on the deciding benchmark among those that pass; ties go to the higher mean
    over all benchmarks, then to the name that comes first.

    Args:
        table: all variants on all benchmarks.
        gate: the rule.
        outside: names of variants that do not lie in this store and so cannot be promoted.

    Raises:
        SettingsError: the gate names a benchmark that the comparison does not hold.
    """
    benchmark = _deciding(table, gate)
    candidates = [variant for variant in table.variants if variant.name != table.base]
    verdicts = tuple(_verdict(variant, benchmark, gate, outside) for variant in candidates)
    passed = {verdict.variant for verdict in verdicts if verdict.passed}
    winner = min((v for v in candidates if v.name in passed), key=lambda v: _rank(v, benchmark), default=None)
    return GateFacts(
        rule=gate,
        benchmark=benchmark,
        verdicts=verdicts,
        winner=winner.name if winner else None,
        sentence=_sentence(table, benchmark, winner, verdicts),
    )


def score_of(variant: Variant | VariantFacts, benchmark: str) -> float | None:
    """The variant's score on a benchmark, None when it has none."""
    return next((score.value for score in variant.scores if score.benchmark == benchmark), None)


def against_base(variant: Variant | VariantFacts, benchmark: str) -> Comparison | None:
    """The variant's difference to the base on a benchmark, None when there is none."""
    return next((item for item in variant.against_base if item.benchmark == benchmark), None)


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


def _verdict(variant: Variant, benchmark: str, gate: Gate, outside: frozenset[str]) -> VariantVerdict:
    item = against_base(variant, benchmark)
    reasons = _gain_reasons(item, benchmark, gate)
    reasons += _loss_reasons(variant, gate)
    if variant.name in outside:
        reasons.append("its files are not an output of this store, so they cannot be promoted")
    return VariantVerdict(
        variant=variant.name,
        passed=not reasons,
        gain=item.difference if item else None,
        p_value=item.p_value if item else None,
        reasons=tuple(reasons),
    )


def _gain_reasons(item: Comparison | None, benchmark: str, gate: Gate) -> list[str]:
    if item is None:
        return [f"it was not compared with the base on {benchmark}"]
    if item.difference <= 0:
        how = f"{points(-item.difference)} below it" if item.difference < 0 else "equal to it"
        return [f"it is not better than the base on {benchmark} ({how})"]
    reasons = []
    if item.difference < gate.min_gain:
        reasons.append(f"its gain on {benchmark}, {points(item.difference)}, is below {points(gate.min_gain)}")
    if not item.p_value < gate.alpha:
        reasons.append(
            f"its gain on {benchmark}, {points(item.difference)}, is within noise: "
            f"p = {item.p_value:.3f} is not below {gate.alpha:g}"
        )
    return reasons


def _loss_reasons(variant: Variant, gate: Gate) -> list[str]:
    reasons = []
    for name, allowed in sorted(gate.max_loss.items()):
        item = against_base(variant, name)
        if item is None:
            reasons.append(f"it was not compared with the base on {name}")
        elif -item.difference > allowed:
            reasons.append(f"it loses {points(-item.difference)} on {name}; at most {points(allowed)} are allowed")
    return reasons


def _rank(variant: Variant, benchmark: str) -> tuple[float, float, str]:
    """Smaller is better."""
    mean = sum(score.value for score in variant.scores) / max(len(variant.scores), 1)
    return (-(score_of(variant, benchmark) or 0.0), -mean, variant.name)


def _sentence(
    table: ComparisonTable, benchmark: str, winner: Variant | None, verdicts: tuple[VariantVerdict, ...]
) -> str:
    base = next(variant for variant in table.variants if variant.name == table.base)
    base_score = score_of(base, benchmark) or 0.0
    if winner is not None:
        item, score = against_base(winner, benchmark), score_of(winner, benchmark)
        assert item is not None and score is not None
        return (
            f"{winner.name} is promoted: {100 * score:.1f} % on {benchmark}, "
            f"{points(item.difference)} above the base at {100 * base_score:.1f} %."
        )
    best = max((v for v in verdicts if v.gain is not None), key=lambda v: (v.gain, v.variant), default=None)
    if best is None:
        return f"Nothing is promoted: no variant was compared with the base on {benchmark}."
    return f"Nothing is promoted. The best variant is {best.variant}, but {' and '.join(best.reasons)}."
