"""Accuracy by the shift of the call."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pandas as pd

from pbb.evaluation.shifts import by_shift

Refused = Callable[..., AbstractContextManager[None]]


def frame(calls: dict[str, bool], **changes: object) -> pd.DataFrame:
    rows = [{"call": c, "correct": right, "program": c[0]} for c, right in calls.items()]
    same = {"arm": "a", "group": "io", "ask": "trace", "split": "test", "sample": 0, "seed": 0}
    return pd.DataFrame([row | same | changes for row in rows])


def test_held_out_calls_are_counted_by_shift() -> None:
    seen = frame({"Z('ab', 3)": True, "Y('ba', 3)": False, "Z('ab', 11)": True})
    train = frame({"Z('ab', 3)": True}, split="train")
    found = by_shift(pd.concat([seen, train]))
    assert [(row["shift"], row["accuracy"], row["n"]) for row in found] == [(3, 0.5, 2), (11, 1.0, 1)]
    assert found[0]["low"] < 0.01 and found[0]["high"] > 0.99  # two programs say little


def test_a_program_of_two_seeds_is_two_programs() -> None:
    calls = {"Z('ab', 3)": True}
    one = by_shift(pd.concat([frame(calls), frame(calls)]))
    two = by_shift(pd.concat([frame(calls), frame(calls, seed=1)]))
    assert one[0]["low"] < two[0]["low"]


def test_calls_without_a_shift_are_named(refused: Refused) -> None:
    for call in ("Z('ab')", "Z(['ab'], 'c')"):
        with refused("shifts", call):
            by_shift(frame({call: True}))
