"""What a recipe said beforehand, held against what came out.

A hypothesis names two arms (or an arm and the best constant answer), a way of asking and a group of programs, and claims that the first
is right more often on held-out inputs. It stands in the recipe, whose hash names the run: whoever changes it afterwards has another run.

Contract: one verdict each, over all seeds: `holds` or `refuted` where the paired permutation test rejects equality at `alpha` after Holm's
correction over the recipe's hypotheses, by the sign of the difference; else `undecided`; `not asked` where the run has no such answers.

The best constant answer is fitted to the very calls that it is scored on (of n different values it has one in n), so it is more than guessing
earns: who is above it guesses no longer, who is below it may still know something, and "refuted" is never said.

The test takes the trained models as given. How far trainings differ is told beside it: the difference of every seed, and the p of all seeds having
the same one (Cochran's Q); where that is small, the verdict is about these trainings and not about the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pbb.evaluation.differences import difference, matched
from pbb.evaluation.statistics import PairedTest, holm, homogeneity

CONSTANT = "constant"
Cell = Callable[[str, str, str], pd.DataFrame | None]
"""(arm, group, ask) -> the greedy answers on held-out inputs, of all seeds: columns seed, unit, question, correct, expected."""


def verdicts(hypotheses: Sequence[Mapping[str, Any]], cell: Cell, seed: int) -> list[dict[str, Any]]:
    """For every hypothesis {says, arm, above, ask, group, alpha} its difference, interval, p, p_holm, verdict, by_seed and p_seeds."""
    arms = [_arms(h, cell) for h in hypotheses]
    tests = [None if pair is None else difference(*pair, seed) for pair in arms]
    asked = [test for test in tests if test is not None]
    adjusted = iter(holm([test.p for test in asked]))
    rows = []
    for h, pair, test in zip(hypotheses, arms, tests, strict=True):
        if pair is None or test is None:
            nothing = dict.fromkeys(
                ("difference", "low", "high", "p", "p_holm", "programs", "by_seed", "p_seeds")
            )
            rows.append({**h, **nothing, "verdict": "not asked"})
            continue
        p = next(adjusted)
        rows.append(
            {**h, "difference": test.difference, "low": test.low, "high": test.high, "p": test.p, "p_holm": p}
            | {"programs": test.clusters, "verdict": _verdict(h, test, p)}
            | dict(zip(("by_seed", "p_seeds"), _seeds(*pair), strict=True))
        )
    return rows


def _verdict(h: Mapping[str, Any], test: PairedTest, p: float) -> str:
    if p >= h["alpha"] or (test.difference <= 0 and h["above"] == CONSTANT):
        return "undecided"
    return "holds" if test.difference > 0 else "refuted"


def _arms(h: Mapping[str, Any], cell: Cell) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """The answers of the arm, and those that it is to be above."""
    ours = cell(h["arm"], h["group"], h["ask"])
    other = ours if h["above"] == CONSTANT else cell(h["above"], h["group"], h["ask"])
    if ours is None or other is None:
        return None
    if h["above"] == CONSTANT:
        commonest = ours.groupby("unit")["expected"].transform(lambda values: values.mode()[0])
        other = ours.assign(correct=(ours["expected"] == commonest).astype(float))
    return ours, other


def _seeds(ours: pd.DataFrame, other: pd.DataFrame) -> tuple[dict[str, float] | None, float | None]:
    """The difference of every seed, and the p of their being one; nothing of a single seed."""
    pairs = matched(ours, other)
    programs = (pairs["a"] - pairs["b"]).groupby(pairs["unit"]).mean()
    seeds = ours.groupby("unit")["seed"].first().reindex(programs.index)
    by_seed = {str(seed): np.asarray(part) for seed, part in programs.groupby(seeds)}
    if len(by_seed) < 2:
        return None, None
    return {seed: float(part.mean()) for seed, part in by_seed.items()}, homogeneity(list(by_seed.values()))
