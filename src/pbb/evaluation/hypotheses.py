"""What a recipe said beforehand, held against what came out.

A hypothesis names two arms (or an arm and the best constant answer), a way of asking and a group of programs, and claims that the first
is right more often on held-out inputs. It stands in the recipe, whose hash names the run: whoever changes it afterwards has another run.

Contract: one verdict each, over all seeds: `holds` or `refuted` where the paired permutation test rejects equality at `alpha` after Holm's
correction over the recipe's hypotheses, by the sign of the difference; else `undecided`; `not asked` where the run has no such answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from pbb.evaluation.differences import difference
from pbb.evaluation.statistics import PairedTest, holm

CONSTANT = "constant"
Cell = Callable[[str, str, str], pd.DataFrame | None]
"""(arm, group, ask) -> the greedy answers on held-out inputs, of all seeds: columns unit, question, correct, expected."""


def verdicts(hypotheses: Sequence[Mapping[str, Any]], cell: Cell, seed: int) -> list[dict[str, Any]]:
    """For every hypothesis {says, arm, above, ask, group, alpha} its difference, interval, p, p_holm and verdict."""
    tests = [_test(h, cell, seed) for h in hypotheses]
    asked = [test for test in tests if test is not None]
    adjusted = iter(holm([test.p for test in asked]))
    rows = []
    for h, test in zip(hypotheses, tests, strict=True):
        if test is None:
            nothing = dict.fromkeys(("difference", "low", "high", "p", "p_holm", "programs"))
            rows.append({**h, **nothing, "verdict": "not asked"})
            continue
        p = next(adjusted)
        decided = "holds" if test.difference > 0 else "refuted"
        rows.append(
            {**h, "difference": test.difference, "low": test.low, "high": test.high, "p": test.p, "p_holm": p}
            | {"programs": test.clusters, "verdict": decided if p < h["alpha"] else "undecided"}
        )
    return rows


def _test(h: Mapping[str, Any], cell: Cell, seed: int) -> PairedTest | None:
    ours = cell(h["arm"], h["group"], h["ask"])
    other = ours if h["above"] == CONSTANT else cell(h["above"], h["group"], h["ask"])
    if ours is None or other is None:
        return None
    if h["above"] == CONSTANT:
        commonest = ours.groupby("unit")["expected"].transform(lambda values: values.mode()[0])
        other = ours.assign(correct=(ours["expected"] == commonest).astype(float))
    return difference(ours, other, seed)
