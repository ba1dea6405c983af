"""Arms held against each other on the same questions: one pair, and those pairs of a figure that a reader compares by eye.

A curve's figure (see `pbb.recipe_claims.Curve`) puts neighbours beside each other along each of its lines, and all of its points beside its levels.
Those are tested, and no others, on the programs of the figure's own group: all pairs of twelve arms would be 66, and Holm's correction over them
would hide what the dial does.

Contract: one row a pair and way of asking, all seeds together; a pair that stands in two lines is tested once. A family of Holm's correction is one
figure and one way of asking. Levels of another group are other programs, so that nothing can be paired: they have no rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import pandas as pd

from pbb.evaluation.statistics import PairedTest, holm, paired_permutation

Cell = Callable[[str, str, str], pd.DataFrame | None]
"""(arm, group, ask) -> the greedy answers on held-out inputs, of all seeds: columns unit, question, correct."""
ASKS = ("direct", "trace", "recite", "recall")
GROUPS = ("source_only", "io", "source_only_composed", "io_composed")


def matched(ours: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """The questions that both were asked: columns unit, question and the scores `a` and `b`."""
    answers = [part.groupby(["unit", "question"], sort=True)["correct"].mean() for part in (ours, other)]
    return pd.concat({"a": answers[0], "b": answers[1]}, axis=1, join="inner").reset_index()


def difference(ours: pd.DataFrame, other: pd.DataFrame, seed: int) -> PairedTest | None:
    """The paired permutation test over programs on the questions that both were asked; None where there are none."""
    pairs = matched(ours, other)
    return paired_permutation(pairs["a"], pairs["b"], pairs["unit"], seed=seed)


def curve_differences(curves: Sequence[Mapping[str, Any]], cell: Cell, seed: int) -> list[dict[str, Any]]:
    """Rows {curve, group, ask, arm_a, arm_b, difference (a less b), low, high, p, p_holm, programs} of {name, lines, beside, group, beside_group}.

    `arm_a` is the later of two neighbours, or the point that is held against a level.
    """
    return [
        row
        for curve in curves
        for group in ([curve["group"]] if curve.get("group") else GROUPS)
        for ask in ASKS
        for row in _family(curve, group, ask, cell, seed)
    ]


def _family(curve: Mapping[str, Any], group: str, ask: str, cell: Cell, seed: int) -> list[dict[str, Any]]:
    arms = dict.fromkeys(arm for line in (*curve["lines"].values(), curve["beside"]) for arm in line if arm)
    cells = {arm: found for arm in arms if (found := cell(arm, group, ask)) is not None}
    lines = [[arm for arm in line if arm in cells] for line in curve["lines"].values()]
    pairs = [(later, earlier) for line in lines for earlier, later in pairwise(line)]
    if curve.get("beside_group") in (None, group):
        pairs += [
            (arm, level) for line in lines for arm in line for level in curve["beside"] if level in cells
        ]
    once: dict[frozenset[str], tuple[str, str]] = {}
    for pair in pairs:
        once.setdefault(frozenset(pair), pair)
    tests = [
        (a, b, test) for a, b in once.values() if a != b and (test := difference(cells[a], cells[b], seed))
    ]
    return [
        {"curve": curve["name"], "group": group, "ask": ask, "arm_a": a, "arm_b": b}
        | {"difference": test.difference, "low": test.low, "high": test.high, "p": test.p, "p_holm": p}
        | {"programs": test.clusters}
        for (a, b, test), p in zip(tests, holm([test.p for *_, test in tests]), strict=True)
    ]
