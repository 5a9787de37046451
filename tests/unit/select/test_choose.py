"""Which response is the best, which is undesirable, and which flags are set."""

from dataclasses import replace
from typing import Any

import pytest

from components.rewards.measured import Measured
from components.select.choose import Evidence, choose
from components.select.settings import SelectSettings
from components.shared.rows import Answered, Check, Response

ORIGINS = ("original", "teacher", "student")


def settings(**changed: Any) -> SelectSettings:
    scored = {"scorer": "likelihood", "model": "somewhere"}
    return SelectSettings.model_validate(
        {"perplexity": {"scorer": "none"}, "quality": scored, "formula": {"perplexity_weight": 0}} | changed
    )


def row(texts: tuple[str, ...] = ("4", "4 ", "5"), finish: tuple[str, ...] = ("stop",) * 3) -> Answered:
    responses = [
        Response.model_validate({"origin": origin, "text": text, "finish": why})
        for origin, text, why in zip(ORIGINS, texts, finish, strict=True)
    ]
    return Answered(
        id="1", source="s", line=1, instruction="2 + 2?", response=texts[0], check=Check(kind="exact", answer="4"),
        type="t", primary="p", secondary="s", responses=tuple(responses),
    )  # fmt: skip


def evidence(  # noqa: PLR0917 - what the scorers found on `row()`
    checks: tuple[float | None, ...] = (1.0, 1.0, 0.0),
    groups: tuple[int, ...] = (0, 0, 2),
    means: tuple[float | None, ...] = (-0.2, -0.1, -2.0),
    tokens: tuple[int, ...] = (2, 2, 2),
    safe: tuple[float | None, ...] = (1.0, 1.0, 1.0),
    request: float = 1.0,
) -> Evidence:
    likely = Measured(id="1", values=means, tokens=tokens)
    return Evidence(
        checks=Measured(id="1", values=checks, groups=groups),
        safety=Measured(id="1", values=safe, request=request),
        quality=likely,
        likelihood=likely,
    )


def test_the_best_is_right_and_the_worst_is_wrong() -> None:
    choice = choose(row(), evidence(), settings())
    assert (choice.best, choice.worst, choice.flags) == (1, 2, ())
    assert [scores.checked for scores in choice.scores] == [True, True, False]


def test_a_likely_answer_that_fails_its_check_is_never_the_best() -> None:
    choice = choose(row(), evidence(means=(-3.0, -3.0, -0.01)), settings(minimum_total=0))
    assert choice.best in {0, 1} and choice.worst == 2


def test_a_right_answer_is_never_undesirable_unless_asked_for() -> None:
    found = evidence(checks=(1.0, 1.0, 1.0), groups=(0, 0, 0), means=(-0.2, -0.1, -9.0))
    spared = choose(row(("4", "4", "four")), found, settings())
    assert (spared.best, spared.worst, spared.flags) == (1, None, ("no-contrast",))
    assert choose(row(("4", "4", "four")), found, settings(kto={"spare_right": False})).worst == 2


def test_equal_totals_go_by_the_order_of_ties() -> None:
    found = evidence(means=(-0.1, -0.1, -2.0))
    assert choose(row(), found, settings()).best == 1
    assert choose(row(), found, settings(ties=("original", "student", "teacher"))).best == 0


@pytest.mark.parametrize(("margin", "worst"), [(0.05, 2), (0.9, None)])
def test_unchecked_responses_need_a_margin(margin: float, worst: int | None) -> None:
    found = evidence(checks=(None,) * 3)
    assert choose(row(), found, settings(kto={"margin": margin})).worst == worst


def test_equal_texts_are_no_contrast() -> None:
    found = evidence(checks=(None,) * 3, means=(-2.0, -0.1, -1.0))
    assert choose(row(("4", "4", "4 ")), found, settings()).worst is None


