"""The gate: chosen on one part of the questions, judged on the other, and no loss above its margin."""

import random
from statistics import mean

import pytest
from pydantic import ValidationError

from components.compare.parts import score_part
from components.compare.settings import CompareSettings
from components.publish.gate.judge import judge
from components.publish.gate.scores import lower_bound
from components.publish.settings import Gate, PublishSettings
from components.shared.errors import InputError, SettingsError
from components.shared.rows import AskedBenchmark, Comparison, ComparisonTable, PartScores, Score, Variant


def part(name: str, quiz: float, other: float, p_value: float, count: int = 250) -> PartScores:
    scores = {"quiz": quiz, "other": other}
    return PartScores(
        scores=tuple(
            Score(benchmark=benchmark, metric="exact_match", value=value, standard_error=0.03, count=count)
            for benchmark, value in scores.items()
        ),
        against_base=()
        if name == "base"
        else tuple(
            Comparison(benchmark=benchmark, difference=value, standard_error=0.01, p_value=p_value)
            for benchmark, value in {"quiz": quiz - 0.4, "other": other - 0.5}.items()
        ),
    )


def variant(
    name: str, quiz: float, p_value: float = 0.001, other: float = 0.5, selected: float | None = None
) -> Variant:
    """`quiz` and `other` are the scores on the confirmation part; `selected` that on quiz on the other part."""
    confirmation = part(name, quiz, other, p_value)
    return Variant(
        name=name,
        reference=f"train/{name}",
        digest=name,
        scores=confirmation.scores,
        against_base=confirmation.against_base,
        selection=part(name, quiz if selected is None else selected, other, p_value),
        confirmation=confirmation,
    )


def table(*variants: Variant) -> ComparisonTable:
    return ComparisonTable(base="base", variants=(variant("base", 0.4), *variants))


def reasons(gate: Gate, candidate: Variant) -> str:
    (verdict,) = judge(table(candidate), gate).verdicts
    assert verdict.passed == (not verdict.reasons)
    return "; ".join(verdict.reasons)


def test_the_best_on_the_selection_part_is_judged_on_the_confirmation_part() -> None:
    result = judge(table(variant("sft", 0.58, selected=0.61), variant("kto", 0.6, selected=0.55)), Gate())
    assert (result.chosen, result.winner) == ("sft", "sft")
    assert [verdict.passed for verdict in result.verdicts] == [True, False]
    assert result.verdicts[1].reasons == ("sft was chosen: 61.0 % on the selection part, this one 55.0 %",)
    sft = result.verdicts[0]
    assert sft.selection is not None and sft.confirmation is not None
    assert (sft.selection.score, sft.confirmation.score) == (0.61, 0.58)
    assert sft.confirmation.interval == pytest.approx((0.18 - 0.0196, 0.18 + 0.0196), abs=1e-4)
    assert result.sentence == (
        "sft is promoted: 58.0 % on quiz, 18.0 points above the base at 40.0 % (95 % interval +16.0 to +20.0, "
        "on 250 questions held out from the selection)."
    )


def test_when_the_chosen_one_fails_no_other_takes_its_place() -> None:
    lucky = variant("lucky", 0.41, p_value=0.6, selected=0.7)
    result = judge(table(variant("sft", 0.55), lucky, variant("kto", 0.6)), Gate())
    assert (result.chosen, result.winner) == ("lucky", None)
    assert result.sentence == (
        "Nothing is promoted. The best variant is lucky, but its gain on quiz, 1.0 points, is within noise: "
        "p = 0.600 is not below 0.05."
    )


def test_a_gain_within_noise_does_not_pass() -> None:
    assert "within noise: p = 0.050 is not below 0.05" in reasons(Gate(), variant("sft", 0.45, p_value=0.05))
    assert reasons(Gate(alpha=0.1), variant("sft", 0.45, p_value=0.05)) == ""


def test_a_gain_must_be_above_zero_and_reach_the_least_gain_on_both_parts() -> None:
    assert "on quiz (equal to it)" in reasons(Gate(), variant("sft", 0.4, p_value=0.0, selected=0.6))
    assert "on quiz (10.0 points below it)" in reasons(Gate(), variant("sft", 0.3, p_value=0.0, selected=0.6))
    assert "on quiz, 5.0 points, is below 10.0 points" in reasons(
        Gate(min_gain=0.1), variant("sft", 0.45, selected=0.6)
    )
    assert "quiz (selection part), 5.0 points, is below" in reasons(
        Gate(min_gain=0.1), variant("sft", 0.6, selected=0.45)
    )
    assert "better than the base on quiz (selection part)" in reasons(Gate(), variant("sft", 0.6, selected=0.39))


