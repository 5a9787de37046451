"""The lineage as a drawing: from the sources down to the promoted model, edges routed between the boxes.

fast-sugiyama places the boxes (Sugiyama's method, as Graphviz' `dot`); the SVG takes its colours from the page.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from components.publish.report_schema import Report
from components.shared.rows import EVALUATION

BOX_WIDTH, BOX_HEIGHT = 138.0, 40.0
GAP, LAYER_GAP = 14.0, 34.0
BEND_SHARE = 0.25
"""Room of a bend in a layer, as a share of a box's."""
RELEASE, EVALUATIONS = "release", "evaluations"

Edge = tuple[str, str]
Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """One node of the drawing."""

    name: str
    title: str
    under: str
    hint: str = ""
    winning: bool = False
    inside: bool = True


@dataclass(frozen=True)
class LineageLayout:
    """Where boxes are (the middle of the upper edge), and the bends of each edge between its ends, in pixels."""

    boxes: Mapping[str, Point]
    bends: Mapping[Edge, tuple[Point, ...]]


def draw_lineage(report: Report) -> str:
    """The lineage as an SVG element. Evaluations share one box, and an edge to it is drawn only where no longer path
    leads there: every model is evaluated, also those that others are made from.
    """
    boxes, edges = _graph(report)
    layout = arrange(list(boxes), edges)
    points = [*layout.boxes.values(), *(bend for bends in layout.bends.values() for bend in bends)]
    left = min(x for x, _ in points) - BOX_WIDTH / 2 - 2
    right = max(x for x, _ in points) + BOX_WIDTH / 2 + 2
    height = max(y for _, y in points) + BOX_HEIGHT + 4
    won = {edge: boxes[edge[0]].winning and boxes[edge[1]].winning for edge in edges}
    # What led to the promoted model is drawn last, above the rest.
    parts = [_edge_markup(layout, edge, won[edge]) for edge in sorted(edges, key=lambda edge: won[edge])]
    parts += [_box_markup(box, *layout.boxes[name]) for name, box in boxes.items()]
    return Markup(
        '<svg class="lineage" role="img" aria-label="Lineage drawing; the table below lists the same" '
        'viewBox="{:.0f} -2 {:.0f} {:.0f}" style="min-width:{:.0f}px;max-width:{:.0f}px">{}</svg>'
    ).format(left, right - left, height, min(right - left, 640), right - left, Markup("").join(parts))


def arrange(names: list[str], edges: list[Edge]) -> LineageLayout:
    """Place boxes in layers, inputs above what is made of them, with few crossings; equal graphs look the same.

    Args:
        names: of the boxes, at least one.
        edges: pairs of names; together they connect all boxes.
    """
    from fast_sugiyama import from_edges

    # Numbers, not names: the library keeps names in a set, whose order differs between processes.
    numbers = {name: number for number, name in enumerate(names)}
    layouts = from_edges(
        [(numbers[source], numbers[target]) for source, target in edges],
        vertex_spacing=BOX_WIDTH + GAP,
        dummy_vertices=True,
        dummy_size=BEND_SHARE,
    )
    places, routes = (dict(layouts[0][0]), layouts[0][3] or []) if layouts else ({0: (0.0, 0.0)}, [])
    heights = sorted({y for _, y in places.values()}, reverse=True)
    points = {number: (x, heights.index(y) * (BOX_HEIGHT + LAYER_GAP)) for number, (x, y) in places.items()}
    paths = _paths(len(names), [(int(source), int(target)) for source, target in routes])
    return LineageLayout(
        boxes={name: points[number] for name, number in numbers.items()},
        bends={
            (source, target): tuple(points[bend] for bend in paths[numbers[source], numbers[target]])
            for source, target in edges
        },
    )


