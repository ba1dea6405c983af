"""Composites held against their parts: is a composite run as often as its two parts, alone, would let one expect?

If running a composite took nothing but running its parts, one after the other and each as well as alone, it would be right as often as
both are: with the product of their accuracies. Below it, something is lost in joining them; above it, the parts gain by standing in one trace
(or a wrong value in between came out right). One row, as a reader of scores.json finds it under `compositions`:

{"arm": "proactive", "seed": 0, "group": "source_only_composed", "ask": "trace", "accuracy": 0.41, "first": 0.70, "second": 0.72,
"expected": 0.51, "difference": -0.10, "low": -0.16, "high": -0.04, "programs": 100}

Contract: a frame of predictions in, one row an arm, seed and way of asking out, on held-out inputs; every composite counts once, by its own
parts; those with a part that was not asked are left out. The interval is a bootstrap over composites (pairs that share a part are taken
as independent, which they are not quite). The parts' own held-out inputs are not those that they meet inside the composite.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pbb.evaluation.statistics import paired_permutation

PARTS = {"source_only_composed": "source_only", "io_composed": "io"}


def compositions(predictions: pd.DataFrame, *, seed: int = 0) -> list[dict[str, Any]]:
    """The rows; none where there are no composites. `seed` draws the bootstraps."""
    if "needs" not in predictions or not predictions["group"].isin(list(PARTS)).any():
        return []
    frame = predictions[(predictions["split"] == "test") & (predictions["sample"] == 0)]
    keys = ["arm", "seed", "group", "ask", "program"]
    given = frame.assign(correct=frame["correct"].astype(float)).groupby(keys, sort=False)
    means = given.agg(correct=("correct", "mean"), needs=("needs", "first")).reset_index()
    right = means.set_index(keys)["correct"].to_dict()
    rows = []
    for key, cell in means[means["group"].isin(list(PARTS))].groupby(keys[:4], sort=False):
        arm, run, group, ask = key
        found = []
        for own, needs in zip(cell["correct"], cell["needs"], strict=True):
            alone = [right.get((arm, run, PARTS[str(group)], ask, name)) for name in str(needs).split(",")]
            if None not in alone:
                found.append((own, *alone))
        if not found:
            continue
        own, first, second = np.array(found, dtype=float).T
        expected = first * second
        apart = paired_permutation(own, expected, np.arange(len(own)), seed=seed)
        rows.append(
            {"arm": arm, "seed": run, "group": group, "ask": ask, "accuracy": own.mean()}
            | {"first": first.mean(), "second": second.mean(), "expected": expected.mean()}
            | {"difference": apart and apart.difference, "low": apart and apart.low, "high": apart and apart.high}
            | {"programs": len(own)}
        )
    return [{k: v.item() if isinstance(v, np.generic) else v for k, v in row.items()} for row in rows]