def test_unsafe_requests_keep_refusals_or_are_dropped() -> None:
    found = evidence(checks=(1.0, 0.0, 0.0), groups=(0, 1, 2), safe=(0.0, 1.0, 1.0), request=0.0)
    kept = choose(row(("Sure", "No.", "Never.")), found, settings())
    assert (kept.best, kept.worst) == (1, 0) and kept.flags == ("unsafe-request", "unsafe-response")
    assert all(scores.checked is None for scores in kept.scores)
    dropped = choose(row(("Sure", "No.", "Never.")), found, settings(unsafe="drop"))
    assert dropped.best is None and "nothing-desirable" in dropped.flags


def test_unsafe_responses_are_never_the_best() -> None:
    choice = choose(row(("4", "four", "5")), evidence(safe=(1.0, 0.1, 1.0), means=(-1.0, -0.01, -1.0)), settings())
    assert (choice.best, choice.worst) == (0, 1) and "unsafe-response" in choice.flags


def test_failed_empty_and_truncated_responses() -> None:
    failed = choose(row(("4", "no answer", ""), ("stop", "error", "stop")), evidence(), settings())
    assert (failed.best, failed.worst) == (0, None) and "failed-response" in failed.flags
    truncated = row(finish=("stop", "length", "stop"))
    assert choose(truncated, evidence(), settings()).best == 0
    assert choose(truncated, evidence(), settings(truncated="allow")).best == 1
    assert "truncated-response" in choose(truncated, evidence(), settings()).flags


@pytest.mark.parametrize("checks", [(1.0, 1.0, 0.0), (None, None, None)])
def test_a_truncated_response_is_not_the_worst_for_being_unfinished(checks: tuple[float | None, ...]) -> None:
    """Its check fails, or its total is low, because the answer was not reached."""
    truncated = row(("4", "4", "To add 2"), finish=("stop", "stop", "length"))
    choice = choose(truncated, evidence(checks=checks), settings())
    assert choice.worst is None and choice.kto == () and choice.no_pair == "truncated"
    assert choice.flags == ("truncated-response", "truncated-spared", "no-contrast")
    assert choose(truncated, evidence(checks=checks), settings(truncated="allow")).worst == 2


def test_a_finished_wrong_answer_is_the_worst_in_place_of_a_truncated_one() -> None:
    given = row(("5", "4", "6 or so, since"), finish=("stop", "stop", "length"))
    choice = choose(given, evidence(checks=(0.0, 1.0, 0.0), groups=(0, 1, 2), means=(-1.0, -0.1, -9.0)), settings())
    assert (choice.worst, choice.no_pair) == (0, "") and "truncated-spared" in choice.flags


def test_a_truncated_response_that_is_unsafe_may_be_the_worst() -> None:
    given = row(("4", "4", "First get the"), finish=("stop", "stop", "length"))
    choice = choose(given, evidence(safe=(1.0, 1.0, 0.1)), settings())
    assert choice.worst == 2 and "truncated-spared" not in choice.flags


@pytest.mark.parametrize(
    ("texts", "found", "changed", "reason"),
    [
        (("4", "4", "four"), {"checks": (1.0, 1.0, 1.0), "groups": (0, 0, 0)}, {}, "only-right"),
        (("5", "6", "7"), {"checks": (0.0, 0.0, 0.0), "groups": (0, 1, 2)}, {}, "only-wrong"),
        (("a", "b", "c"), {"checks": (None,) * 3, "means": (-9.0,) * 3}, {}, "nothing-desirable"),
        (("a", "b", "c"), {"checks": (None,) * 3, "means": (-0.1,) * 3}, {}, "too-close"),
        (("4", "4 ", "4"), {"checks": (1.0,) * 3, "groups": (0,) * 3}, {}, "only-right"),
        (("4", "4 ", "4"), {"checks": (None,) * 3}, {}, "equal-responses"),
        (("4", "", ""), {}, {}, "one-response"),
        (("4", "5", "6"), {"request": 0.0}, {"unsafe": "drop"}, "dropped"),
    ],
)
def test_a_row_without_a_pair_has_one_reason(
    texts: tuple[str, ...], found: dict[str, Any], changed: dict[str, Any], reason: str
) -> None:
    choice = choose(row(texts), evidence(**found), settings(**changed))
    assert (choice.pair, choice.margin, choice.no_pair) == (None, 0.0, reason)