def _paths(boxes: int, routes: list[tuple[int, int]]) -> dict[tuple[int, int], list[int]]:
    """The bends of each edge; numbers from `boxes` on are bends, which have one successor each."""
    after = {source: target for source, target in routes if source >= boxes}
    paths = {}
    for source, following in routes:
        if source < boxes:
            bends, target = [], following
            while target >= boxes:
                bends.append(target)
                target = after[target]
            paths[source, target] = bends
    return paths


def _graph(report: Report) -> tuple[dict[str, Box], list[Edge]]:
    """Boxes by name and edges between them, with all evaluations as one box and the release at the end."""
    evaluations = [step for step in report.steps if step.content == EVALUATION]
    merged = {step.address: EVALUATIONS for step in evaluations}
    endpoints = {variant.reference for variant in report.variants if variant.kind == "endpoint"}
    boxes: dict[str, Box] = {}
    for node in report.lineage.nodes:
        name = merged.get(node.address, node.address)
        under = f"× {len(merged)}" if name == EVALUATIONS else _shorten(node.address.rstrip("/").rsplit("/", 1)[-1], 18)
        outside = "endpoint" if node.address in endpoints else "from outside"
        title = evaluations[0].step if name == EVALUATIONS else node.task if node.inside else outside
        hint = "" if name == EVALUATIONS else node.address
        boxes.setdefault(name, Box(name, title, under, hint, node.winning, node.inside))
    pairs = [(merged.get(e.source, e.source), merged.get(e.target, e.target)) for e in report.lineage.edges]
    if report.release:
        boxes[RELEASE] = Box(RELEASE, "promoted", report.release.version, report.release.address, winning=True)
        model = next(variant.reference for variant in report.variants if variant.name == report.gate.winner)
        pairs += [(report.run.comparison, RELEASE), (model, RELEASE)]
    edges = list(dict.fromkeys(pair for pair in pairs if pair[0] != pair[1]))
    return boxes, [edge for edge in edges if not (edge[1] == EVALUATIONS and _is_implied(edge, edges))]


def _is_implied(edge: Edge, edges: list[Edge]) -> bool:
    """Whether another path leads from the edge's source to its target."""
    reached, waiting = {edge[0]}, [target for source, target in edges if source == edge[0] and target != edge[1]]
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting += [target for source, target in edges if source == name and target not in reached]
    return edge[1] in reached


def _shorten(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _edge_markup(layout: LineageLayout, edge: Edge, won: bool) -> Markup:
    """A curve from the first box's lower edge to the last one's upper edge, straight down through the bends."""
    x, y = layout.boxes[edge[0]]
    drawn = [f"M{x:.1f} {y + BOX_HEIGHT:.1f}"]
    for (x, _), (next_x, next_y) in pairwise([layout.boxes[edge[0]], *layout.bends[edge], layout.boxes[edge[1]]]):
        middle = next_y - LAYER_GAP / 2
        drawn.append(f"C{x:.1f} {middle:.1f} {next_x:.1f} {middle:.1f} {next_x:.1f} {next_y:.1f}")
        drawn.append(f"V{next_y + BOX_HEIGHT:.1f}")
    # The last stroke down would be inside the target's box.
    return Markup('<path class="{}" d="{}"/>').format("edge won" if won else "edge", " ".join(drawn[:-1]))


def _box_markup(box: Box, x: float, y: float) -> Markup:
    kind = "box" + (" won" if box.winning else "") + ("" if box.inside else " outside")
    return Markup(
        '<g class="{}"><title>{}</title><rect x="{:.1f}" y="{:.1f}" width="{:.0f}" height="{:.0f}" rx="6"/>'
        '<text x="{:.1f}" y="{:.1f}">{}</text><text class="under" x="{:.1f}" y="{:.1f}">{}</text></g>'
    ).format(
        kind, box.hint or box.title, x - BOX_WIDTH / 2, y, BOX_WIDTH, BOX_HEIGHT,
        x, y + 17, _shorten(box.title, 20), x, y + 31, box.under,
    )  # fmt: skip
