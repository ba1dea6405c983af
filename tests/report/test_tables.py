"""The tables explain their columns as the scores were computed."""

from __future__ import annotations

from pbb.report.scoreboard import Scoreboard
from pbb.report.tables import break_even_table, paired_table, ratio_table


def test_holms_correction_is_explained_as_it_was_made() -> None:
    """Over the arms of one way of asking: neither over all ways, nor for each arm anew."""
    row = {
        "arm_a": "proactive",
        "arm_b": "mixed",
        "seed": 0,
        "group": "source_only",
        "split": "test",
        "ask": "trace",
    }
    row |= {"difference": 0.5, "low": 0.4, "high": 0.6, "p": 0.01, "p_holm": 0.02, "programs": 40}
    table = paired_table(Scoreboard({"tests": [row]}))
    assert table is not None
    help = {column.label: column.help for column in table.columns}
    assert help["Holm p"] == "corrected within a way of asking"
    assert table.groups == [
        (
            "proactive against mixed",
            [["trace", "w/o IO, held-out inputs", "+50.0", "40.0 to 60.0", "0.010", "0.020", "40"]],
        )
    ]


def test_a_break_even_that_was_not_reached_says_so() -> None:
    row = {
        "curve": "c",
        "line": "runs",
        "ask": "trace",
        "level": "proactive",
        "level_accuracy": 0.5,
        "largest": 30,
    }
    rows = [
        row | {"at": 2.5, "low": 1, "high": None, "executed": 8000, "pays_after": 3200},
        row | {"at": None, "low": 12, "high": None, "executed": 8000, "pays_after": None},
        row | {"at": 0, "low": 0, "high": 1, "executed": 8000, "pays_after": None},
        row | {"at": 3, "low": 2, "high": 4, "executed": None, "pays_after": None},
        row | {"smallest": 1, "at": 1, "low": 1, "high": 2, "executed": None, "pays_after": None},
    ]
    table = break_even_table(Scoreboard({"break_even": rows}))
    assert table is not None
    [(head, lines)] = table.groups
    assert head == "runs, to reach proactive"
    assert [line[2:] for line in lines] == [
        ["2.5", "1.0 to > 30", "8\u202f000", "3200"],
        ["> 30", "12.0 to > 30", "8\u202f000", "< 267"],
        ["0.0", "0.0 to 1.0", "8\u202f000", "never"],
        ["3.0", "2.0 to 4.0", "–", "both have that"],
        ["≤ 1.0", "≤ 1.0 to 2.0", "–", "both have that"],
    ]
    assert break_even_table(Scoreboard({})) is None


def test_a_ratio_that_one_end_does_not_bound_says_so() -> None:
    row = {
        "arm": "proactive",
        "seed": 0,
        "group": "source_only",
        "ask": "recite",
        "control_arm": "skip-exposure",
    }
    row |= {"control": 0.1, "ceiling": 0.2, "ratio": 2.0, "low": 0.4, "high": None}
    table = ratio_table(Scoreboard({"ratios": [row, row | {"low": None, "high": 0.5}]}))
    assert table is not None
    assert [line[-1] for line in table.groups[0][1]] == ["0.40 to ∞", "−∞ to 0.50"]
    assert "accuracy of skip-exposure, in percent" in [column.help for column in table.columns]