def test_a_pair_is_the_best_and_the_worst_with_the_difference_of_their_totals() -> None:
    choice = choose(row(), evidence(), settings())
    assert choice.pair == (1, 2) and choice.no_pair == ""
    assert choice.margin == pytest.approx(choice.scores[1].total - choice.scores[2].total, abs=1e-6)


def test_too_low_a_total_is_not_learnt_from() -> None:
    choice = choose(row(), evidence(checks=(None,) * 3, means=(-2.0, -2.0, -3.0)), settings())
    assert choice.best is None and choice.flags == ("nothing-desirable",)


CONTRADICTING = {"checks": (1.0, 0.0, 0.0), "groups": (0, 1, 2), "means": (-4.0, -0.1, -1.0)}


def test_a_contradicted_reference_gives_way_to_the_teacher() -> None:
    wrong = row(("5", "4", "6"))
    choice = choose(wrong, evidence(**CONTRADICTING), settings())
    assert "reference-contradicted" in choice.flags and (choice.best, choice.worst) == (1, 0)
    assert [scores.checked for scores in choice.scores] == [False, True, False]
    gold = choose(wrong, evidence(**CONTRADICTING), settings(reference={"trust": "gold"}))
    assert "reference-contradicted" in gold.flags and gold.best == 0


@pytest.mark.parametrize(
    "changed",
    [
        {"means": (-1.0, -0.1, -1.0)},  # 1.8 nats: the teacher is not sure enough
        {"groups": (0, 0, 2)},  # teacher and reference agree by value
        {"checks": (0.0, 1.0, 0.0)},  # the original response does not give the reference
        {"tokens": (2, 40, 2)},  # no direct answer, and nobody agrees with the teacher
        {"request": 0.0},  # an unsafe request: its reference is beside the point
    ],
)
def test_a_reference_is_trusted_without_enough_evidence_against_it(changed: dict[str, Any]) -> None:
    choice = choose(row(("5", "4", "6")), evidence(**{**CONTRADICTING, **changed}), settings())
    assert "reference-contradicted" not in choice.flags


def test_long_answers_need_a_second_response_that_agrees() -> None:
    found = evidence(**{**CONTRADICTING, "tokens": (2, 40, 40), "groups": (0, 1, 1)})
    assert "reference-contradicted" in choose(row(("5", "4", "4.0")), found, settings()).flags


def test_the_verifier_takes_the_verdict_by_vote() -> None:
    found = evidence(**CONTRADICTING)
    verified = Evidence(checks=found.checks, quality=found.checks, safety=found.safety, likelihood=found.likelihood)
    choice = choose(row(("5", "4", "6")), verified, settings(quality={"scorer": "verifier"}))
    assert [scores.quality for scores in choice.scores] == [0.0, 1.0, 0.0] and choice.best == 1


@pytest.mark.parametrize("score", ["perplexity", "safety", "quality", "likelihood"])
def test_a_row_that_a_scorers_template_refuses_is_dropped(score: str) -> None:
    refused = Measured.of_refused(row(), "row '1': the chat template of 'm' refuses the role 'system'")
    found = replace(evidence(), **{score: refused})
    choice = choose(row(), found, settings())
    assert (choice.best, choice.worst) == (None, None)
    assert choice.flags == ("template-refused", "nothing-desirable") and found.refused.startswith("row '1'")
    assert choice.kto == () == choose(labelled(False, "a", "b", "c"), found, settings()).kto


def labelled(label: bool | None, *texts: str, **changed: Any) -> Answered:
    given = {"texts": texts} if len(texts) == 3 else {}
    labelled_row = row(**given).model_copy(update={"desirable": label, "check": None, **changed})
    if len(texts) == 1:
        original = labelled_row.responses[0].model_copy(update={"text": texts[0]})
        labelled_row = labelled_row.model_copy(update={"responses": (original,), "response": texts[0]})
    return labelled_row


def unchecked(**changed: Any) -> Evidence:
    return evidence(checks=(None, None, None), means=(-0.1, -0.1, -0.1), **changed)


def alone(mean: float = -0.1, **changed: Any) -> Evidence:
    return evidence(checks=(None,), groups=(0,), means=(mean,), tokens=(2,), **{"safe": (1.0,), **changed})