def test_a_loss_is_ruled_out_by_its_lower_bound() -> None:
    # The bound is 1.645 * sqrt(0.01² + 1 / 250²) = 1.8 points below the difference.
    gate = Gate(max_loss={"other": 0.02})
    assert reasons(gate, variant("sft", 0.6, other=0.5)) == ""
    assert reasons(gate, variant("sft", 0.6, other=0.499)) == ""
    assert reasons(gate, variant("sft", 0.6, other=0.49)) == (
        "a loss of more than 2.0 points on other is not ruled out: it is at -1.0 points, with a lower bound of "
        "-2.8 points on 250 questions"
    )
    assert reasons(Gate(max_loss={"other": 0.02}, loss_alpha=0.2), variant("sft", 0.6, other=0.49)) == ""
    assert reasons(Gate(max_loss={"other": 0.05}), variant("sft", 0.6, other=0.49)) == ""
    assert reasons(Gate(), variant("sft", 0.6, other=0.1)) == ""


def test_the_losses_of_every_variant_are_reported() -> None:
    (verdict,) = judge(table(variant("sft", 0.6, other=0.49)), Gate(max_loss={"other": 0.02})).verdicts
    (loss,) = verdict.losses
    assert (loss.benchmark, loss.margin, loss.questions, loss.passed) == ("other", 0.02, 250, False)
    assert loss.lower_bound == pytest.approx(-0.01 - 1.645 * (0.01**2 + 0.004**2) ** 0.5, abs=1e-5)


def test_a_variant_that_loses_too_much_is_not_chosen() -> None:
    result = judge(table(variant("sft", 0.7, other=0.4), variant("kto", 0.6)), Gate(max_loss={"other": 0.05}))
    assert result.winner == "kto"
    assert "loses 10.0 points on other (selection part), more than the margin of 5.0" in result.verdicts[0].reasons[0]


def test_equal_answers_to_few_questions_do_not_rule_out_a_loss() -> None:
    same = Comparison(benchmark="other", difference=0.0, standard_error=0.0, p_value=1.0)
    assert lower_bound(same, 20, 0.05) == pytest.approx(-1.645 / 20, abs=1e-3)
    assert lower_bound(same, 2000, 0.05) > -0.001


@pytest.mark.parametrize(("loss", "least", "most"), [(0.04, 0.01, 0.09), (0.02, 0.3, 0.55), (0.0, 0.8, 0.95)])
def test_the_level_and_the_power_of_the_loss_test(loss: float, least: float, most: float) -> None:
    """A variant that loses exactly the margin passes in 5 % of all draws, one that loses half of it in 41 %."""
    draws, questions, passed = random.Random(0), 1000, 0
    for _ in range(300):
        values = draws.choices([-1, 1, 0], weights=[0.1 + loss / 2, 0.1 - loss / 2, 0.8], k=questions)
        difference = mean(values)
        error = (sum((value - difference) ** 2 for value in values) / (questions - 1) / questions) ** 0.5
        item = Comparison(benchmark="other", difference=difference, standard_error=error, p_value=1.0)
        passed += lower_bound(item, questions, 0.05) > -0.04
    assert least <= passed / 300 <= most


def measured(number: int, own: list[tuple[str, float]], base: list[tuple[str, float]]) -> Variant:
    """A variant as compare describes it; number 0 is the base."""
    greedy = {"few_shot": 0, "max_tokens": 40, "samples": 1, "temperature": 0.0, "top_p": 1.0}
    asked = [
        AskedBenchmark.model_validate({"name": "demo", "metric": "exact_match", "protocol": "the reply", **greedy})
    ]
    of_base = (lambda _: base) if number else None
    selection, confirmation = (
        score_part(name, asked, CompareSettings(), lambda _: own, of_base) for name in ("selection", "confirmation")
    )
    return Variant(
        name=f"v{number}" if number else "base",
        reference="r",
        digest=f"d{number}",
        scores=confirmation.scores,
        selection=selection,
        confirmation=confirmation,
    )


def test_the_promoted_difference_of_equal_variants_is_zero() -> None:
    """Winner's curse: five models as good as the base. The best one's difference to it is not its own."""
    draws, naive, judged = random.Random(3), [], []
    for _ in range(120):
        answers = [[(f"q{n}", float(draws.random() < 0.5)) for n in range(120)] for _ in range(6)]
        variants = tuple(measured(number, own, answers[0]) for number, own in enumerate(answers))
        result = judge(ComparisonTable(base="base", variants=variants), Gate())
        means = [mean(score for _, score in own) for own in answers]
        naive.append(max(means[1:]) - means[0])
        judged += [v.confirmation.difference for v in result.verdicts if v.chosen and v.confirmation is not None]
    assert mean(naive) > 0.04
    # The standard error of one difference of 60 pairs is 9 points, and of the mean of some 110 of them 0.9.
    assert len(judged) > 90
    assert abs(mean(judged)) < 0.025


