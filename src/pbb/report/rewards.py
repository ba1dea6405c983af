"""What reinforcement learning left behind: its curves of reward, and the rewarded rollouts that are least like a demonstration.

Contract: read from metrics.jsonl and strangest.jsonl of the trainings that have them; nothing is computed but running means.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pbb.report import svg
from pbb.report.curves import read, smooth
from pbb.report.dials import LINES
from pbb.report.figures import Chart
from pbb.report.panels import LinePanel, line_panels
from pbb.report.scoreboard import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MEASURES = {
    "reward": ("Reward", "mean of the rollouts"),
    "zero_variance": ("Groups without variance", "share of the step's groups"),
    "entropy": ("Entropy", "nats a token drawn"),
}


@dataclass(frozen=True)
class Odd:
    """The strangest rewarded rollouts of one training."""

    label: str
    rows: list[dict[str, Any]]


def reward_curves(training: dict[str, Path]) -> Chart | None:
    """Reward, dead groups and entropy against the step, a line for every training by GRPO."""
    runs = {label: rows for label, path in training.items() if (rows := _rewarded(path))}
    if not runs:
        return None
    hues = {label: LINES[i % len(LINES)] for i, label in enumerate(dict.fromkeys(map(_stages, runs)))}

    def paint(ax: Axes, measure: str) -> None:
        for label, rows in runs.items():
            hue = hues[_stages(label)]
            xs, ys = [row["step"] for row in rows], [row[measure] for row in rows]
            ax.plot(xs, ys, color=hue, alpha=0.2, linewidth=0.8)
            ax.plot(xs, smooth(ys, max(5, len(ys) // 15)), color=hue, linewidth=1.8)
        ax.set_ylim(0, None if measure == "entropy" else 1.02)
        ax.grid(True, axis="y", color=svg.RULE, linewidth=1)
        ax.locator_params(axis="x", nbins=4, integer=True)

    panels: list[LinePanel] = [(*words, partial(paint, measure=m)) for m, words in MEASURES.items()]
    key = [({"color": hue, "linewidth": 1.8}, label) for label, hue in hues.items()]
    wide, narrow = line_panels(panels, 3, height=160, below="step", key=key)
    table = [
        {"training": label, "step": row["step"], **{m: row[m] for m in MEASURES}, "kl": row.get("kl")}
        for label, rows in runs.items()
        for row in rows
    ]
    return Chart("rewards", "Reward, dead groups and entropy of GRPO against step", wide, narrow, table)


def unrewarded(chart: Chart | None) -> list[str]:
    """The trainings of the chart in which no rollout ever earned anything, which therefore taught nothing."""
    rows = chart.table if chart else []
    best = {row["training"]: 0.0 for row in rows}
    for row in rows:
        best[row["training"]] = max(best[row["training"]], row["reward"])
    return [label for label, most in best.items() if not most]


def strangest(training: dict[str, Path]) -> list[Odd]:
    """By training, what its strangest.jsonl holds; trainings without one are left out."""
    found = []
    for label, path in training.items():
        file = path.with_name("strangest.jsonl")
        if file.is_file():
            rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
            found += [Odd(label, rows)] if rows else []
    return found


def _rewarded(path: Path) -> list[Row]:
    return [row for row in read(path) if "reward" in row]


def _stages(label: str) -> str:
    return label.rpartition(", seed ")[0] or label
