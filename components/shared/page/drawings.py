"""Drawings of a page: SVG by matplotlib, with the page's colours and fonts."""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.shared.errors import SettingsError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Placeholders that `adapt` replaces by the page's CSS variables, so that plots follow its theme.
INKS = {
    "ink": "#010101",
    "soft": "#020202",
    "line": "#030303",
    "accent": "#040404",
    "quiet": "#050505",
    "second": "#060606",
}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INKS["ink"],
    "axes.labelcolor": INKS["soft"],
    "axes.edgecolor": INKS["line"],
    "xtick.color": INKS["line"],
    "ytick.color": INKS["line"],
    "xtick.labelcolor": INKS["soft"],
    "ytick.labelcolor": INKS["ink"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "x",
    "grid.color": INKS["line"],
    "grid.linewidth": 0.6,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}
PANEL_INCHES = 4.4


@dataclass(frozen=True)
class Plot:
    """One drawing: its title, a description in words (for screen readers), and the SVG element."""

    title: str
    words: str
    svg: str


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in the page's style; the same numbers give the same bytes.

    Raises:
        SettingsError: matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
    except ImportError as error:
        raise SettingsError(
            f"the report's plots need matplotlib: {error}", remedy="install Tutelage with its extra: tutelage[report]"
        ) from error
    with rc_context(STYLE), warnings.catch_warnings():
        # The page's own fonts draw the text, so a glyph that matplotlib's font lacks does not matter.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield


def panel(height_inches: float) -> tuple["Figure", "Axes"]:
    """A figure of the width of a panel, with one plot."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PANEL_INCHES, height_inches), layout="constrained")
    return figure, figure.add_subplot()


def as_svg(figure: "Figure", name: str) -> str:
    """The figure as an SVG element without metadata, with ids of its own and the page's colours."""
    from matplotlib import rc_context

    buffer = io.StringIO()
    with rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return adapt(buffer.getvalue(), name)


def adapt(drawing: str, name: str) -> str:
    """Make a drawing of matplotlib's part of a page: one element, unique ids, colours and fonts by the page's CSS."""
    svg = drawing[drawing.index("<svg") :].strip()
    # matplotlib's style rule is for every element, and would be the whole page's.
    svg = re.sub(r"<style.*?</style>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    prefix = re.sub(r"[^a-z0-9]+", "-", name.lower())
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r"url\(#", f"url(#{prefix}-", svg)
    svg = re.sub(r'href="#', f'href="#{prefix}-', svg)
    for variable, colour in INKS.items():
        svg = svg.replace(colour, f"var(--{variable})")
    return re.sub(r"font-family: [^;\"]*;? ?", "", svg)
