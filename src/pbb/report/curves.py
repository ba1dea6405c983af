"""Learning curves: the loss of every training stage against its step, read from metrics.jsonl; rewards have a figure of their own.

Contract: a curve is drawn thinned and smoothed, its CSV holds every logged step as it was logged; a curve that
several chains of stages share (one file on disk) is drawn once, and stands in the CSV under all their names.
"""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pbb.errors import PbbError
from pbb.report import svg
from pbb.report.figures import Chart
from pbb.report.panels import LinePanel, line_panels
from pbb.report.scoreboard import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
    """One panel a stage and what came before it, one line a seed; None without a single logged loss."""
    shared: dict[Path, list[str]] = {}
    for label, path in training.items():
        shared.setdefault(Path(path).resolve(), []).append(label)
    panels: dict[tuple[str, str], list[list[Row]]] = {}
    table: list[Row] = []
    for path, labels in shared.items():
        rows = [
            row for row in read(path) if "reward" not in row
        ]  # whose loss lies around 0 whatever is learned
        if not rows:
            continue
        table += [{"stage": " = ".join(labels), "step": row["step"], "loss": row["loss"]} for row in rows]
        panels.setdefault(_panel(labels[0]), []).append(rows)
    if not panels:
        return None
    losses = [row["loss"] for curves in panels.values() for rows in curves for row in rows]
    low, high = min(losses), max(losses)
    logarithmic = low > 0 and high / low > 20

    def lines(ax: Axes, curves: list[list[Row]]) -> None:
        for rows in curves:
            stride = max(1, math.ceil(len(rows) / _POINTS))
            ys = [row["loss"] for row in rows]
            xs = [row["step"] for row in rows]
            if len(rows) > 20:
                ax.plot(xs[::stride], ys[::stride], color=svg.BLUE, alpha=0.3, linewidth=1)
                ys = smooth(ys, max(5, len(ys) // 25))
            dot = "o" if len(rows) == 1 else None
            ax.plot(xs[::stride], ys[::stride], color=svg.BLUE, linewidth=1.8, marker=dot)
        if logarithmic:
            ax.set_yscale("log")
            powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            ax.set_yticks([10.0**n for n in powers], [f"{10.0**n:g}" for n in powers])
            ax.set_yticks([], minor=True)
        ax.set_ylim(low * 0.8 if logarithmic else min(low * 1.15, 0), high * 1.15)
        ax.grid(True, axis="y", color=svg.RULE, linewidth=1)
        ax.locator_params(axis="x", nbins=4, integer=True)

    chosen = sorted(panels, key=lambda panel: panel[0])[:_PANELS]
    shown: list[LinePanel] = [(*panel, partial(lines, curves=panels[panel])) for panel in chosen]
    wide, narrow = line_panels(shown, columns=3, height=120, below="step", key=[])
    label = "Training loss against step, one panel a stage"
    if len(panels) > _PANELS:
        label = (
            f"Training loss against step, {_PANELS} of {len(panels)} stages, all of which are in the numbers"
        )
    return Chart("learning-curves", label, wide, narrow, table)


def _panel(label: str) -> tuple[str, str]:
    """Title and subtitle: "learn + read, seed 0" is told by its last stage and by what came before."""
    *before, last = label.rpartition(", seed ")[0].split(" + ")
    return last, f"after {' + '.join(before)}" if before else "from the start"