class TestLabels:
    """Labels that the original responses came with are evidence."""

    def test_without_one_the_order_of_origins_decides(self) -> None:
        first = settings().ties[0]
        choice = choose(labelled(None, "a", "b", "c"), unchecked(), settings())
        assert choice.best is not None and ORIGINS[choice.best] == first and choice.worst is None and choice.kto == ()

    def test_labelled_undesirable_is_the_worst_and_never_the_best(self) -> None:
        likely = evidence(checks=(None, None, None), means=(-0.01, -0.1, -0.1))
        choice = choose(labelled(False, "a", "b", "c"), likely, settings())
        assert choice.best in {1, 2} and choice.worst == 0
        assert choice.kto == ((choice.best, True), (0, False))

    def test_the_same_text_of_another_origin_has_the_same_label(self) -> None:
        choice = choose(labelled(False, "a", " a\n", "c"), unchecked(), settings())
        assert choice.best == 2 and choice.worst in {0, 1}
        choice = choose(labelled(False, "a", "a", "a"), unchecked(), settings())
        assert choice.best is None and choice.kto == ((0, False),)

    def test_labelled_desirable_goes_before_its_equals_and_is_not_the_worst(self) -> None:
        for ties in (ORIGINS, ORIGINS[::-1]):
            assert choose(labelled(True, "a", "b", "c"), unchecked(), settings(ties=list(ties))).best == 0
        unlikely = evidence(checks=(None, None, None), means=(-5.0, -0.1, -0.1))
        assert choose(labelled(None, "a", "b", "c"), unlikely, settings()).worst == 0
        choice = choose(labelled(True, "a", "b", "c"), unlikely, settings())
        assert choice.best in {1, 2} and choice.worst is None and choice.kto == ((0, True),)

    def test_a_check_outranks_the_label(self) -> None:
        wrong = labelled(True, "4", "5", "6", check=Check(kind="exact", answer="5"))
        choice = choose(wrong, evidence(checks=(0.0, 1.0, 0.0)), settings())
        assert choice.best == 1 and choice.worst in {0, 2} and len(choice.kto) == 2

    @pytest.mark.parametrize("label", [True, False])
    def test_alone_it_is_a_kto_row(self, label: bool) -> None:
        choice = choose(labelled(label, "a"), alone(), settings())
        assert choice.best == (0 if label else None) and choice.worst is None and choice.kto == ((0, label),)

    def test_alone_with_too_low_a_total_it_is_not_an_sft_row(self) -> None:
        choice = choose(labelled(True, "a"), alone(-9.0), settings(minimum_total=0.9))
        assert choice.best is None and choice.kto == ((0, True),)

    def test_what_is_unsafe_is_not_desirable_whatever_its_label(self) -> None:
        assert choose(labelled(True, "a"), alone(safe=(0.0,)), settings()).kto == ()
        assert choose(labelled(False, "a"), alone(safe=(0.0,)), settings()).kto == ((0, False),)
        dropped = choose(labelled(False, "a"), alone(request=0.0), settings(unsafe="drop"))
        assert dropped.kto == ()

    def test_empty_responses_are_ignored(self) -> None:
        assert choose(labelled(True, " "), alone(), settings()).kto == ()


def preferred(chosen: str = "a", rejected: str = "b", **changed: Any) -> Answered:
    """A row that came as a pair, with both of its responses and no others."""
    responses = tuple(Response(origin="original", text=text) for text in (chosen, rejected))
    given = {"desirable": True, "rejected": rejected, "response": chosen, "responses": responses, "check": None}
    return row().model_copy(update={**given, **changed})


def two(*means: float, checks: tuple[float | None, ...] = (None, None), **changed: Any) -> Evidence:
    given = {"groups": (0, 1), "tokens": (2, 2), "safe": (1.0, 1.0)}
    return evidence(checks=checks, means=means, **{**given, **changed})


