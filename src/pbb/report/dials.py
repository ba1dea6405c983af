"""Accuracy against a dial that arms differ in: executions trained on, phrasings, replay, programs.

A recipe's `curves:` says which arms stand where along which line; the figure has a panel for each way of asking, and levels for
arms that have no place on the dial. Settings stand at equal distances, in the order of the recipe, since dials are turned by factors.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pbb.report import svg
from pbb.report.figures import CELL, PANELS, Chart, pick
from pbb.report.panels import LinePanel, line_panels, share_axis
from pbb.report.scoreboard import Row, Scoreboard, arm_label, group_label, held_out

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINES = (svg.BLUE, svg.VERMILION, svg.GREEN, svg.ORANGE, svg.PURPLE, svg.SKY)
SHAPES = ("o", "s", "D", "^", "v", "P")
DASHES = ((0, (5, 3)), (0, (1.5, 2)), (0, (6, 2, 1.5, 2)), (0, (3, 5)))


def dial(board: Scoreboard, curve: dict[str, Any], group: str) -> Chart | None:
    """One curve of the recipe on held-out inputs of a group: {name, title, below, at, lines, beside}, and of which groups it is, if it says so.

    None where there are no answers, or the curve is of another group.
    """
    if curve.get("group", group) != group:
        return None
    of_levels = curve.get("beside_group", group)
    lines: dict[str, list[str | None]] = curve["lines"]
    arms = {arm for line in lines.values() for arm in line if arm is not None}
    asks = [ask for ask in PANELS if any(_cell(board, arm, group, ask) for arm in arms)]
    if not asks:
        return None
    looks: dict[str, dict[str, Any]] = {
        label: {"color": hue, "marker": shape, "linewidth": 2, "markersize": 6}
        for label, hue, shape in zip(lines, LINES, SHAPES, strict=False)
    }
    levels: dict[str, dict[str, Any]] = {
        arm: {"color": svg.MUTED, "linewidth": 1.4, "linestyle": dashes}
        for arm, dashes in zip(curve["beside"], DASHES, strict=False)
    }
    key = [(look, label) for label, look in looks.items()]
    whose = "" if of_levels == group else f", {group_label(of_levels)}"
    key += [(look, arm_label(arm) + whose) for arm, look in levels.items()]

    def paint(ax: Axes, ask: str) -> None:
        for place, (label, look) in enumerate(looks.items()):
            nudge = 0.06 * (place - (len(looks) - 1) / 2)
            rows = [(x + nudge, _cell(board, arm, group, ask)) for x, arm in enumerate(lines[label]) if arm]
            known = [(x, row) for x, row in rows if row]
            for x, row in known:
                if row.get("low") is not None:
                    ax.plot(
                        [x, x], [row["low"], row["high"]], color=look["color"], linewidth=1.6, clip_on=False
                    )
            ax.plot([x for x, _ in known], [row["accuracy"] for _, row in known], clip_on=False, **look)
        for arm, look in levels.items():
            if level := _cell(board, arm, of_levels, ask):
                ax.axhline(level["accuracy"], zorder=1, **look)
        ax.set_xlim(-0.3, len(curve["at"]) - 0.7)
        ax.set_xticks(
            range(len(curve["at"])), [at if isinstance(at, str) else f"{at:g}" for at in curve["at"]]
        )
        ax.set_ylim(-0.02, 1.02)
        share_axis(ax.yaxis)

    panels: list[LinePanel] = [(*PANELS[ask], partial(paint, ask=ask)) for ask in asks]
    wide, narrow = line_panels(panels, max(3, len(asks)), height=190, below=curve["below"], key=key)
    name = f"{curve['name']}-{group}"
    label = f"{curve['title']}: accuracy on {group_label(group)} programs"
    return Chart(name, label, wide, narrow, _table(board, curve, group))


def _cell(board: Scoreboard, arm: str, group: str, ask: str) -> Row | None:
    row = board.cell(arm, group, ask)
    return row if row and row.get("accuracy") is not None else None


def _table(board: Scoreboard, curve: dict[str, Any], group: str) -> list[Row]:
    """A line of the CSV for every point, single seeds included; levels have no place on the dial."""
    places = [
        (label, at, arm, group)
        for label, arms in curve["lines"].items()
        for at, arm in zip(curve["at"], arms, strict=True)
    ]
    places += [("", None, arm, curve.get("beside_group", group)) for arm in curve["beside"]]
    return [
        {"line": label, "at": at, **pick(row, CELL)}
        for label, at, arm, of in places
        for row in board.sorted_rows()
        if row["arm"] == arm and row["group"] == of and row["split"] == held_out(row["ask"])
    ]
