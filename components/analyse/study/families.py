"""The declared families of tests, and Holm's correction within each."""

from collections.abc import Mapping, Sequence

from components.analyse.settings import AnalysedArm, AnalyseSettings
from components.analyse.study_schema import DifferenceFacts, FamilyFacts, Judged
from components.shared.paired_tests import holm

Test = tuple[str, str]
"""The names of the two that a test compares."""


def families_of(settings: AnalyseSettings, pairs: Sequence[Test], base: str) -> tuple[FamilyFacts, ...]:
    """The tests that the settings declare among all pairs, by family: their number is that of Holm's correction.

    Args:
        settings: which arms belong to which family, and what is tested.
        pairs: arm and other of every difference that is there, in the order of the table.
        base: the base's name; any other is the best single-stage arm.
    """
    arms = {arm.name: arm for arm in settings.arms}
    tested = [pair for pair in pairs if _is_tested(settings, arms[pair[0]], pair[1] == base)]
    return tuple(
        FamilyFacts(name=family, size=len(tests), tests=tuple(tests))
        for family in dict.fromkeys(arm.family for arm in settings.arms)
        if (tests := [pair for pair in tested if arms[pair[0]].family == family])
    )


def correct(
    settings: AnalyseSettings, families: Sequence[FamilyFacts], found: Mapping[Test, DifferenceFacts]
) -> dict[Test, DifferenceFacts]:
    """The differences with corrected p-values and verdicts; those that are not tested stay as they are."""
    made = dict(found)
    for family in families:
        values = holm({"/".join(test): found[test].p_value for test in family.tests})
        for test in family.tests:
            p_value = values["/".join(test)]
            judged: dict[str, object] = {"family": family.name, "corrected_p_value": p_value}
            made[test] = found[test].model_copy(
                update=judged | {"verdict": _judge(p_value, found[test].mean, settings.alpha)}
            )
    return made


def _is_tested(settings: AnalyseSettings, arm: AnalysedArm, against_base: bool) -> bool:
    """Every arm against the base; those of several stages against the best of one stage."""
    if against_base:
        return "base" in settings.tested_against
    return "best-single-stage" in settings.tested_against and not arm.is_single_stage


def _judge(p_value: float, difference: float, alpha: float) -> Judged:
    if not p_value < alpha:
        return "unclear"
    return "better" if difference > 0 else "worse"
