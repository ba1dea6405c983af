"""Accuracy by shift, where the shift is an argument of the call: `Zibdax('bed', 3)`.

The paper's finding on ciphers: a model that was shown executions with shifts as skewed as in natural text runs the common shift and fails on
the others; one that has read the source does not. Contract: a frame of predictions in, one row an arm, group, way of asking and shift out, all
seeds together, with intervals over programs.
"""

from __future__ import annotations

import ast
from typing import Any

import pandas as pd

from pbb.errors import PbbError
from pbb.evaluation.statistics import clustered_interval


def by_shift(predictions: pd.DataFrame, seed: int = 0) -> list[dict[str, Any]]:
    """arm, group, ask, shift, accuracy, low, high, n: on held-out inputs; `shift` is the second argument of the call.

    Raises:
        PbbError: a call has no second argument.
    """
    greedy = (predictions["sample"] == 0) & (predictions["split"] == "test")
    frame = predictions[greedy].copy()
    frame["shift"] = [shift(call) for call in frame["call"]]
    frame["unit"] = frame["seed"].astype(str) + " " + frame["program"]
    rows = []
    key: Any
    for key, cell in frame.groupby(["arm", "group", "ask", "shift"], sort=True):
        arm, group, ask, by = key
        found = clustered_interval(cell["correct"].astype(float), cell["unit"], seed=seed)
        if found is not None:
            rows.append(
                {"arm": arm, "group": group, "ask": ask, "shift": int(by), "accuracy": found.mean}
                | {"low": found.low, "high": found.high, "n": len(cell)}
            )
    return rows


def shift(call: str) -> int:
    """The second argument of a call."""
    match ast.parse(call, mode="eval").body:
        case ast.Call(args=[_, ast.Constant(int(value))]):
            return value
    raise PbbError(f"shifts: {call} has no shift: take a run with data.shift=argument")
