"""Where a line of a curve reaches a level: how many executions teach as much as one source.

A line's arms stand at counts 0, 1, 3, 10 ...; between two of them accuracy is taken to be linear in log(1 + count), and the first crossing of the
level is the break-even. Its interval is a percentile bootstrap over programs, those of the line and those of the level drawn apart, since
they are different programs.

What the level's own stages executed of other programs is `executed`, for lines whose arms have not been through the same. Amortised it costs
nothing; otherwise it is paid back once so many programs are read that their executions would have been more: `executed` / break-even.

Contract: None stands for more than the largest count, and of `pays_after` for what that makes of it (fewer than `executed` / largest), or for
never, where the level is reached at 0. The smallest count stands for itself and anything below, if it is not 0. Reciting has no break-even:
executions do not tell the source that is recited.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pbb.evaluation.statistics import resampled_means

Cell = Callable[[str, str, str], pd.DataFrame | None]
"""(arm, group, ask) -> the greedy answers on held-out inputs, of all seeds: columns unit, correct."""
Floats = npt.NDArray[np.float64]
ASKS = ("direct", "trace")


def crossing(counts: Sequence[float], heights: Sequence[Floats], level: Floats) -> Floats:
    """[draws] first counts at which `heights`, [draws] for each count, reach `level` [draws]; inf where they do not."""
    found = np.where(heights[0] >= level, counts[0], math.inf)
    for (left, low), (right, high) in pairwise(zip(counts, heights, strict=True)):
        rise = np.where(high > low, high - low, 1)
        a, b = math.log1p(left), math.log1p(right)
        part = np.clip((level - low) / rise, 0, 1)
        here = np.clip(np.expm1(a + (b - a) * part), left, right)
        found = np.where(np.isinf(found) & (low < level) & (high >= level), here, found)
    return found


def break_evens(curves: Sequence[Mapping[str, Any]], cell: Cell, seed: int) -> list[dict[str, Any]]:
    """For every line and way of asking of {name, at, lines, group, level, level_group, executed}: at, low, high, pays_after (with its ends)."""
    rows = []
    for curve in curves:
        for label, arms in curve["lines"].items():
            for ask in ASKS:
                points = [
                    (count, found)
                    for count, arm in zip(curve["at"], arms, strict=True)
                    if arm is not None and (found := cell(arm, curve["group"], ask)) is not None
                ]
                level = cell(curve["level"], curve["level_group"], ask)
                if len(points) > 1 and level is not None:
                    rows.append(
                        {"curve": curve["name"], "line": label, "ask": ask, "level": curve["level"]}
                        | {"level_accuracy": float(level["correct"].mean())}
                        | {"smallest": points[0][0], "largest": points[-1][0]}
                        | _found(points, level, curve["executed"].get(label), seed)
                    )
    return rows


def _found(
    points: Sequence[tuple[float, pd.DataFrame]], level: pd.DataFrame, executed: int | None, seed: int
) -> dict[str, Any]:
    counts = [count for count, _ in points]
    drawn = [resampled_means(part["correct"], part["unit"], seed=seed) for _, part in points]
    of_level = resampled_means(level["correct"], level["unit"], seed=seed + 1)
    # the figures themselves stand before the resampled ones
    heights = [
        np.append(part["correct"].mean(), draws) for (_, part), draws in zip(points, drawn, strict=True)
    ]
    at, *resampled = crossing(counts, heights, np.append(level["correct"].mean(), of_level)).tolist()
    low, high = np.quantile(resampled, [0.025, 0.975], method="nearest").tolist()
    found = {"at": at, "low": low, "high": high}
    pays = {"pays_after": at, "pays_low": high, "pays_high": low}
    if executed == 0:
        found |= dict.fromkeys(pays, 0.0)
    else:
        found |= {n: executed / c if executed and 0 < c < math.inf else math.inf for n, c in pays.items()}
    told = {name: float(value) if math.isfinite(value) else None for name, value in found.items()}
    return told | {"executed": executed}
