"""Two runs held against each other, arm by arm, on the very same calls of the same programs.

Contract: two frames of predictions in; a row for every arm, group, split and way of asking that both hold, with the paired permutation test
(Holm's correction within a group, split and way of asking). Calls that only one run asked do not enter, and how many those are is said.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from pbb.errors import PbbError
from pbb.evaluation.statistics import holm, paired_permutation

CELL = ["arm", "group", "split", "ask"]
QUESTION = ["seed", "program", "source", "call"]
"""The source too: the same name may stand for another program in another recipe."""


def compare(first: pd.DataFrame, second: pd.DataFrame, seed: int = 0) -> list[dict[str, Any]]:
    """Rows {arm, group, split, ask, first, second, difference, low, high, p, p_holm, programs, n, left_out}; shares, second minus first.

    Raises:
        PbbError: the runs have no question in common, or one lacks a column.
    """
    for number, frame in enumerate((first, second), 1):
        if lacking := {"sample", "correct", *CELL, *QUESTION} - set(frame.columns):
            raise PbbError(
                f"compare: run {number}: predictions.parquet lacks {', '.join(sorted(lacking))}: it was made by other code, or changed: run it again"
            )
    cells = [dict(iter(f[f["sample"] == 0].groupby(CELL, sort=False))) for f in (first, second)]
    rows: list[dict[str, Any]] = []
    for key in cells[0]:
        if key not in cells[1]:
            continue
        asked = [cell[key].groupby(QUESTION, sort=True)["correct"].mean().astype(float) for cell in cells]
        pairs = pd.concat({"a": asked[0], "b": asked[1]}, axis=1, join="inner")
        units = [f"{run}:{name}" for run, name, *_ in pairs.index]
        found = paired_permutation(pairs["b"].to_numpy(), pairs["a"].to_numpy(), units, seed=seed)
        if found is None:
            continue
        rows.append(
            {**dict(zip(CELL, key, strict=True)), "first": pairs["a"].mean(), "second": pairs["b"].mean()}
            | {"difference": found.difference, "low": found.low, "high": found.high, "p": found.p}
            | {"p_holm": None, "programs": found.clusters, "n": len(pairs)}
            | {"left_out": len(asked[0]) + len(asked[1]) - 2 * len(pairs)}
        )
    if not rows:
        raise PbbError(
            "compare: the runs share no arm that was asked the same calls of the same programs: compare runs of the same data and seeds"
        )
    for family in {tuple(row[name] for name in CELL[1:]) for row in rows}:
        mine = [row for row in rows if tuple(row[name] for name in CELL[1:]) == family]
        for row, p in zip(mine, holm([row["p"] for row in mine]), strict=True):
            row["p_holm"] = p
    return rows
