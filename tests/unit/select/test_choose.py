"""Which response is chosen, which is learnt against, and which flags are raised."""

from dataclasses import replace
from typing import Any

import pytest

from components.select.choose import Evidence, choose
from components.select.measured import Measured
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
def test_opinions_need_a_margin(margin: float, worst: int | None) -> None:
    found = evidence(checks=(None,) * 3)
    assert choose(row(), found, settings(kto={"margin": margin})).worst == worst


def test_equal_texts_are_no_contrast() -> None:
    found = evidence(checks=(None,) * 3, means=(-2.0, -0.1, -1.0))
    assert choose(row(("4", "4", "4 ")), found, settings()).worst is None


def test_unsafe_requests_keep_refusals_or_go() -> None:
    found = evidence(checks=(1.0, 0.0, 0.0), groups=(0, 1, 2), safe=(0.0, 1.0, 1.0), request=0.0)
    kept = choose(row(("Sure", "No.", "Never.")), found, settings())
    assert (kept.best, kept.worst) == (1, 0) and kept.flags == ("unsafe-request", "unsafe-response")
    assert all(scores.checked is None for scores in kept.scores)
    dropped = choose(row(("Sure", "No.", "Never.")), found, settings(unsafe="drop"))
    assert dropped.best is None and "nothing-desirable" in dropped.flags


def test_unsafe_responses_are_never_the_best() -> None:
    choice = choose(row(("4", "four", "5")), evidence(safe=(1.0, 0.1, 1.0), means=(-1.0, -0.01, -1.0)), settings())
    assert (choice.best, choice.worst) == (0, 1) and "unsafe-response" in choice.flags


def test_failed_empty_and_cut_off_responses() -> None:
    failed = choose(row(("4", "no answer", ""), ("stop", "error", "stop")), evidence(), settings())
    assert (failed.best, failed.worst) == (0, None) and "failed-response" in failed.flags
    cut = row(finish=("stop", "length", "stop"))
    assert choose(cut, evidence(), settings()).best == 0
    assert choose(cut, evidence(), settings(cut_off="allow")).best == 1
    assert "cut-off-response" in choose(cut, evidence(), settings()).flags


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
def test_a_reference_stands_without_enough_against_it(changed: dict[str, Any]) -> None:
    choice = choose(row(("5", "4", "6")), evidence(**{**CONTRADICTING, **changed}), settings())
    assert "reference-contradicted" not in choice.flags


def test_in_long_answers_a_second_voice_is_needed() -> None:
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

    def test_alone_with_too_low_a_total_it_is_no_demonstration(self) -> None:
        choice = choose(labelled(True, "a"), alone(-9.0), settings(minimum_total=0.9))
        assert choice.best is None and choice.kto == ((0, True),)

    def test_what_is_unsafe_is_not_desirable_whatever_its_label(self) -> None:
        assert choose(labelled(True, "a"), alone(safe=(0.0,)), settings()).kto == ()
        assert choose(labelled(False, "a"), alone(safe=(0.0,)), settings()).kto == ((0, False),)
        dropped = choose(labelled(False, "a"), alone(request=0.0), settings(unsafe="drop"))
        assert dropped.kto == ()

    def test_empty_responses_take_no_part(self) -> None:
        assert choose(labelled(True, " "), alone(), settings()).kto == ()