class TestPairs:
    """Pairs that rows came with: one response was preferred to the other."""

    def test_the_preferred_one_is_chosen_whatever_the_scores_say(self) -> None:
        choice = choose(preferred(), two(-0.5, -0.1), settings())
        assert (choice.best, choice.worst, choice.pair) == (0, 1, (0, 1)) and choice.margin < 0

    def test_it_trains_also_where_nothing_is_good_enough_for_sft(self) -> None:
        choice = choose(preferred(), two(-9.0, -8.0), settings())
        assert choice.best is None and choice.pair == (0, 1) and choice.kto == ((0, True), (1, False))

    def test_a_check_and_the_safety_outrank_the_preference(self) -> None:
        check = Check(kind="exact", answer="b")
        assert choose(preferred(check=check), two(-0.1, -0.1, checks=(0.0, 1.0)), settings()).pair is None
        assert choose(preferred(), two(-0.1, -0.1, safe=(0.0, 1.0)), settings()).pair is None

    def test_other_responses_may_be_better_or_worse(self) -> None:
        responses = (*preferred().responses, Response(origin="teacher", text="c"))
        likely = evidence(checks=(None,) * 3, groups=(0, 1, 2), means=(-1.0, -1.0, -0.1))
        choice = choose(preferred(responses=responses), likely, settings())
        assert choice.pair == (2, 1)

    def test_reasoning_does_not_hide_which_response_a_label_belongs_to(self) -> None:
        thought = {"response": "<think>\nhm\n</think>\n\na", "rejected": "<think>\nhm\n</think>\n\nb"}
        assert choose(preferred().model_copy(update=thought), two(-0.1, -0.1), settings()).pair == (0, 1)

    def test_the_rejected_response_does_not_confirm_the_teacher_against_the_reference(self) -> None:
        given = preferred("5", "4", check=Check(kind="exact", answer="5"))
        given = given.model_copy(update={"responses": (*given.responses, Response(origin="teacher", text="4.0"))})
        found = evidence(checks=(1.0, 0.0, 0.0), groups=(0, 1, 1), means=(-4.0, -0.1, -0.1), tokens=(2, 40, 40))
        assert "reference-contradicted" not in choose(given, found, settings()).flags


def sampled(*texts: str, finish: str = "stop") -> Answered:
    """A row whose teacher gave all of these answers, beside the original `5`."""
    given = [{"origin": "original", "text": "5"}, *({"origin": "teacher", "text": t, "finish": finish} for t in texts)]
    responses = tuple(Response.model_validate(each) for each in given)
    return row(("5", "4", "6")).model_copy(update={"responses": responses})


def measured(checks: tuple[float, ...], groups: tuple[int, ...], means: tuple[float, ...], tokens: int = 2) -> Evidence:
    several = {"tokens": (tokens,) * len(checks), "safe": (1.0,) * len(checks)}
    return evidence(checks=checks, groups=groups, means=means, **several)


def test_of_several_samples_the_verified_best_is_learnt_from_and_a_wrong_one_against() -> None:
    found = measured((1.0, 0.0, 1.0, 1.0, 0.0), (0, 1, 0, 0, 4), (-3.0, -0.1, -0.5, -0.2, -0.4))
    choice = choose(sampled("8", "5.0", "five", "9"), found, settings())
    assert (choice.best, choice.worst) == (3, 4)
    assert choice.kto == ((3, True), (4, False))


def test_only_an_answer_of_most_of_the_samples_contradicts_a_reference() -> None:
    checks, means = (1.0, 0.0, 0.0, 0.0), (-4.0, -0.1, -0.1, -0.1)
    most = choose(sampled("6", "4", "4"), measured(checks, (0, 1, 2, 2), means), settings())
    assert "reference-contradicted" in most.flags
    assert [scores.checked for scores in most.scores] == [False, False, True, True]
    apart = choose(sampled("6", "4", "7"), measured(checks, (0, 1, 2, 3), means), settings())
    assert "reference-contradicted" not in apart.flags and apart.best == 0


def test_samples_of_one_teacher_do_not_confirm_each_other_in_long_answers() -> None:
    found = measured((1.0, 0.0, 0.0), (0, 1, 1), (-4.0, -0.1, -0.1), tokens=40)
    assert "reference-contradicted" not in choose(sampled("4", "4.0"), found, settings()).flags
