"""What a study says in one sentence for each arm of several stages: whether its gain exceeds the noise."""

from components.analyse.settings import AnalyseSettings
from components.analyse.study_schema import ArmFacts, DifferenceFacts
from components.shared.page.formats import p_value, reach, signed
from components.shared.text.counted import counted


def say_gain(settings: AnalyseSettings, arm: ArmFacts, best: str | None) -> str:
    """The sentence that a person can quote.

    Args:
        settings: the level and power.
        arm: of several stages.
        best: the best single-stage arm; None where there is none.
    """
    if arm.diverged_on_test:
        return f"{arm.name} diverged at its chosen rate on the part test, so it has no score to compare."
    if arm.status == "failed":
        return f"{arm.name} failed: no seed was evaluated on the test part, so the study cannot tell."
    difference = arm.against_best or arm.against_base
    if difference is None or best is None:
        return f"{arm.name} has no tested single-stage arm beside it, so the study cannot tell what the stages gain."
    if difference.against != best:
        return f"{arm.name} shares no seed with {best}, the best single-stage arm, so the study cannot tell them apart."
    return f"{_outcome(arm, difference)} {_evidence(settings, difference)}"


def _outcome(arm: ArmFacts, difference: DifferenceFacts) -> str:
    points, other = _points(difference.mean), f"{difference.against}, the best single-stage arm"
    if difference.verdict == "better":
        return f"{arm.name} exceeds {other}, by {points}, which is more than the noise"
    if difference.verdict == "worse":
        return f"{arm.name} falls behind {other}, by {points}, which is more than the noise"
    return f"The study cannot tell {arm.name} from {other}: the difference is {signed(difference.mean)} points"


def _evidence(settings: AnalyseSettings, difference: DifferenceFacts) -> str:
    level = f"{100 * (1 - settings.alpha):g} % interval {reach(difference.interval)}"
    if difference.corrected_p_value is None:
        return f"({level}; not tested)."
    value = p_value(difference.corrected_p_value)
    tested = f"p {value if value.startswith('<') else f'= {value}'} after Holm's correction"
    size = f"{counted(len(difference.seeds), 'seed')}, {counted(difference.questions, 'question')}"
    if difference.verdict != "unclear":
        return f"({level}; {tested}; {size})."
    smallest = difference.smallest_in_family or difference.smallest
    return (
        f"({level}; {tested}); with {size} it would show a difference of {_points(smallest)} or more with a "
        f"probability of {100 * settings.power:g} %."
    )


def _points(value: float) -> str:
    return f"{abs(100 * value):.1f} points"