def test_another_benchmark_can_decide() -> None:
    result = judge(table(variant("sft", 0.6, other=0.51), variant("kto", 0.5, other=0.6)), Gate(benchmark="other"))
    assert result.winner == "kto"


def test_ties_go_to_the_higher_mean_and_then_to_the_first_name() -> None:
    assert judge(table(variant("b", 0.6, other=0.6), variant("a", 0.6, other=0.5)), Gate()).winner == "b"
    assert judge(table(variant("b", 0.6), variant("a", 0.6)), Gate()).winner == "a"


def test_an_endpoint_is_no_candidate_however_good_it_is() -> None:
    teacher = variant("teacher", 0.9).model_copy(update={"endpoint": True})
    result = judge(table(teacher, variant("sft", 0.6)), Gate())
    assert result.winner == "sft" and [verdict.variant for verdict in result.verdicts] == ["sft"]
    alone = judge(table(teacher), Gate())
    assert (alone.winner, alone.verdicts) == (None, ()) and "teacher" not in alone.sentence


def test_when_nothing_is_chosen_the_sentence_gives_the_reason() -> None:
    result = judge(table(variant("sft", 0.39), variant("kto", 0.38)), Gate())
    assert (result.chosen, result.winner) == (None, None)
    assert result.sentence == (
        "Nothing is promoted. The best variant is sft, but it is not better than the base on quiz (selection part) "
        "(1.0 points below it)."
    )
    assert judge(table(), Gate()).winner is None


def test_a_comparison_without_parts_is_refused() -> None:
    whole = variant("base", 0.4).model_copy(update={"selection": None, "confirmation": None})
    with pytest.raises(InputError, match="does not separate the questions that choose") as caught:
        judge(ComparisonTable(base="base", variants=(whole, variant("sft", 0.6))), Gate())
    assert "run the evaluation again" in caught.value.remedy


def test_with_too_few_questions_nothing_is_promoted_and_the_report_states_it() -> None:
    few = variant("base", 0.4).model_copy(update={"confirmation": part("base", 0.4, 0.5, 1.0, count=1)})
    result = judge(ComparisonTable(base="base", variants=(few, variant("sft", 0.6))), Gate())
    assert result.winner is None
    assert "the confirmation part of quiz has 1 question, and needs 2 or more" in result.sentence
    none = PartScores(scores=())
    bare = [variant(name, 0.5).model_copy(update={"selection": none}) for name in ("base", "sft")]
    result = judge(ComparisonTable(base="base", variants=tuple(bare)), Gate())
    assert result.sentence.startswith("Nothing is promoted: the selection part of quiz has 0 questions")


def test_a_variant_that_is_not_in_the_store_is_not_promoted() -> None:
    result = judge(table(variant("sft", 0.6)), Gate(), outside=frozenset({"sft"}))
    assert result.winner is None
    assert "not an output of this store" in result.verdicts[0].reasons[0]


def test_a_variant_that_was_not_compared_does_not_pass() -> None:
    alone = part("sft", 0.6, 0.5, 0.001).model_copy(update={"against_base": ()})
    lone = variant("sft", 0.6).model_copy(update={"selection": alone, "confirmation": alone})
    assert "not compared with the base on quiz" in reasons(Gate(), lone)


def test_an_unknown_benchmark_is_refused_with_those_that_were_run() -> None:
    for gate in (Gate(benchmark="mmlu"), Gate(max_loss={"mmlu": 0.1})):
        with pytest.raises(SettingsError) as caught:
            judge(table(variant("sft", 0.6)), gate)
        assert caught.value.allowed == ("quiz", "other")
        assert "'mmlu'" in caught.value.problem


def test_a_margin_in_points_or_of_nothing_is_refused() -> None:
    for loss in (2.0, 0.0, -0.1):
        with pytest.raises(ValidationError, match="fraction from 0 to 1"):
            Gate(max_loss={"other": loss})


def test_a_model_name_that_leads_out_of_its_folder_is_refused() -> None:
    with pytest.raises(ValidationError):
        PublishSettings(name="../elsewhere")
    with pytest.raises(ValidationError):
        PublishSettings(version="a/b")
