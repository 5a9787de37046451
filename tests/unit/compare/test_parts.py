"""The two parts of a benchmark's questions."""

import pytest
from pydantic import ValidationError

from components.compare.parts import part_of, score_part
from components.compare.settings import CompareSettings
from components.shared.rows import AskedBenchmark

QUESTIONS = [f"q{number}" for number in range(2000)]
DEMO = AskedBenchmark(
    name="demo", metric="exact_match", protocol="the reply", few_shot=0, max_tokens=4,
    samples=1, temperature=0.0, top_p=1.0,
)  # fmt: skip


def test_a_question_is_always_in_the_same_part() -> None:
    # Written out: another hash would move questions between parts, and with them every result.
    assert "".join(part_of("demo", f"q{n}", 0.5)[0] for n in range(16)) == "cssscscssscscccs"
    assert [part_of("demo", question, 0.5) for question in QUESTIONS] != [
        part_of("mmlu", question, 0.5) for question in QUESTIONS
    ]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_the_selection_part_has_its_share(share: float) -> None:
    chosen = sum(part_of("demo", question, share) == "selection" for question in QUESTIONS)
    assert chosen / len(QUESTIONS) == pytest.approx(share, abs=0.03)


def test_a_larger_share_only_adds_questions() -> None:
    small, large = ({q for q in QUESTIONS if part_of("demo", q, share) == "selection"} for share in (0.3, 0.6))
    assert small < large


def test_every_question_counts_in_one_part() -> None:
    ours = [(question, float(number % 3 == 0)) for number, question in enumerate(QUESTIONS)]
    base = [(question, 0.0) for question in QUESTIONS]
    asked, settings = [DEMO], CompareSettings()
    parts = [
        score_part(name, asked, settings, lambda _: ours, lambda _: base) for name in ("selection", "confirmation")
    ]
    assert sum(part.scores[0].count for part in parts) == 2000
    right = sum(score for _, score in ours)
    assert sum(part.scores[0].value * part.scores[0].count for part in parts) == pytest.approx(right)
    assert [part.against_base[0].difference for part in parts] == [part.scores[0].value for part in parts]
    assert score_part("selection", asked, settings, lambda _: base, None).against_base == ()


def test_a_share_that_leaves_one_part_empty_is_refused() -> None:
    for share in (0.0, 1.0):
        with pytest.raises(ValidationError, match="selection_share"):
            CompareSettings(selection_share=share)
