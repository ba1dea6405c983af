"""Claims made beforehand: the verdict follows the paired test, corrected over all claims, and silence is no verdict."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbb.console import verdict_lines
from pbb.evaluation.hypotheses import verdicts
from pbb.evaluation.statistics import holm, paired_permutation

PROGRAMS, CALLS = 16, 4


def answers(right: list[bool]) -> pd.DataFrame:
    """A program is right on all of its calls or on none; call 0 and 1 of each expect the same answer."""
    return pd.DataFrame(
        [
            {"seed": 0, "unit": unit, "question": call, "correct": float(ok), "expected": max(call, 1)}
            for unit, ok in enumerate(right)
            for call in range(CALLS)
        ]
    )


def claim(arm: str, above: str) -> dict[str, object]:
    return {"says": "so", "arm": arm, "above": above, "ask": "trace", "group": "source_only", "alpha": 0.05}


CELLS = {
    "all": answers([True] * PROGRAMS),
    "none": answers([False] * PROGRAMS),
    "half": answers([i % 2 == 0 for i in range(PROGRAMS)]),
    "other half": answers([i % 2 == 1 for i in range(PROGRAMS)]),
}


def judged(*claims: tuple[str, str]) -> list[str]:
    cell = lambda arm, group, ask: CELLS.get(arm) if (group, ask) == ("source_only", "trace") else None  # noqa: E731
    return [row["verdict"] for row in verdicts([claim(*c) for c in claims], cell, 0)]


def test_each_verdict() -> None:
    claims = [("all", "none"), ("none", "all"), ("half", "other half"), ("all", "nobody"), ("nobody", "all")]
    assert judged(*claims) == ["holds", "refuted", "undecided", "not asked", "not asked"]


def test_the_constant_earns_its_commonest_answer() -> None:
    # fitted to the answers it is scored on, it is more than guessing earns: nothing below it is refuted
    assert judged(("all", "constant"), ("none", "constant")) == ["holds", "undecided"]
    (row,) = verdicts([claim("all", "constant")], lambda *_: CELLS["all"], 0)
    assert row["difference"] == pytest.approx(1 - 2 / CALLS)  # two of four calls expect the same


def test_trainings_that_differ_are_told_beside_the_verdict() -> None:
    """Three seeds of sixteen programs: in two the arms are level but for one program, in the third one is far ahead."""
    ahead = [[True] + [False] * 15, [False] * 15 + [True], [True] * 15 + [False]]
    parts = [
        answers(right).assign(seed=seed, unit=lambda f, s=seed: f["unit"] + PROGRAMS * s)
        for seed, right in enumerate(ahead)
    ]
    first = pd.concat(parts)
    other = first.assign(correct=0.0)
    (row,) = verdicts([claim("a", "b")], lambda arm, *_: first if arm == "a" else other, 0)
    assert row["verdict"] == "holds"
    assert row["by_seed"] == pytest.approx({"0": 1 / 16, "1": 1 / 16, "2": 15 / 16})
    assert row["p_seeds"] < 1e-6
    for apart, told in ((0.0, True), (0.04, True), (0.05, False), (None, False)):
        (line,) = verdict_lines({"hypotheses": [row | {"p_seeds": apart}]})
        assert ("seeds disagree" in line) is told
    (alone,) = verdicts(
        [claim("a", "b")], lambda arm, *_: parts[0] if arm == "a" else parts[0].assign(correct=0.0), 0
    )
    assert alone["by_seed"] is None and alone["p_seeds"] is None


def test_many_claims_make_each_harder() -> None:
    slight = answers([i >= 6 for i in range(PROGRAMS)])
    base = answers([i >= 12 for i in range(PROGRAMS)])
    cell = lambda arm, *_: slight if arm == "slight" else base  # noqa: E731
    (alone,) = verdicts([claim("slight", "base")], cell, 0)
    crowd = verdicts([claim("slight", "base"), *[claim("base", "base")] * 9], cell, 0)
    assert alone["verdict"] == "holds" and alone["p"] == alone["p_holm"] < 0.05
    assert crowd[0]["p_holm"] == pytest.approx(min(1, 10 * alone["p"])) and crowd[0]["verdict"] == "undecided"


@settings(deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=PROGRAMS, max_size=PROGRAMS), min_size=2, max_size=4))
def test_p_values_are_those_of_the_paired_test(rows: list[list[bool]]) -> None:
    cells = {str(i): answers(right) for i, right in enumerate(rows)}
    claims = [claim("0", str(i)) for i in range(1, len(rows))]
    found = verdicts(claims, lambda arm, *_: cells[arm], 0)
    ps = []
    for i in range(1, len(rows)):
        test = paired_permutation(cells["0"]["correct"], cells[str(i)]["correct"], cells["0"]["unit"])
        assert test is not None
        ps.append(test.p)
    assert [row["p_holm"] for row in found] == pytest.approx(holm(ps))
