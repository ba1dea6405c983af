"""The figures of a run, each with the numbers behind it.

A figure is drawn twice, for a wide page and for a narrow one (panels side by side, panels stacked), because a
drawing that is only scaled down cannot be read on a phone. Accuracies are dots with 95 % intervals on a scale
from 0 to 100 %; the grey tick is what the commonest answer of each program would earn, the hollow diamond the
same question with the source in the prompt.
Contract: `Chart.table` holds the very numbers that were drawn; a figure without numbers is None, never an
empty frame.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pbb.report import svg
from pbb.report.panels import DotPanel, LinePanel, Mark, dot_key, dot_panels, line_panels, share_axis
from pbb.report.scoreboard import Row, Scoreboard, arm_label, group_label, held_out

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {
    "untrained": svg.GREY,
    "stage-1-only": svg.ORANGE,
    "stage-2-only": svg.SKY,
    "mixed": svg.GREEN,
    "wrong-source": svg.VERMILION,
    "proactive": svg.BLUE,
    "skip-exposure": svg.ORANGE,
    "execution-only": svg.SKY,
    "read-only": svg.GREY,
    "warm-only": svg.GREEN,
    "grpo-without-source": svg.SKY,
    "retroactive-sft": svg.VERMILION,
    "retroactive-grpo": svg.BLUE,
}
MARKERS = {
    "untrained": "X",
    "stage-1-only": "s",
    "stage-2-only": "^",
    "mixed": "D",
    "wrong-source": "v",
    "proactive": "o",
    "skip-exposure": "s",
    "execution-only": "^",
    "read-only": "X",
    "warm-only": "D",
    "grpo-without-source": "p",
    "retroactive-sft": "v",
    "retroactive-grpo": "o",
}
PANELS = {
    "direct": ("Direct", "the answer first"),
    "trace": ("Trace", "steps, then the answer"),
    "recite": ("Recite", "the source, then steps"),
    "recall": ("Recall", "the source alone"),
}
ALIKE = 3  # lines in the colour of all arms that have none of their own
_OPS = 24  # drawn; the CSV has them all
_MEASURES = ("accuracy", "low", "high", "n")
CELL = ("arm", "seed", "group", "split", "ask", *_MEASURES)
GUESS = ("programs", "constant", "constant_low", "constant_high")


@dataclass(frozen=True)
class Chart:
    """A drawn figure: SVG text for the wide and the narrow page; its numbers, one dict a line of the CSV."""

    name: str
    label: str
    wide: str
    narrow: str
    table: list[Row]


def colour(arm: str) -> str:
    return COLOURS.get(arm, svg.PURPLE)


def pick(row: Row, names: Iterable[str]) -> Row:
    return {name: row.get(name) for name in names}


def _mark(label: str, hue: str, row: Row) -> Mark:
    return Mark(label, hue, row.get("accuracy"), row.get("low"), row.get("high"), row.get("constant"))


def _source_only(board: Scoreboard, arm: str | None, ask: str, part: str) -> list[Row]:
    """`by_length` or `by_op` of a cell of the w/o IO programs; empty where it was not asked or not scored."""
    row = board.cell(arm, "source_only", ask) if arm else None
    return [item for item in (row or {}).get(part) or [] if item.get("accuracy") is not None]


def accuracy(board: Scoreboard, group: str) -> Chart | None:
    """Arms by ways of asking on held-out inputs of a group, with intervals, guessing and ceiling."""
    panels: list[DotPanel] = []
    asks = board.asks(group)
    for ask, (title, subtitle) in PANELS.items():
        if ask not in asks and not (ask in ("direct", "trace") and board.ceiling(ask) in asks):
            continue
        marks = []
        for arm in board.arms(group):
            row = board.cell(arm, group, ask) or {}
            points = [point["accuracy"] for point in board.points(arm, group, ask)]
            mark = _mark(arm_label(arm), colour(arm), row)
            ceiling = board.accuracy(arm, group, board.ceiling(ask))
            marks.append(replace(mark, ceiling=ceiling, points=points if len(points) > 1 else []))
        panels.append((title, subtitle, marks))
    if not panels:
        return None
    rows = [row for row in board.sorted_rows() if row["group"] == group]
    table = [pick(row, (*CELL, *GUESS)) for row in rows if row["split"] == held_out(row["ask"])]
    label = f"Accuracy on {group_label(group)} programs with held-out inputs, by arm and way of asking"
    wide, narrow = dot_panels(panels, dot_key(panels, svg.BLUE))
    return Chart(f"accuracy-{group}", label, wide, narrow, table)


def wrong_source(board: Scoreboard) -> Chart | None:
    """The arm whose sources were swapped among names: how often it runs the planted and the true program."""
    true, planted, rows = [], [], []
    for ask, (title, _) in PANELS.items():
        row = board.cell("wrong-source", "source_only", ask)
        if row is None or row.get("planted") is None:
            continue
        true.append(_mark(title, svg.GREY, row))
        bounds = (row["planted"], row.get("planted_low"), row.get("planted_high"))
        planted.append(Mark(title, svg.VERMILION, *bounds))
        rows.append(pick(row, (*CELL, *GUESS, "planted", "planted_low", "planted_high")))
    if not rows:
        return None
    panels = [
        ("Planted program", "the source it was shown", planted),
        ("True program", "the source it never saw", true),
    ]
    wide, narrow = dot_panels(panels, dot_key(panels, svg.GREY))
    label = "Wrong source: accuracy on the planted and on the true program"
    return Chart("wrong-source", label, wide, narrow, rows)


def by_operation(board: Scoreboard) -> Chart | None:
    """Accuracy of the arm in focus on w/o IO programs; a program counts under each of its operations."""
    arm = board.focus
    asks = [ask for ask in PANELS if _source_only(board, arm, ask, "by_op")]
    if arm is None or not asks:
        return None
    names = {item["op"] for ask in asks for item in _source_only(board, arm, ask, "by_op")}
    panels: list[DotPanel] = []
    for ask in asks:
        parts = {item["op"]: item for item in _source_only(board, arm, ask, "by_op")}
        ceiling = _source_only(board, arm, board.ceiling(ask), "by_op")
        above = {item["op"]: item["accuracy"] for item in ceiling}
        marks = [
            replace(_mark(op, colour(arm), parts.get(op, {})), ceiling=above.get(op))
            for op in sorted(names)[:_OPS]
        ]
        panels.append((*PANELS[ask], marks))
    wide, narrow = dot_panels(panels, dot_key(panels, colour(arm)))
    label = f"Accuracy of {arm_label(arm)} on w/o IO programs by operation"
    return Chart("by-operation", label, wide, narrow, _parts_table(board, "by_op", "op"))


def _parts_table(board: Scoreboard, parts: str, key: str) -> list[Row]:
    rows = []
    for row in board.sorted_rows():
        if row["group"] == "source_only" and row["split"] == held_out(row["ask"]):
            head = pick(row, CELL[:5])
            rows += [{**head, **pick(item, (key, *_MEASURES))} for item in row.get(parts) or []]
    return rows


def by_length(board: Scoreboard) -> Chart | None:
    """Accuracy on w/o IO programs against program length, one line an arm, the ceiling dashed.

    Arms without a colour of their own are drawn as long as lines can be told apart; all are in the table.
    """
    arms, focus = board.arms("source_only"), board.focus
    if sum(arm not in COLOURS for arm in arms) > ALIKE:
        arms = [arm for arm in arms if arm in COLOURS or arm == focus]
    asks = [ask for ask in PANELS if any(_source_only(board, arm, ask, "by_length") for arm in arms)]
    if not asks:
        return None
    table = _parts_table(board, "by_length", "length")
    lengths = sorted({row["length"] for row in table})
    dashed: dict[str, Any] = {"color": colour(focus or ""), "linewidth": 1.4, "linestyle": (0, (4, 3))}
    looks: dict[str, dict[str, Any]] = {
        arm: {"color": colour(arm), "marker": MARKERS.get(arm, "P"), "linewidth": 2, "markersize": 6}
        for arm in arms
    }
    key = [(looks[arm], arm_label(arm)) for arm in arms]
    if any(_source_only(board, focus, board.ceiling(ask), "by_length") for ask in asks):
        key.append((dashed, "source in the prompt"))

    def lines(ax: Axes, ask: str) -> None:
        step = min((b - a for a, b in pairwise(lengths)), default=1)
        for place, arm in enumerate(arms):
            items = _source_only(board, arm, ask, "by_length")
            nudge = 0.05 * step * (place - (len(arms) - 1) / 2)  # arms at the floor would hide one another
            for item in items:
                if item.get("low") is not None:
                    ends = ([item["length"] + nudge] * 2, [item["low"], item["high"]])
                    ax.plot(*ends, color=colour(arm), linewidth=1.4, alpha=0.6, clip_on=False)
            xs = [item["length"] + nudge for item in items]
            ax.plot(xs, [item["accuracy"] for item in items], clip_on=False, **looks[arm])
        items = _source_only(board, focus, board.ceiling(ask), "by_length")
        xs, ys = [item["length"] for item in items], [item["accuracy"] for item in items]
        ax.plot(xs, ys, zorder=1, **dashed)
        ax.set_xlim(lengths[0] - 0.35 * step, lengths[-1] + 0.35 * step)
        ax.set_xticks(lengths if len(lengths) <= 8 else lengths[:: -(-len(lengths) // 8)])
        ax.set_ylim(-0.02, 1.02)
        share_axis(ax.yaxis)

    panels: list[LinePanel] = [(*PANELS[ask], partial(lines, ask=ask)) for ask in asks]
    columns = max(3, len(asks))
    wide, narrow = line_panels(panels, columns, height=190, below="program length", key=key)
    return Chart("by-length", "Accuracy on w/o IO programs by program length", wide, narrow, table)


def cost(scores: dict[str, Any]) -> Chart | None:
    """Where the seconds went, summed by kind of step."""
    steps = (scores.get("cost") or {}).get("steps") or []
    seconds: dict[str, float] = {}
    for step in steps:
        seconds[step["kind"]] = seconds.get(step["kind"], 0.0) + (step.get("seconds") or 0.0)
    total = sum(seconds.values())
    if not total:
        return None
    kinds = sorted(seconds, key=lambda kind: -seconds[kind])
    marks = [Mark(kind, svg.BLUE, seconds[kind] / total) for kind in kinds]
    wide, narrow = dot_panels([("Share of the time", "", marks)], [])
    table = [{"kind": kind, "seconds": seconds[kind], "share": seconds[kind] / total} for kind in kinds]
    return Chart("cost", "Share of the time by kind of step", wide, narrow, table)
