"""Two runs held against each other, arm by arm, on the very same calls of the same programs.

Contract: two frames of predictions in; a row for every arm, group, split and way of asking that both hold, with the paired permutation test
(Holm's correction within a group, split and way of asking). An arm is held against the other run's of the same name, or against one that is
named. Calls that only one run asked do not enter, and how many those are is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from pbb.errors import PbbError
from pbb.evaluation.statistics import holm, paired_permutation

CELL = ["arm", "group", "split", "ask"]
QUESTION = ["seed", "program", "source", "call"]
"""The source too: the same name may stand for another program in another recipe."""


def compare(
    first: pd.DataFrame, second: pd.DataFrame, arms: Sequence[tuple[str, str]] = (), seed: int = 0
) -> list[dict[str, Any]]:
    """Rows {arm, other, group, split, ask, first, second, difference, low, high, p, p_holm, programs, n, left_out}; shares, second minus first.

    `arms` are pairs, an arm of the first run and the one of the second (`other`) that it is held against; without, arms of the same name are.

    Raises:
        PbbError: the runs, or the arms of a pair that is named, have no question in common, one lacks a column or an arm that is named, or a pair is
            named twice.
    """
    for number, frame in enumerate((first, second), 1):
        if lacking := {"sample", "correct", *CELL, *QUESTION} - set(frame.columns):
            raise PbbError(
                f"compare: run {number}: predictions.parquet lacks {', '.join(sorted(lacking))}: it was made by other code, or changed: run it again"
            )
    pairs_of_arms = arms or [(name, name) for name in first["arm"].unique()]
    for number, (frame, named) in enumerate(zip((first, second), zip(*arms, strict=True), strict=False), 1):
        here = list(frame["arm"].unique())
        if absent := [name for name in named if name not in here]:
            raise PbbError(f"compare: run {number} has no arm {absent[0]}: it has {', '.join(here)}")
    if len(set(pairs_of_arms)) < len(pairs_of_arms):
        raise PbbError("compare: the same pair of arms is named twice: name it once")
    cells = [dict(iter(f[f["sample"] == 0].groupby(CELL, sort=False))) for f in (first, second)]
    rows: list[dict[str, Any]] = []
    for arm, other, key in ((a, b, key) for a, b in pairs_of_arms for key in cells[0] if key[0] == a):
        theirs = (other, *key[1:])
        if theirs not in cells[1]:
            continue
        asked = [
            cell.groupby(QUESTION, sort=True)["correct"].mean().astype(float)
            for cell in (cells[0][key], cells[1][theirs])
        ]
        pairs = pd.concat({"a": asked[0], "b": asked[1]}, axis=1, join="inner")
        units = [f"{run}:{name}" for run, name, *_ in pairs.index]
        found = paired_permutation(pairs["b"].to_numpy(), pairs["a"].to_numpy(), units, seed=seed)
        if found is None:
            continue
        rows.append(
            {"arm": arm, "other": other, **dict(zip(CELL[1:], key[1:], strict=True))}
            | {"first": pairs["a"].mean(), "second": pairs["b"].mean()}
            | {"difference": found.difference, "low": found.low, "high": found.high, "p": found.p}
            | {"p_holm": None, "programs": found.clusters, "n": len(pairs)}
            | {"tested": bool((pairs["a"] != pairs["b"]).any())}
            | {"left_out": len(asked[0]) + len(asked[1]) - 2 * len(pairs)}
        )
    held = {(row["arm"], row["other"]) for row in rows}
    if alone := [pair for pair in arms if pair not in held]:
        raise PbbError(
            f"compare: --arms {'='.join(alone[0])}: they were not asked the same calls of the same programs: leave this pair out"
        )
    if not rows:
        raise PbbError(
            "compare: the runs share no arm that was asked the same calls of the same programs: compare runs of the same data and seeds"
        )
    for family in {tuple(row[name] for name in CELL[1:]) for row in rows}:
        mine = [row for row in rows if tuple(row[name] for name in CELL[1:]) == family]
        # one model in both runs (a shared stage 1) is no comparison, and would only raise the others' p
        tested = [row for row in mine if row.pop("tested")]
        for row in mine:
            row["p_holm"] = row["p"]
        for row, p in zip(tested, holm([row["p"] for row in tested]), strict=True):
            row["p_holm"] = p
    return rows
