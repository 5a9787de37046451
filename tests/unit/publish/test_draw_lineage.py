"""The lineage's drawing: inputs above what is made of them, nothing overlaps, and equal graphs look the same."""

import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path

from components.publish.report.draw_lineage import BOX_HEIGHT, BOX_WIDTH, arrange

EDGES = [
    ("collect", "curate"),
    ("curate", "select"),
    ("student", "select"),
    ("select", "train sft"),
    ("student", "train sft"),
    ("train sft", "train kto"),
    ("select", "train kto"),
    ("train sft", "merge"),
    ("train kto", "merge"),
    ("student", "merge"),
    ("merge", "compare"),
]
NAMES = list(dict.fromkeys(name for edge in EDGES for name in edge))


def test_inputs_are_above_what_is_made_of_them() -> None:
    layout = arrange(NAMES, EDGES)
    assert all(layout.boxes[source][1] + BOX_HEIGHT < layout.boxes[target][1] for source, target in EDGES)


def test_boxes_do_not_overlap() -> None:
    boxes = arrange(NAMES, EDGES).boxes
    for first, second in combinations(boxes.values(), 2):
        assert first[1] != second[1] or abs(first[0] - second[0]) > BOX_WIDTH


def test_a_long_edge_goes_between_the_boxes_that_it_passes() -> None:
    layout = arrange(NAMES, EDGES)
    bends = layout.bends["student", "merge"]
    assert len(bends) >= 1
    for x, y in bends:
        assert all(abs(x - other) > BOX_WIDTH / 2 for other, top in layout.boxes.values() if top == y)


def test_a_drawing_of_one_box_is_possible() -> None:
    assert arrange(["compare"], []).boxes == {"compare": (0.0, 0.0)}


def test_another_process_draws_the_same() -> None:
    program = (
        "from components.publish.report.draw_lineage import arrange\n"
        f"layout = arrange({NAMES!r}, {EDGES!r})\n"
        "print(dict(layout.boxes), dict(layout.bends))"
    )
    layout = arrange(NAMES, EDGES)
    for seed in ("1", "2"):
        shown = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
            cwd=Path(__file__).parents[3],
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        assert shown.strip() == f"{dict(layout.boxes)} {dict(layout.bends)}"
