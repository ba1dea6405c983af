"""Composites held against their parts: is a composite run as often as its two parts, alone, would let one expect?

If running a composite took nothing but running its parts, one after the other and each as well as alone, it would be right as often as
both are: with the product of their accuracies. Below it, something is lost in joining them; above it, the parts gain by standing in one trace
(or a wrong value in between came out right). One row, as a reader of scores.json finds it under `compositions`:

{"arm": "proactive", "seed": 0, "group": "source_only_composed", "ask": "trace", "accuracy": 0.41, "first": 0.70, "second": 0.72,
"expected": 0.51, "difference": -0.10, "low": -0.16, "high": -0.04, "programs": 100}

Contract: a frame of predictions in, one row an arm, seed (and all seeds together) and way of asking out, on held-out inputs. Every composite
counts once, by its own parts; those with a part that was not asked are left out. The interval is a bootstrap over composites (pairs that
share a part are taken as independent, which they are not quite). The parts' own held-out inputs are not those that they meet inside.
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
    found: dict[tuple[str, int | str, str, str], list[list[float]]] = {}
    for arm, run, group, ask, _, own, needs in means.itertuples(index=False):
        if group in PARTS:
            alone = [right.get((arm, run, PARTS[group], ask, name)) for name in needs.split(",")]
            known = [share for share in alone if share is not None]
            if len(known) == len(alone):
                found.setdefault((arm, int(run), group, ask), []).append([own, *known])
    if means["seed"].nunique() > 1:
        for (arm, _, group, ask), cell in list(found.items()):
            found.setdefault((arm, "all", group, ask), []).extend(cell)
    return [_row(key, np.array(cell), seed) for key, cell in found.items()]


def _row(key: tuple[str, int | str, str, str], cell: Any, seed: int) -> dict[str, Any]:
    """cell [composites, 3]: accuracies of the composite, of its first part and of its second."""
    own, first, second = cell.T
    expected = first * second
    apart = paired_permutation(own, expected, np.arange(len(own)), seed=seed)
    measures = {"accuracy": own, "first": first, "second": second, "expected": expected}
    return (
        dict(zip(("arm", "seed", "group", "ask"), key, strict=True))
        | {name: float(values.mean()) for name, values in measures.items()}
        | {"difference": apart and apart.difference, "low": apart and apart.low, "high": apart and apart.high}
        | {"programs": len(own)}
    )
