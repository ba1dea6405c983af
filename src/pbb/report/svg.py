"""Drawing to SVG that is the same bytes for the same input, and that takes its colours from the page it
stands in.

Matplotlib draws with fixed ink colours; `inline` swaps them for CSS variables, so that one drawing serves the
light and the dark theme, and `standalone` leaves them, so that the file opens anywhere. Sizes are in CSS
pixels (72 to matplotlib's inch).
Contract: no date, no random id, no external reference; text stays text.
"""

from __future__ import annotations

import io
import re
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, RULE, PAPER = "#1c1e22", "#686c73", "#dddfda", "#fdfdfc"
# Okabe and Ito (2008), a palette told apart by colour-blind readers; their yellow is too faint on paper.
BLUE, ORANGE, SKY, GREEN, VERMILION, PURPLE, GREY = (
    "#0072b2",
    "#e69f00",
    "#56b4e9",
    "#009e73",
    "#d55e00",
    "#cc79a7",
    "#8b9098",
)
VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    RULE: "--rule",
    PAPER: "--paper",
    BLUE: "--blue",
    ORANGE: "--orange",
    SKY: "--sky",
    GREEN: "--green",
    VERMILION: "--vermilion",
    PURPLE: "--purple",
    GREY: "--grey",
}
_FONTS = "'Helvetica Neue', Helvetica, Arial, 'DejaVu Sans', sans-serif"
# The rcParams under which a figure is both built and saved.
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "pbb",
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans"],  # ships with matplotlib: the same metrics on every machine
    "font.size": 12.0,
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 11.0,
    "ytick.labelsize": 11.0,
    "lines.solid_capstyle": "butt",
    "path.simplify": False,
    "text.parse_math": False,  # a dollar in a name is a dollar
}


def canvas(width: float, height: float) -> Figure:
    """An empty drawing of width x height pixels. Built without pyplot, so no global state and no window
    system.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width / 72, height / 72), dpi=72)


def axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes whose box is given in pixels from the top left corner, with only what a reader needs drawn."""
    full_width, full_height = figure.get_size_inches() * 72
    box = (left / full_width, 1 - (top + height) / full_height, width / full_width, height / full_height)
    made = figure.add_axes(box, facecolor="none")
    for side in ("top", "right", "left"):
        made.spines[side].set_visible(False)
    made.tick_params(length=0, pad=5)
    made.set_axisbelow(True)
    return made


def save(figure: Figure) -> str:
    """The SVG text of a figure, without anything that depends on when or where it was drawn."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    figure.patch.set_visible(False)
    blank = {"Date": None, "Creator": None, "Format": None, "Type": None}
    FigureCanvasSVG(figure).print_svg(buffer, metadata=blank)
    return buffer.getvalue()


def standalone(svg: str) -> str:
    """For a file: its own paper behind it and fonts that a reader's machine may have."""
    svg = svg.replace("'DejaVu Sans'", _FONTS)
    start = svg.index(">", svg.index("<svg")) + 1
    return f'{svg[:start]}\n <rect width="100%" height="100%" fill="{PAPER}"/>{svg[start:]}'


def inline(svg: str, name: str, label: str) -> str:
    """For a page: colours and font from CSS, ids that cannot collide with those of another figure, a spoken
    label.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", body).replace("xlink:href", "href")
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = body.replace('href="#', f'href="#{name}-').replace("url(#", f"url(#{name}-")
    body = body.replace("'DejaVu Sans'", "var(--sans)")
    for colour, variable in VARIABLES.items():
        body = body.replace(colour, f"var({variable})")
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', body)
    width = float(box.group(1)) if box else 960.0
    opening = f'<svg role="img" aria-label="{escape(label)}" style="max-width:{width:g}px"'
    body = re.sub(r'<svg\b([^>]*?)\swidth="[^"]*"', r"<svg\1", body, count=1)
    body = re.sub(r'<svg\b([^>]*?)\sheight="[^"]*"', r"<svg\1", body, count=1)
    return body.replace("<svg", opening, 1)
