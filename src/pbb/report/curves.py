"""Learning curves: the loss of every training stage against its step, read from metrics.jsonl; rewards have a figure of their own.

Contract: a curve is drawn thinned and smoothed, its CSV holds every logged step as it was logged; curves that
several arms share (one file on disk) are drawn once under all their names.
"""

from __future__ import annotations

import json
import math
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pbb.errors import PbbError
from pbb.report import svg
from pbb.report.figures import Chart, colour
from pbb.report.panels import LinePanel, line_panels
from pbb.report.scoreboard import ARM_ORDER, Row, arm_label, order

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LABEL = re.compile(r"^(?P<arm>.+?) seed (?P<seed>\d+) / (?P<stage>.+)$")
_SEED = re.compile(r",? seed \d+")
_PANELS, _POINTS = 24, 160


def read(path: Path) -> list[Row]:
    """The logged steps of one stage that carry a finite loss; a last line cut off by a kill is left out."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise PbbError(
            f"training metrics cannot be read: {path}: {error.strerror or error}: run the step again"
        ) from error
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            if number == len(lines):
                break
            raise PbbError(
                f"training metrics are not JSON: {path} line {number}: delete the step and run it again"
            ) from error
        if isinstance(row.get("loss"), int | float) and math.isfinite(row["loss"]):
            rows.append(row)
    return rows


def smooth(losses: list[float], window: int) -> list[float]:
    """Centred running mean; the window shrinks at both ends."""
    half = window // 2
    parts = [losses[max(0, i - half) : i + half + 1] for i in range(len(losses))]
    return [sum(part) / len(part) for part in parts]


def learning_curves(training: dict[str, Path]) -> Chart | None:
    """One panel a stage (arms that share it named together), one line a seed; None without a single logged
    loss.
    """
    shared: dict[Path, list[str]] = {}
    for label, path in training.items():
        shared.setdefault(Path(path).resolve(), []).append(label)
    panels: dict[tuple[str, str, str], list[list[Row]]] = {}
    table: list[Row] = []
    for path, labels in shared.items():
        rows = [
            row for row in read(path) if "reward" not in row
        ]  # whose loss lies around 0 whatever is learned
        if not rows:
            continue
        table += [{"stage": " = ".join(labels), "step": row["step"], "loss": row["loss"]} for row in rows]
        panels.setdefault(_panel(labels), []).append(rows)
    if not panels:
        return None
    losses = [row["loss"] for curves in panels.values() for rows in curves for row in rows]
    low, high = min(losses), max(losses)
    logarithmic = low > 0 and high / low > 20

    def lines(ax: Axes, arm: str, curves: list[list[Row]]) -> None:
        hue = colour(arm)
        for rows in curves:
            stride = max(1, math.ceil(len(rows) / _POINTS))
            ys = [row["loss"] for row in rows]
            xs = [row["step"] for row in rows]
            if len(rows) > 20:
                ax.plot(xs[::stride], ys[::stride], color=hue, alpha=0.3, linewidth=1)
                ys = smooth(ys, max(5, len(ys) // 25))
            ax.plot(
                xs[::stride], ys[::stride], color=hue, linewidth=1.8, marker="o" if len(rows) == 1 else None
            )
        if logarithmic:
            ax.set_yscale("log")
            powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            ax.set_yticks([10.0**n for n in powers], [f"{10.0**n:g}" for n in powers])
            ax.set_yticks([], minor=True)
        ax.set_ylim(low * 0.8 if logarithmic else min(low * 1.15, 0), high * 1.15)
        ax.grid(True, axis="y", color=svg.RULE, linewidth=1)
        ax.locator_params(axis="x", nbins=4, integer=True)

    def place(name: tuple[str, str, str]) -> tuple[tuple[int, str], str]:
        return (order(name[0], ARM_ORDER[::-1]), name[2])  # the arm in focus first

    chosen = sorted(panels, key=place)[:_PANELS]
    shown: list[LinePanel] = [
        (stage, arms, partial(lines, arm=arm, curves=panels[arm, arms, stage])) for arm, arms, stage in chosen
    ]
    wide, narrow = line_panels(shown, columns=3, height=120, below="step", key=[])
    label = "Training loss against step, one panel a stage"
    if len(panels) > _PANELS:
        label = (
            f"Training loss against step, {_PANELS} of {len(panels)} stages, all of which are in the numbers"
        )
    return Chart("learning-curves", label, wide, narrow, table)


def _panel(labels: list[str]) -> tuple[str, str, str]:
    """(arm that lends its colour, subtitle, title) of the labels that share one file.

    "proactive seed 0 / stage-1" is told by its stage and its arms; "learn + read, seed 0" by its last stage
    and what came before.
    """
    matches = [match for label in labels if (match := _LABEL.match(label))]
    if matches:
        arms = sorted({match["arm"] for match in matches}, key=lambda arm: order(arm, ARM_ORDER[::-1]))
        words = ", ".join(arm_label(arm) for arm in arms)
        return (arms[0], words if len(words) <= 42 else f"{words[:41]}…", matches[0]["stage"])
    *before, last = _SEED.sub("", labels[0]).split(" + ")
    return ("proactive", f"after {' + '.join(before)}" if before else "from the start", last)
