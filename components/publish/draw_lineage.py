"""The lineage as a drawing: layers from the sources down to the promoted model, edges routed between the boxes.

The layout is Sugiyama's (1981) in its plainest form: layers by longest path, long edges cut by bends in each layer,
boxes ordered by the mean place of their inputs, places moved towards that mean as far as neighbours allow.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise

from markupsafe import Markup

from components.publish.report_schema import Report

BOX_WIDTH, BOX_HEIGHT = 138.0, 40.0
GAP, LAYER_GAP = 14.0, 34.0
BEND_WIDTH = 10.0
SWEEPS = 8
RELEASE, EVALUATIONS = "release", "evaluations"


@dataclass
class Box:
    """One node, or a bend of a long edge (no title). `x` is the middle, in pixels."""

    name: str
    title: str = ""
    under: str = ""
    hint: str = ""
    winning: bool = False
    inside: bool = True
    layer: int = 0
    x: float = 0.0
    inputs: list[str] = field(default_factory=list)

    @property
    def width(self) -> float:
        """Room that the box takes in its layer."""
        return BOX_WIDTH if self.title else BEND_WIDTH


def draw_lineage(report: Report) -> str:
    """The lineage as an SVG element. Evaluations share one box, and an edge to it is drawn only where no longer path
    leads there: every model is evaluated, also those that others are made from.
    """
    boxes, edges = _graph(report)
    _set_layers(boxes, edges)
    paths = _route(boxes, edges)
    layers = _ordered_layers(boxes)
    _place(boxes, layers)
    left = min(box.x - box.width / 2 for box in boxes.values()) - 2
    right = max(box.x + box.width / 2 for box in boxes.values()) + 2
    height = len(layers) * (BOX_HEIGHT + LAYER_GAP) - LAYER_GAP + 4
    parts = [_edge_markup(boxes, path) for path in sorted(paths, key=lambda path: _is_winning(boxes, path))]
    parts += [_box_markup(box) for box in boxes.values() if box.title]
    return Markup(
        '<svg class="lineage" role="img" aria-label="Lineage drawing; the table below lists the same" '
        'viewBox="{:.0f} -2 {:.0f} {:.0f}" style="min-width:{:.0f}px;max-width:{:.0f}px">{}</svg>'
    ).format(left, right - left, height, min(right - left, 640), right - left, Markup("").join(parts))


def _graph(report: Report) -> tuple[dict[str, Box], list[tuple[str, str]]]:
    """Boxes by name and edges between them, with all evaluations as one box and the release at the end."""
    merged = {n.address: EVALUATIONS for n in report.lineage.nodes if n.task.startswith("evaluate ")}
    boxes: dict[str, Box] = {}
    for node in report.lineage.nodes:
        name = merged.get(node.address, node.address)
        under = f"× {len(merged)}" if name == EVALUATIONS else _short(node.address)
        title = "evaluate" if name == EVALUATIONS else node.task if node.inside else "from outside"
        hint = "" if name == EVALUATIONS else node.address
        boxes.setdefault(name, Box(name, title, under, hint, node.winning, node.inside))
    pairs = [(merged.get(e.source, e.source), merged.get(e.target, e.target)) for e in report.lineage.edges]
    if report.release:
        boxes[RELEASE] = Box(RELEASE, "promoted", report.release.version, report.release.address, winning=True)
        model = next(variant.reference for variant in report.variants if variant.name == report.gate.winner)
        pairs += [(report.run.comparison, RELEASE), (model, RELEASE)]
    edges = list(dict.fromkeys(pair for pair in pairs if pair[0] != pair[1]))
    return boxes, [edge for edge in edges if not (edge[1] == EVALUATIONS and _is_implied(edge, edges))]


def _is_implied(edge: tuple[str, str], edges: list[tuple[str, str]]) -> bool:
    """Whether another path leads from the edge's source to its target."""
    reached, waiting = {edge[0]}, [target for source, target in edges if source == edge[0] and target != edge[1]]
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting += [target for source, target in edges if source == name and target not in reached]
    return edge[1] in reached


def _short(address: str) -> str:
    """What of an address fits into a box."""
    last = address.rstrip("/").rsplit("/", 1)[-1]
    return _cut(last, 18)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _set_layers(boxes: Mapping[str, Box], edges: Iterable[tuple[str, str]]) -> None:
    """Each box lies below its inputs; what has no input lies right above what it goes to."""
    for source, target in edges:
        boxes[target].inputs.append(source)

    @cache
    def depth(name: str) -> int:
        return max((depth(source) + 1 for source in boxes[name].inputs), default=0)

    for name, box in boxes.items():
        box.layer = depth(name)
    for name, box in boxes.items():
        if not box.inputs:
            box.layer = max(0, min((b.layer for b in boxes.values() if name in b.inputs), default=1) - 1)


