"""A scorer and a check are each one class and one line of a registry: made-up ones score rows through select."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import Field, ValidationError

from components.rewards.checks.checker import Checker
from components.rewards.checks.registry import CHECKERS
from components.rewards.measured import Measured
from components.rewards.scorers.registry import QUALITY
from components.rewards.scorers.scorer import Measure, Scorer
from components.select.select import select_responses
from components.select.settings import SelectSettings
from components.shared.errors import InputError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest, Parent
from components.shared.outputs.output import Output
from components.shared.rows import Answered, Check, Response, SftRow, Verdict
from components.shared.settings import Settings
from components.shared.step import Product


class Brevity(Scorer):
    """Quality of short responses: half of it is lost with every `half` characters."""

    scorer: Literal["brevity"] = Field("brevity", description="shorter is better")
    half: int = Field(10, ge=1, description="characters")

    def measurement(self, parents: Mapping[str, Parent]) -> str:
        return "length"

    def open(self) -> Measure:
        return LengthMeasure()

    def value(self, measured: float | None) -> float | None:
        return None if measured is None else float(0.5 ** (measured / self.half))


class LengthMeasure:
    """The number of characters of every response."""

    def measure(self, rows: Sequence[Answered]) -> list[Measured]:
        lengths = [tuple(float(len(response.text)) for response in row.responses) for row in rows]
        return [Measured(id=row.id, values=values) for row, values in zip(rows, lengths, strict=True)]

    def close(self) -> None:
        pass


class PolitenessChecker(Checker):
    """A response is right if it says please."""

    has_reference = False

    def passes(self, check: Check, text: str, question: str = "") -> bool:
        return "please" in text

    def same(self, first: str, second: str, question: str = "") -> bool:
        return first == second


def responses(root: Path, check: Check | None = None) -> Manifest:
    texts = {"original": "Sit down, please, sir", "teacher": "Sit down right here, sir", "student": "Sit down"}
    row = Answered(
        **{"id": "1", "source": "s", "line": 1, "instruction": "Offer a seat.", "check": check},
        **{"type": "t", "primary": "p", "secondary": "s"},
        responses=tuple(Response.model_validate({"origin": origin, "text": text}) for origin, text in texts.items()),
    )
    output = Output(Library(str(root)), Product("synthesize", 1, Answered.content), Settings(), {})
    output.write_rows("rows/00000", [row])
    return output.finish()


def settings(**quality: Any) -> SelectSettings:
    return SelectSettings.model_validate({"perplexity": {"scorer": "none"}, "quality": quality, "minimum_total": 0})


def test_a_made_up_scorer_scores_rows_through_select(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(QUALITY, "brevity", Brevity)
    library = Library(str(tmp_path))
    manifest = select_responses(library, settings(scorer="brevity", half=8), responses(tmp_path))
    (verdict,) = library.read_rows(manifest, Verdict, "verdicts")
    assert [scores.quality for scores in verdict.scores] == [0.5 ** (21 / 8), 0.5 ** (24 / 8), 0.5]
    (best,) = library.read_rows(manifest, SftRow, "sft")
    assert best.completion == "Sit down"
    assert manifest.settings["quality"] == {"scorer": "brevity", "half": 8}


def test_the_schema_and_the_faults_know_a_made_up_scorer(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ValidationError, match="no scorer of quality 'brevity'; allowed: likelihood, judge, reward, verifier, none"
    ):
        settings(scorer="brevity")
    monkeypatch.setitem(QUALITY, "brevity", Brevity)
    quality = SelectSettings.model_json_schema()["properties"]["quality"]
    assert "Brevity" in [member.get("title") for member in quality["oneOf"]]
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        settings(scorer="brevity", half=0)


def test_a_made_up_check_decides_which_response_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library, given = Library(str(tmp_path)), responses(tmp_path, Check(kind="politeness"))
    with pytest.raises(InputError, match="check of kind 'politeness'"):
        select_responses(library, settings(scorer="verifier"), given)
    monkeypatch.setitem(CHECKERS, "politeness", PolitenessChecker)
    manifest = select_responses(library, settings(scorer="verifier"), given)
    (verdict,) = library.read_rows(manifest, Verdict, "verdicts")
    assert [scores.checked for scores in verdict.scores] == [True, False, False] and verdict.best == 0
