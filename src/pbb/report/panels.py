"""Panels: dot plots and line plots set out in pixels, side by side on a wide page, stacked on a narrow one.

Contract: takes shares in 0..1 and words, gives SVG text; it knows colours and places, not arms and scores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pbb.report import svg
from pbb.report.scoreboard import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW, HEAD, FOOT, GUTTER, GAP = 27.0, 46.0, 26.0, 44.0, 22.0
WIDE, NARROW = 960.0, 350.0


@dataclass(frozen=True)
class Mark:
    """One line of a dot plot; all shares lie in 0..1, and None is not drawn."""

    label: str
    colour: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    constant: float | None = None
    ceiling: float | None = None
    points: list[float] = field(default_factory=list)


Key = list[tuple[dict[str, Any], str]]  # (properties of the sample line, its words)
DotPanel = tuple[str, str, list[Mark]]  # (title, subtitle, lines from top to bottom)
LinePanel = tuple[str, str, Callable[["Axes"], None]]


def _draw(width: float, height: float, paint: Callable[[Figure], None]) -> str:
    import matplotlib

    with matplotlib.rc_context(svg.STYLE):
        figure = svg.canvas(width, height)
        paint(figure)
        return svg.save(figure)


def _title(ax: Axes, title: str, subtitle: str = "", left: float = 0.0, lift: float = 0.0) -> None:
    from matplotlib.transforms import ScaledTranslation

    def above(pixels: float) -> Any:
        return ax.transAxes + ScaledTranslation(left / 72, pixels / 72, ax.figure.dpi_scale_trans)

    ax.text(0, 1, title, transform=above(lift + (22 if subtitle else 8)), fontsize=13, fontweight="bold")
    if subtitle:
        ax.text(0, 1, subtitle, transform=above(lift + 7), fontsize=11, color=svg.MUTED)


def share_axis(axis: Any) -> None:
    """Ticks and rules of a scale from 0 to 100 %."""
    axis.set_ticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])
    axis.grid(True, color=svg.RULE, linewidth=1)


def _short(label: str) -> str:
    return label if len(label) <= 24 else f"{label[:23]}…"


def _dots(ax: Axes, marks: list[Mark], labels: bool) -> None:
    """Marks from top to bottom; `labels` writes their names on the left."""
    ax.set_xlim(-0.02, 1.02)
    ax.set_ylim(len(marks) - 0.5, -0.5)
    share_axis(ax.xaxis)
    ax.set_yticks(range(len(marks)), [_short(mark.label) for mark in marks] if labels else [""] * len(marks))
    for text in ax.get_yticklabels():
        text.set(color=svg.INK, fontsize=12)
    ax.tick_params(axis="y", pad=9)
    clear: dict[str, Any] = {"clip_on": False}
    for y, mark in enumerate(marks):
        if mark.constant is not None:
            ax.plot([mark.constant] * 2, [y - 0.34, y + 0.34], color=svg.MUTED, linewidth=2, **clear)
        if mark.ceiling is not None:
            edge, face = mark.colour, svg.PAPER
            ax.plot([mark.ceiling], [y], "D", mec=edge, mfc=face, markersize=7, **clear)
        if mark.value is None:
            muted: dict[str, Any] = {"fontsize": 10.5, "color": svg.MUTED, "va": "center"}
            ax.annotate("not asked", (0, y), (4, 0), textcoords="offset points", **muted)
            continue
        ax.plot([0, mark.value], [y, y], color=mark.colour, alpha=0.28, linewidth=7, **clear)
        if mark.low is not None and mark.high is not None:
            ax.plot([mark.low, mark.high], [y, y], color=mark.colour, linewidth=2.2, **clear)
        for point in mark.points:
            ax.plot([point], [y + 0.3], "|", color=mark.colour, markersize=5, markeredgewidth=1.4, **clear)
        ax.plot([mark.value], [y], "o", color=mark.colour, markersize=8, **clear)
        beside: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
        ax.annotate(
            percent(mark.value),
            (1, y),
            (GUTTER - 2, 0),
            ha="right",
            va="center",
            annotation_clip=False,
            **beside,
        )


def _key(figure: Figure, entries: Key, left: float, bottom: float, width: float) -> None:
    """The key at the foot of a drawing: (line properties, words), wrapped to `width` pixels."""
    from matplotlib.lines import Line2D

    full_width, full_height = figure.get_size_inches() * 72
    x, y = left, bottom
    for properties, words in entries:
        span = 34 + 5.5 * len(words)
        if x > left and x + span > left + width:
            x, y = left, y - 18
        ends = [(x + 1) / full_width, (x + 7) / full_width, (x + 13) / full_width]
        figure.add_artist(Line2D(ends, [y / full_height] * 3, markevery=[1], **properties))
        place = ((x + 19) / full_width, y / full_height)
        figure.text(*place, words, fontsize=11, color=svg.MUTED, va="center_baseline")
        x += span


def _key_lines(entries: Key, width: float) -> int:
    lines, x = 1, 0.0
    for _, words in entries:
        span = 34 + 5.5 * len(words)
        if x > 0 and x + span > width:
            lines, x = lines + 1, 0.0
        x += span
    return lines


def dot_panels(panels: Sequence[DotPanel], key: Key) -> tuple[str, str]:
    """(wide, narrow): dot plots side by side, which share the names on the left, and one above the other."""
    return _dot_panels(panels, key, wide=True), _dot_panels(panels, key, wide=False)


def _dot_panels(panels: Sequence[DotPanel], key: Key, wide: bool) -> str:
    rows = max(len(marks) for _, _, marks in panels)
    names = max(len(_short(mark.label)) for _, _, marks in panels for mark in marks)
    left = min(max(60.0, 7.2 * names + 16), 190.0)
    width = WIDE if wide else NARROW
    tail = 18.0 * _key_lines(key, width - 8) + 12 if key else 0.0
    columns = len(panels) if wide else 1
    shared = wide and all(
        [m.label for m in marks] == [m.label for m in panels[0][2]] for _, _, marks in panels
    )
    margins = left if shared else left * columns
    span = min((width - margins - columns * GUTTER - (columns - 1) * GAP) / columns, 330.0)
    heights = [HEAD + ROW * (rows if wide else len(marks)) + FOOT for _, _, marks in panels]
    height = (max(heights) if wide else sum(heights)) + tail

    def paint(figure: Figure) -> None:
        x, top = left, HEAD
        for number, (title, subtitle, marks) in enumerate(panels):
            ax = svg.axes(figure, x, top, span, ROW * len(marks))
            _title(ax, title, subtitle)
            _dots(ax, marks, labels=number == 0 or not shared)
            if wide:
                x += span + GUTTER + GAP + (0 if shared else left)
            else:
                top += ROW * len(marks) + FOOT + HEAD
        _key(figure, key, 4, tail - 12, width - 8)

    return _draw(width, height, paint)


def dot_key(panels: Sequence[DotPanel], hue: str) -> Key:
    """The key to what the panels hold, in one colour."""
    marks = [mark for panel in panels for mark in panel[2]]
    key: Key = [({"marker": "o", "color": hue, "linewidth": 2.2, "markersize": 7}, "accuracy, 95 % interval")]
    if any(mark.points for mark in marks):
        key.append(({"marker": "|", "color": hue, "linewidth": 0, "markersize": 6}, "single seeds"))
    if any(mark.constant is not None for mark in marks):
        tick = {"marker": "|", "color": svg.MUTED, "linewidth": 0, "markersize": 12, "markeredgewidth": 2}
        key.append((tick, "best constant answer"))
    if any(mark.ceiling is not None for mark in marks):
        fill = {"markerfacecolor": svg.PAPER, "markeredgecolor": hue, "markersize": 7}
        hollow = {"marker": "D", "linewidth": 0, **fill}
        key.append((hollow, "source in the prompt"))
    return key


def line_panels(
    panels: Sequence[LinePanel], columns: int, height: float, below: str, key: Key
) -> tuple[str, str]:
    """(wide, narrow): plots `height` pixels high, in so many columns and in one; `below` names the x axis."""
    return (
        _line_panels(panels, WIDE, min(columns, len(panels)), height, below, key),
        _line_panels(panels, NARROW, 1, height, below, key),
    )


def _line_panels(
    panels: Sequence[LinePanel], width: float, columns: int, height: float, below: str, key: Key
) -> str:
    left, gap = 44.0, 30.0
    span = min((width - 8 - columns * left - (columns - 1) * gap) / columns, 420.0)
    tail = 18.0 * _key_lines(key, width - 8) + 10 if key else 4.0
    head = HEAD + 8  # the topmost number on the axis stands above the axis
    line = head + height + 44
    rows = -(-len(panels) // columns)

    def paint(figure: Figure) -> None:
        for number, (title, subtitle, draw) in enumerate(panels):
            row, column = divmod(number, columns)
            ax = svg.axes(figure, left + column * (span + left + gap), head + row * line, span, height)
            _title(ax, title, subtitle, left=-left + 4, lift=8)
            draw(ax)
            ax.set_xlabel(below, fontsize=11)
        if key:
            _key(figure, key, 4, tail - 12, width - 8)

    return _draw(width, rows * line + tail, paint)
