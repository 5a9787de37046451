"""Responses whose check grades them: the reference against what a model generated, and no verdict right or wrong."""

from pathlib import Path
from typing import Any

import pytest

from components.rewards.measured import Measured
from components.select.choose import Evidence, choose
from components.select.select import select_responses
from components.select.settings import SelectSettings
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output
from components.shared.rows import Answered, Check, Origin, Pair, Response, SftRow, Verdict
from components.shared.settings import Settings
from components.shared.step import Product

POEM = "went by the window one by one\nand none of them came home"


def settings(**changed: Any) -> SelectSettings:
    """What the README of collect shows for free text."""
    given = {"perplexity": {"scorer": "none"}, "quality": {"scorer": "verifier"}, "truncated": "allow"}
    return SelectSettings.model_validate(given | changed)


def answered(*responses: tuple[Origin, str, str]) -> Answered:
    return Answered.model_validate(
        {
            **{
                "id": "1",
                "source": "s",
                "line": 1,
                "instruction": "Continue this text:\n\nThe moths",
                "response": POEM,
            },
            **{"check": Check(kind="chrf", answer=POEM), "type": "t", "primary": "p", "secondary": "s"},
            "responses": [
                Response.model_validate({"origin": origin, "text": text, "finish": finish})
                for origin, text, finish in responses
            ],
        }
    )


def stored(root: Path, row: Answered) -> Manifest:
    output = Output(Library(str(root)), Product("synthesize", 1, Answered.content), Settings(), {})
    output.write_rows("rows/00000", [row])
    return output.finish({"rows": 1})


def test_the_reference_is_chosen_against_the_least_like_generation(tmp_path: Path) -> None:
    near, far = "went by the window", "XYZ"
    given = answered(("original", POEM, "stop"), ("student", near, "length"), ("student", far, "length"))
    library = Library(str(tmp_path))
    manifest = select_responses(library, settings(), stored(tmp_path, given))
    (verdict,) = library.read_rows(manifest, Verdict, "verdicts")
    assert (verdict.best, verdict.worst) == (0, 2)
    qualities = [scores.quality for scores in verdict.scores]
    assert qualities[0] == 1.0 and qualities[2] == 0.0 and 0 < (qualities[1] or 0) < 1
    assert all(scores.checked is None for scores in verdict.scores)
    (pair,) = library.read_rows(manifest, Pair, "pairs")
    assert (pair.chosen, pair.rejected) == (POEM, far)
    assert (pair.chosen_origin, pair.rejected_origin, pair.margin) == ("original", "student", 1.0)
    (learnt,) = library.read_rows(manifest, SftRow, "sft")
    assert learnt.completion == POEM


def test_an_unfinished_generation_is_learnt_against_only_where_it_is_allowed(tmp_path: Path) -> None:
    given = answered(("original", POEM, "stop"), ("student", "went by", "length"))
    library = Library(str(tmp_path))
    manifest = select_responses(library, settings(truncated="refuse"), stored(tmp_path, given))
    (verdict,) = library.read_rows(manifest, Verdict, "verdicts")
    assert (verdict.worst, verdict.no_pair) == (None, "truncated")


@pytest.mark.parametrize(("margin", "worst"), [(0.1, None), (0.01, 1)])
def test_one_that_is_as_good_needs_the_margin(margin: float, worst: int | None) -> None:
    row = answered(("original", POEM, "stop"), ("student", "…", "stop"))
    checks = Measured(id="1", values=(1.0, 0.95), groups=(0, 1))
    choice = choose(row, Evidence(checks=checks, quality=checks), settings(kto={"margin": margin}))
    assert (choice.best, choice.worst) == (0, worst)


def test_no_vote_of_the_teacher_replaces_a_reference_text() -> None:
    row = answered(("original", POEM, "stop"), ("teacher", "a moth", "stop"), ("student", "a moth", "stop"))
    checks = Measured(id="1", values=(1.0, 0.1, 0.1), groups=(0, 1, 1))
    likely = Measured(id="1", values=(-9.0, -0.1, -0.1), tokens=(9, 2, 2))
    choice = choose(row, Evidence(checks=checks, quality=checks, likelihood=likely), settings())
    assert choice.best == 0 and "reference-contradicted" not in choice.flags


def test_labelled_words_and_their_flips_need_no_model(tmp_path: Path) -> None:
    row = Answered.model_validate(
        {
            **{"id": "1", "source": "s", "line": 1, "instruction": "Same?", "response": "yes", "rejected": "no"},
            **{"desirable": True, "check": Check(kind="exact", answer="yes")},
            **{"type": "t", "primary": "p", "secondary": "s"},
            "responses": [{"origin": "original", "text": "yes"}, {"origin": "original", "text": "no"}],
        }
    )
    library = Library(str(tmp_path))
    manifest = select_responses(library, settings(), stored(tmp_path, row))
    (pair,), (learnt,) = library.read_rows(manifest, Pair, "pairs"), library.read_rows(manifest, SftRow, "sft")
    assert (pair.chosen, pair.rejected, learnt.completion) == ("yes", "no", "yes")
