"""Pairs of a figure: a planted difference is found and no other, each pair once, corrected within the figure and way of asking."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from predicted import cell, only, row, scored  # noqa: E402

from pbb.evaluation.differences import curve_differences, difference  # noqa: E402
from pbb.evaluation.statistics import holm, paired_permutation  # noqa: E402

PROGRAMS = 30
CURVE: dict[str, Any] = {"name": "dial", "lines": {"one": ["a", "b", "c"]}, "beside": ["level"]}


def answers(right: int, first: int = 0, questions: int = 2) -> pd.DataFrame:
    """The first so many of `PROGRAMS` programs are right, on all of their questions."""
    return pd.DataFrame(
        [
            {"unit": first + unit, "question": question, "correct": float(unit < right)}
            for unit in range(PROGRAMS)
            for question in range(questions)
        ]
    )


def found_in(
    cells: dict[str, pd.DataFrame], ways: tuple[str, ...] = ("io trace",), **change: Any
) -> list[dict[str, Any]]:
    """The rows of a curve whose arms answer alike in each group and way of asking."""
    of = lambda arm, group, ask: cells.get(arm) if f"{group} {ask}" in ways else None  # noqa: E731
    return curve_differences([CURVE | change], of, 0)


def pairs(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(row["arm_a"], row["arm_b"]) for row in rows]


CELLS = {"a": answers(6), "b": answers(6), "c": answers(22), "level": answers(6)}


def test_a_planted_difference_is_found_and_equal_arms_are_not() -> None:
    rows = found_in(CELLS)
    assert pairs(rows) == [("b", "a"), ("c", "b"), ("a", "level"), ("b", "level"), ("c", "level")]
    for found in rows:
        assert (found["curve"], found["group"], found["ask"], found["programs"]) == (
            "dial",
            "io",
            "trace",
            PROGRAMS,
        )
        if found["arm_a"] == "c":
            assert found["difference"] == pytest.approx(16 / PROGRAMS) and found["p_holm"] < 0.01
            assert found["low"] > 0.3 and found["high"] < 0.8
        else:
            assert (found["difference"], found["p"], found["p_holm"]) == (0, 1, 1)


def test_the_test_is_the_paired_one_over_programs_on_common_questions() -> None:
    ours, other = answers(20), answers(12, first=4, questions=1)
    both = range(4, PROGRAMS)
    a, b = ([float(unit < right) for unit in both] for right in (20, 16))
    assert difference(ours, other, 3) == paired_permutation(a, b, list(both), seed=3)
    assert difference(ours, answers(5, first=PROGRAMS), 0) is None


def test_a_family_is_a_figure_and_a_way_of_asking() -> None:
    steps = {"a": answers(4), "b": answers(10), "c": answers(17), "level": answers(3)}
    ways = ("io trace", "io recite", "io recall", "source_only trace", "io in-context-trace")
    rows = found_in(steps, ways)
    families = {(row["group"], row["ask"]) for row in rows}
    assert families == {("io", "trace"), ("io", "recite"), ("io", "recall"), ("source_only", "trace")}
    for family in families:
        mine = [row for row in rows if (row["group"], row["ask"]) == family]
        assert len(mine) == 5
        assert [row["p_holm"] for row in mine] == holm([row["p"] for row in mine])
    assert len({row["p"] for row in rows[:5]}) > 1
    assert {row["group"] for row in found_in(steps, ways, group="io")} == {"io"}


def test_a_pair_is_tested_once_and_a_place_without_answers_is_passed_over() -> None:
    lines = {"one": ["a", None, "b", "absent", "c"], "two": ["b", "a", "a", "c"], "three": ["level", "a"]}
    rows = found_in(CELLS, lines=lines)
    assert pairs(rows) == [("b", "a"), ("c", "b"), ("c", "a"), ("a", "level"), ("b", "level"), ("c", "level")]


def test_levels_of_other_programs_are_not_paired() -> None:
    assert pairs(found_in(CELLS, group="io", beside_group="source_only")) == [("b", "a"), ("c", "b")]
    assert len(found_in(CELLS, group="io", beside_group="io")) == 5


def test_the_scores_hold_them_over_all_seeds_beside_the_tests_that_there_were() -> None:
    rows = [
        r
        for seed in (0, 1)
        for group in ("source_only", "io")
        for right, arm in ((1, "stage-1-only"), (9, "proactive"))
        for r in cell(right, arm=arm, seed=seed, group=group)
    ]
    rows += [row("P0", True, ask="recall", split="none", arm=arm) for arm in ("proactive", "stage-1-only")]
    curve = {"name": "dial", "lines": {"one": ["stage-1-only", "proactive"]}, "beside": []}
    without, scores = scored(rows), scored(rows, curves=[curve])
    assert "curve_tests" not in without and scores["tests"] == without["tests"]
    found = only(scores, "curve_tests", group="io", ask="recite")
    assert (found["arm_a"], found["arm_b"], found["programs"]) == ("proactive", "stage-1-only", 20)
    assert found["difference"] == 0.8 and found["p_holm"] == found["p"] < 0.001
    ours = only(scores, "tests", seed="all", arm_b="stage-1-only", ask="recite")
    same = only(scores, "curve_tests", group="source_only", ask="recite")
    assert [same[k] for k in ("difference", "low", "high", "p")] == [
        ours[k] for k in ("difference", "low", "high", "p")
    ]
