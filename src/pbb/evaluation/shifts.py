"""Accuracy by shift, where the shift is an argument of the call: `Zibdax('bed', 3)`.

The paper's finding on ciphers: a model that was shown executions with shifts as skewed as in natural text runs the common shift and fails on
the others; one that has read the source does not. Contract: a frame of predictions in, one row an arm, group, way of asking and shift out.
"""

from __future__ import annotations

import ast

import pandas as pd

from pbb.errors import PbbError


def by_shift(predictions: pd.DataFrame) -> pd.DataFrame:
    """arm, group, ask, shift, accuracy, n: on held-out inputs; `shift` is the second argument of the call.

    Raises:
        PbbError: a call has no second argument.
    """
    greedy = (predictions["sample"] == 0) & (predictions["split"] == "test")
    frame = predictions[greedy].copy()
    frame["shift"] = [shift(call) for call in frame["call"]]
    groups = frame.groupby(["arm", "group", "ask", "shift"], sort=True)["correct"]
    found = groups.agg(accuracy=lambda right: float(right.astype(bool).mean()), n="size")
    return found.reset_index()


def shift(call: str) -> int:
    """The second argument of a call."""
    match ast.parse(call, mode="eval").body:
        case ast.Call(args=[_, ast.Constant(int(value))]):
            return value
    raise PbbError(f"shifts: {call} has no shift: take a run with data.shift=argument")
