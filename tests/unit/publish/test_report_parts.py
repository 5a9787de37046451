"""The small parts of the report: formatted numbers, curves, drawings, settings."""

import pytest

from components.publish.lineage.lineage import without_credentials
from components.publish.report.gather import thin
from components.publish.report.render import mark
from components.publish.report_schema import LossPoint
from components.shared.page.drawings import adapt
from components.shared.page.formats import compact, duration, interval, number, p_value, percent, signed, size
from components.shared.rows import Comparison, Score


def difference(value: float, p: float) -> Comparison:
    return Comparison(benchmark="quiz", difference=value, standard_error=0.01, p_value=p)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (83.2, "1 min 23 s"),
        (3599.7, "1 h 00 min"),
        (7500, "2 h 05 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_numbers() -> None:
    assert number(12345.0) == "12,345"
    assert number(0.93412) == "0.9341"
    assert [compact(value) for value in (999, 1000, 712_345, 2_500_000)] == ["999", "1k", "712k", "2.5M"]
    assert [size(value) for value in (12, 1500, 3_200_000_000)] == ["12 B", "1.5 kB", "3.2 GB"]
    assert [p_value(value) for value in (None, 0.0004, 0.0421)] == ["–", "< 0.001", "0.042"]


def test_scores_and_differences() -> None:
    score = Score(benchmark="quiz", metric="exact_match", value=0.6237, standard_error=0.0218, count=500)
    assert percent(score) == "62.4 ± 2.2"
    assert [signed(value) for value in (-0.012, 0.2, -0.0004)] == ["−1.2", "+20.0", "0.0"]
    assert interval(difference(0.05, 0.01)) == "+3.0 to +7.0"


def test_a_difference_is_marked_only_when_it_is_more_than_noise() -> None:
    assert mark(difference(0.05, 0.01), 0.05) == "better"
    assert mark(difference(-0.05, 0.01), 0.05) == "worse"
    assert mark(difference(0.05, 0.05), 0.05) == "same"


def test_a_long_curve_is_averaged_and_keeps_its_end() -> None:
    points = [LossPoint(step=step, loss=step) for step in range(1, 1002)]
    thinned = thin(points, most=100)
    assert len(thinned) <= 100
    assert thinned[-1].step == 1001
    assert thinned[0].loss == pytest.approx(6.0)  # the mean of steps 1 to 11
    assert thin(points[:50], most=100) == points[:50]


def test_a_drawing_becomes_part_of_the_page() -> None:
    drawing = (
        '<?xml version="1.0"?>\n<!DOCTYPE svg>\n<svg width="9pt" height="8pt" viewBox="0 0 9 8"><metadata>m</metadata>'
        '<style type="text/css">*{stroke: red}</style><g id="a"/><use href="#a"/><path clip-path="url(#a)" '
        "style=\"fill: #040404; font-family: 'DejaVu Sans', sans-serif; stroke: #000\"/></svg>"
    )
    assert adapt(drawing, "My plot") == (
        '<svg viewBox="0 0 9 8"><g id="my-plot-a"/><use href="#my-plot-a"/><path clip-path="url(#my-plot-a)" '
        'style="fill: var(--accent); stroke: #000"/></svg>'
    )


def test_credentials_in_uris_do_not_reach_the_report() -> None:
    settings = {"endpoints": ["http://me:secret@host:8000/v1"], "note": "mail me@host", "count": 3}
    assert without_credentials(settings) == {"endpoints": ["http://host:8000/v1"], "note": "mail me@host", "count": 3}
