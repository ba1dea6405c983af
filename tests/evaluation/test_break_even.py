"""Where executions reach a level: the first crossing, its interval, and what is said where there is none."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbb.evaluation.break_even import break_evens, crossing
from pbb.evaluation.statistics import resampled_means

COUNTS = [0.0, 1.0, 3.0, 10.0, 30.0]


def answers(accuracy: float, programs: int = 40, first: int = 0) -> pd.DataFrame:
    right = round(accuracy * programs)
    return pd.DataFrame(
        {"unit": range(first, first + programs), "correct": [float(i < right) for i in range(programs)]}
    )


def curve(level: str, *arms: str | None, at: list[float] | None = None) -> dict[str, object]:
    return {
        "name": "efficiency", "at": at or [0, 1, 3], "lines": {"runs": list(arms)}, "group": "io",
        "level": level, "level_group": "source_only", "executed": {"runs": 400},
    }  # fmt: skip


CELLS = {
    ("none", "io"): answers(0),
    ("few", "io"): answers(0.25),
    ("most", "io"): answers(0.75),
    ("half", "source_only"): answers(0.5, first=100),
    ("all", "source_only"): answers(1, first=100),
    ("nothing", "source_only"): answers(0, first=100),
}


def found(*lines: dict[str, object]) -> list[dict[str, object]]:
    cell = lambda arm, group, ask: CELLS.get((arm, group)) if ask == "trace" else None  # noqa: E731
    return break_evens(lines, cell, 0)


def test_between_two_settings_the_crossing_lies_along_the_logarithm() -> None:
    [row] = found(curve("half", "none", "few", "most"))
    assert row["at"] == pytest.approx(math.sqrt(2 * 4) - 1)  # half of the way from log(1 + 1) to log(1 + 3)
    assert 0 < row["low"] < row["at"] < row["high"] <= 3  # type: ignore[operator]
    assert (row["ask"], row["line"], row["level_accuracy"], row["largest"]) == ("trace", "runs", 0.5, 3)
    for paid, at in (("pays_after", "at"), ("pays_low", "high"), ("pays_high", "low")):
        assert row[paid] == pytest.approx(400 / row[at])  # type: ignore[operator]


def test_the_interval_is_of_95_percent_and_draws_the_programs_of_both_sides_apart() -> None:
    [row] = found(curve("half", "none", "few", "most"))
    points = [CELLS[arm, "io"] for arm in ("none", "few", "most")]
    heights = [resampled_means(p["correct"], p["unit"], seed=0) for p in points]
    level = CELLS["half", "source_only"]
    drawn = crossing([0, 1, 3], heights, resampled_means(level["correct"], level["unit"], seed=1))
    assert [row["low"], row["high"]] == np.quantile(drawn, [0.025, 0.975], method="nearest").tolist()


def test_what_both_have_been_through_is_not_paid_back() -> None:
    [row] = found(curve("half", "none", "few", "most") | {"executed": {}})
    assert row["executed"] is row["pays_after"] is None and row["at"] is not None


def test_a_level_that_is_not_reached_has_no_break_even() -> None:
    [row] = found(curve("all", "none", "few", "most"))
    assert row["at"] is row["high"] is row["pays_after"] is None


def test_a_level_that_the_first_setting_reaches_is_reached_there() -> None:
    [row] = found(curve("nothing", None, "few", "most"))
    assert row["at"] == row["low"] == 1 and row["pays_after"] == 400
    [row] = found(curve("nothing", "none", "few", "most"))
    assert row["at"] == 0 and row["pays_after"] is None
    assert (row["smallest"], row["largest"]) == (0, 3)


def test_what_executed_nothing_pays_at_once() -> None:
    [row] = found(curve("half", "none", "few", "most") | {"executed": {"runs": 0}})
    assert row["pays_after"] == row["pays_low"] == row["pays_high"] == 0


def test_nothing_is_said_of_arms_that_were_not_asked() -> None:
    assert found(curve("nobody", "none", "few", "most")) == []
    assert found(curve("half", "none", None, "nobody")) == []


@given(st.lists(st.floats(0, 1), min_size=5, max_size=5), st.floats(0, 1))
def test_the_crossing_is_the_first(heights: list[float], level: float) -> None:
    [at] = crossing(COUNTS, [np.array([h]) for h in heights], np.array([level]))
    reached = [count for count, height in zip(COUNTS, heights, strict=True) if height >= level]
    assert (at <= reached[0]) if reached else math.isinf(at)
    if reached and reached[0] > 0:
        assert at >= COUNTS[COUNTS.index(reached[0]) - 1] - 1e-9
