"""The gate: better than the base by more than noise, and no listed benchmark worse than its loss."""

import pytest
from pydantic import ValidationError

from components.publish.gate import judge
from components.publish.settings import Gate, PublishSettings
from components.shared.errors import SettingsError
from components.shared.rows import Comparison, ComparisonTable, Score, Variant


def variant(name: str, quiz: float, p_value: float = 0.001, other: float = 0.5) -> Variant:
    scores = {"quiz": quiz, "other": other}
    differences = {"quiz": quiz - 0.4, "other": other - 0.5}
    return Variant(
        name=name,
        reference=f"train/{name}",
        digest=name,
        scores=tuple(
            Score(benchmark=benchmark, metric="exact_match", value=value, standard_error=0.02, count=500)
            for benchmark, value in scores.items()
        ),
        against_base=()
        if name == "base"
        else tuple(
            Comparison(benchmark=benchmark, difference=value, standard_error=0.02, p_value=p_value)
            for benchmark, value in differences.items()
        ),
    )


def table(*variants: Variant) -> ComparisonTable:
    return ComparisonTable(base="base", variants=(variant("base", 0.4), *variants))


def reasons(gate: Gate, candidate: Variant) -> str:
    (verdict,) = judge(table(candidate), gate).verdicts
    assert verdict.passed == (not verdict.reasons)
    return "; ".join(verdict.reasons)


def test_the_highest_score_among_those_that_pass_wins() -> None:
    result = judge(table(variant("sft", 0.55), variant("lucky", 0.7, p_value=0.2), variant("kto", 0.6)), Gate())
    assert result.winner == "kto"
    assert [verdict.passed for verdict in result.verdicts] == [True, False, True]
    assert result.sentence == "kto is promoted: 60.0 % on quiz, 20.0 points above the base at 40.0 %."


def test_a_gain_within_noise_does_not_pass() -> None:
    assert "within noise: p = 0.050 is not below 0.05" in reasons(Gate(), variant("sft", 0.45, p_value=0.05))
    assert reasons(Gate(alpha=0.1), variant("sft", 0.45, p_value=0.05)) == ""


def test_a_gain_must_be_above_zero_and_reach_the_least_gain() -> None:
    assert "(equal to it)" in reasons(Gate(), variant("sft", 0.4, p_value=0.0))
    assert "(10.0 points below it)" in reasons(Gate(), variant("sft", 0.3, p_value=0.0))
    assert "is below 10.0 points" in reasons(Gate(min_gain=0.1), variant("sft", 0.45))


def test_a_listed_benchmark_may_lose_only_so_much() -> None:
    loser = variant("sft", 0.6, other=0.46)
    assert "loses 4.0 points on other; at most 2.0 points are allowed" in reasons(Gate(max_loss={"other": 0.02}), loser)
    assert reasons(Gate(max_loss={"other": 0.05}), loser) == ""
    assert reasons(Gate(), loser) == ""


def test_another_benchmark_can_decide() -> None:
    result = judge(table(variant("sft", 0.6, other=0.51), variant("kto", 0.5, other=0.6)), Gate(benchmark="other"))
    assert result.winner == "kto"


def test_ties_go_to_the_higher_mean_and_then_to_the_first_name() -> None:
    assert judge(table(variant("b", 0.6, other=0.6), variant("a", 0.6, other=0.5)), Gate()).winner == "b"
    assert judge(table(variant("b", 0.6), variant("a", 0.6)), Gate()).winner == "a"


def test_when_nothing_passes_the_sentence_says_why() -> None:
    result = judge(table(variant("sft", 0.45, p_value=0.3), variant("kto", 0.39)), Gate())
    assert result.winner is None
    assert result.sentence.startswith(
        "Nothing is promoted. The best variant is sft, but its gain on quiz, 5.0 points, is within noise"
    )
    assert judge(table(), Gate()).winner is None


def test_a_variant_that_is_not_in_the_store_is_not_promoted() -> None:
    result = judge(table(variant("sft", 0.6)), Gate(), outside=frozenset({"sft"}))
    assert result.winner is None
    assert "not an output of this store" in result.verdicts[0].reasons[0]


def test_a_variant_that_was_not_compared_does_not_pass() -> None:
    lone = variant("sft", 0.6).model_copy(update={"against_base": ()})
    assert "not compared with the base on quiz" in reasons(Gate(), lone)


def test_an_unknown_benchmark_is_refused_with_those_that_were_run() -> None:
    for gate in (Gate(benchmark="mmlu"), Gate(max_loss={"mmlu": 0.1})):
        with pytest.raises(SettingsError) as caught:
            judge(table(variant("sft", 0.6)), gate)
        assert caught.value.allowed == ("quiz", "other")
        assert "'mmlu'" in caught.value.problem


def test_a_loss_in_points_is_refused() -> None:
    with pytest.raises(ValidationError, match="fraction from 0 to 1"):
        Gate(max_loss={"other": 2.0})


def test_a_model_name_that_leads_out_of_its_folder_is_refused() -> None:
    with pytest.raises(ValidationError):
        PublishSettings(name="../elsewhere")
    with pytest.raises(ValidationError):
        PublishSettings(version="a/b")