def _route(boxes: dict[str, Box], edges: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Each edge as the boxes and bends that it passes; the bends are added to the boxes."""
    paths = []
    for source, target in edges:
        path = [source]
        for layer in range(boxes[source].layer + 1, boxes[target].layer):
            bend = f"{source} > {target} @ {layer}"
            boxes[bend] = Box(bend, layer=layer, inputs=[path[-1]])
            path.append(bend)
        paths.append([*path, target])
        boxes[target].inputs.remove(source)
        boxes[target].inputs.append(path[-1])
    return paths


def _ordered_layers(boxes: Mapping[str, Box]) -> list[list[Box]]:
    """Layers from the top, each ordered by the mean place of its boxes' neighbours above and below."""
    layers: list[list[Box]] = [[] for _ in range(max(box.layer for box in boxes.values()) + 1)]
    for box in boxes.values():
        layers[box.layer].append(box)
    outputs: dict[str, list[str]] = defaultdict(list)
    for box in boxes.values():
        for source in box.inputs:
            outputs[source].append(box.name)
    for sweep in range(SWEEPS):
        place = {box.name: (i + 0.5) / len(layer) for layer in layers for i, box in enumerate(layer)}
        for layer in layers if sweep % 2 == 0 else layers[::-1]:
            near = {box.name: box.inputs if sweep % 2 == 0 else outputs[box.name] for box in layer}
            layer.sort(key=lambda box: (_mean([place[n] for n in near[box.name]], place[box.name]), box.name))
            place |= {box.name: (i + 0.5) / len(layer) for i, box in enumerate(layer)}
    return layers


def _place(boxes: Mapping[str, Box], layers: list[list[Box]]) -> None:
    """Set every box's place: towards its neighbours' mean, in order, and without overlap."""
    near: dict[str, list[str]] = defaultdict(list)
    for box in boxes.values():
        for source in box.inputs:
            near[box.name].append(source)
            near[source].append(box.name)
    for layer in layers:
        _spread(layer, {box.name: 0.0 for box in layer})
    for sweep in range(SWEEPS):
        for layer in layers if sweep % 2 == 0 else layers[::-1]:
            _spread(layer, {b.name: _mean([boxes[n].x for n in near[b.name]], b.x) for b in layer})


def _spread(layer: list[Box], wanted: Mapping[str, float]) -> None:
    """Put boxes side by side, as near to the wanted places as their order and widths allow."""
    right = float("-inf")
    for box in layer:
        box.x = max(wanted[box.name], right + GAP + box.width / 2)
        right = box.x + box.width / 2
    # Pushed only to the right so far: move all back by the mean push.
    push = sum(box.x - wanted[box.name] for box in layer) / len(layer)
    for box in layer:
        box.x -= push


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _top(box: Box) -> float:
    return box.layer * (BOX_HEIGHT + LAYER_GAP)


def _is_winning(boxes: Mapping[str, Box], path: list[str]) -> bool:
    return boxes[path[0]].winning and boxes[path[-1]].winning


def _edge_markup(boxes: Mapping[str, Box], path: list[str]) -> Markup:
    """A curve from the first box's lower edge to the last one's upper edge, straight down through the bends."""
    first = boxes[path[0]]
    y = _top(first) + BOX_HEIGHT
    drawn = [f"M{first.x:.1f} {y:.1f}"]
    for before, name in pairwise(path):
        box, middle = boxes[name], _top(boxes[name]) - LAYER_GAP / 2
        drawn.append(f"C{boxes[before].x:.1f} {middle:.1f} {box.x:.1f} {middle:.1f} {box.x:.1f} {_top(box):.1f}")
        drawn += [] if box.title else [f"V{_top(box) + BOX_HEIGHT:.1f}"]
    return Markup('<path class="{}" d="{}"/>').format(
        "edge won" if _is_winning(boxes, path) else "edge", " ".join(drawn)
    )


def _box_markup(box: Box) -> Markup:
    kind = "box" + (" won" if box.winning else "") + ("" if box.inside else " outside")
    return Markup(
        '<g class="{}"><title>{}</title><rect x="{:.1f}" y="{:.1f}" width="{:.0f}" height="{:.0f}" rx="6"/>'
        '<text x="{:.1f}" y="{:.1f}">{}</text><text class="under" x="{:.1f}" y="{:.1f}">{}</text></g>'
    ).format(
        kind, box.hint or box.title, box.x - BOX_WIDTH / 2, _top(box), BOX_WIDTH, BOX_HEIGHT,
        box.x, _top(box) + 17, _cut(box.title, 20), box.x, _top(box) + 31, box.under,
    )  # fmt: skip
