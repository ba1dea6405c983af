"""Accuracy by the shift of the call, for ciphers that are given one: what was demonstrated against what was read.

Lines are the arms' w/ IO ciphers; dashed stands the arm in focus on its w/o IO ciphers, of which it has the source alone.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pbb.report import svg
from pbb.report.dials import LINES, SHAPES
from pbb.report.figures import PANELS, Chart
from pbb.report.panels import LinePanel, line_panels, share_axis
from pbb.report.scoreboard import Row, Scoreboard, arm_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def by_shift(board: Scoreboard) -> Chart | None:
    """One panel a way of asking; None where the scores have no shifts."""
    table: list[Row] = board.part("shifts")
    if not table:
        return None
    focus = board.focus
    drawn = [(arm, "io") for arm in board.arms("io") if arm not in ("untrained", focus)][: len(LINES) - 1]
    drawn += [(focus, "source_only")] if focus else []
    looks: list[dict[str, Any]] = [
        {"color": hue, "marker": shape, "linewidth": 2, "markersize": 6}
        for _, hue, shape in zip(drawn[: len(drawn) - bool(focus)], LINES, SHAPES, strict=False)
    ]
    if focus:
        looks.append({"color": svg.INK, "marker": "P", "linewidth": 2, "linestyle": (0, (4, 3))})
    names = [
        f"{arm_label(arm)}, {'w/ IO' if group == 'io' else 'w/o IO: source alone'}" for arm, group in drawn
    ]
    shifts = sorted({row["shift"] for row in table})

    def lines(ax: Axes, ask: str) -> None:
        for place, ((arm, group), look) in enumerate(zip(drawn, looks, strict=True)):
            nudge = 0.07 * (place - (len(drawn) - 1) / 2)
            rows = [r for r in table if (r["arm"], r["group"], r["ask"]) == (arm, group, ask)]
            for row in rows:
                x = [row["shift"] + nudge] * 2
                ax.plot(x, [row["low"], row["high"]], color=look["color"], linewidth=1.4, clip_on=False)
            xs = [row["shift"] + nudge for row in rows]
            ax.plot(xs, [row["accuracy"] for row in rows], clip_on=False, **look)
        ax.set_xlim(shifts[0] - 0.4, shifts[-1] + 0.4)
        ax.set_xticks(shifts if len(shifts) <= 9 else shifts[:: -(-len(shifts) // 9)])
        ax.set_ylim(-0.02, 1.02)
        share_axis(ax.yaxis)

    asked = {row["ask"] for row in table}
    panels: list[LinePanel] = [(*PANELS[ask], partial(lines, ask=ask)) for ask in PANELS if ask in asked]
    if not panels:
        return None
    key = list(zip(looks, names, strict=True))
    wide, narrow = line_panels(panels, max(3, len(panels)), height=190, below="shift of the call", key=key)
    return Chart("by-shift", "Accuracy on held-out texts by the shift of the call", wide, narrow, table)
