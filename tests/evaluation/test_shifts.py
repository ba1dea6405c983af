"""Accuracy by the shift of the call."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pandas as pd

from pbb.evaluation.shifts import by_shift

Refused = Callable[..., AbstractContextManager[None]]


def frame(calls: dict[str, bool], **changes: object) -> pd.DataFrame:
    rows = [{"call": c, "correct": right} for c, right in calls.items()]
    same = {"arm": "a", "group": "io", "ask": "trace", "split": "test", "sample": 0}
    return pd.DataFrame([row | same | changes for row in rows])


def test_held_out_calls_are_counted_by_shift() -> None:
    seen = frame({"Z('ab', 3)": True, "Z('ba', 3)": False, "Z('ab', 11)": True})
    train = frame({"Z('ab', 3)": True}, split="train")
    found = by_shift(pd.concat([seen, train]))
    assert found[["shift", "accuracy", "n"]].values.tolist() == [[3, 0.5, 2], [11, 1.0, 1]]


def test_calls_without_a_shift_are_named(refused: Refused) -> None:
    for call in ("Z('ab')", "Z(['ab'], 'c')"):
        with refused("shifts", call):
            by_shift(frame({call: True}))
