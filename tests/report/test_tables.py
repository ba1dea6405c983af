"""The tables explain their columns as the scores were computed."""

from __future__ import annotations

from typing import Any

from pbb.report.scoreboard import Scoreboard
from pbb.report.tables import (
    Table,
    break_even_table,
    composition_table,
    cost_table,
    hypotheses_table,
    paired_table,
    ratio_table,
    score_tables,
)

ROW = {
    "arm": "proactive", "seed": 0, "group": "source_only", "split": "test", "ask": "trace", "low": 0.01, "high": 0.99, "programs": 7
}  # fmt: skip


def line(table: Table | None) -> dict[str, str]:
    """The one line of a table, by the labels of its columns."""
    assert table is not None
    [(_, [cells])] = table.groups
    return dict(zip([column.label for column in table.columns], cells, strict=True))


def test_every_column_of_the_scores_is_the_figure_that_it_names() -> None:
    figures: dict[str, Any] = {
        "accuracy": 0.05, "constant": 0.1, "recall": 0.15, "recall_form": 0.2, "given_recall": 0.25, "planted": 0.3, "lenient": 0.35,
        "parse_failures": 0.4, "unfinished": 0.45, "constant_low": 0.08, "constant_high": 0.12, "n": 70,
    }  # fmt: skip
    sampled = [{"k": k, "accuracy": k / 10, "low": 0.05, "high": 0.9} for k in (1, 4)]
    figures["pass_at_k"] = sampled
    [table], rest = score_tables(Scoreboard({"scores": [ROW | figures]}))
    assert rest == [] and table.caption == "w/o IO programs, held-out inputs"
    assert [head for head, _ in table.groups] == ["proactive"]
    assert line(table) == {
        "asked": "trace", "accuracy": "5.0", "95 % interval": "1.0 to 99.0", "constant": "10.0", "recall": "15.0", "form": "20.0",
        "given recall": "25.0", "planted": "30.0", "lenient": "35.0", "no answer": "40.0", "cut off": "45.0",
        "pass@1": "10.0 (5.0 to 90.0)", "pass@4": "40.0 (5.0 to 90.0)", "n": "70", "programs": "7",
    }  # fmt: skip


def test_seeds_together_on_held_out_inputs_stand_first_and_all_else_apart() -> None:
    kinds = [(seed, split) for seed in (0, 1, "all") for split in ("test", "train")]
    rows = [ROW | {"seed": seed, "split": split, "n": n} for n, (seed, split) in enumerate(kinds)]
    [table], [other] = score_tables(Scoreboard({"scores": rows}))
    assert line(table)["n"] == "4"
    assert {head: [cells[-2] for cells in part] for head, part in other.groups} == {
        "proactive, held-out inputs": ["0", "2"],
        "proactive, training inputs": ["5", "1", "3"],
    }


def test_columns_of_ratios_and_of_composites_are_the_figures_that_they_name() -> None:
    ratio = line(ratio_table(Scoreboard({"ratios": [ROW | {"control": 0.1, "ceiling": 0.9, "ratio": 0.5}]})))
    assert (ratio["control"], ratio["ceiling"], ratio["PBB ratio"]) == ("10.0", "90.0", "0.50")
    parts = {"first": 0.8, "second": 0.5, "expected": 0.4, "accuracy": 0.3, "difference": -0.1}
    of = line(composition_table(Scoreboard({"compositions": [ROW | parts], "scores": [ROW]})))
    assert (of["first part"], of["second part"], of["expected"]) == ("80.0", "50.0", "40.0")
    assert (of["composite"], of["difference"]) == ("30.0", "−10.0")


def test_a_claim_is_shown_with_the_p_that_decides_it() -> None:
    claim = ROW | {"says": "so", "above": "mixed", "verdict": "holds", "difference": 0.1, "p": 0.02}
    for p, said in ((0.0004, "<0.001"), (0.04, "0.040")):
        assert line(hypotheses_table(Scoreboard({"hypotheses": [claim | {"p_holm": p}]})))["Holm p"] == said


def test_the_cost_of_a_step_is_in_units_of_its_size() -> None:
    step = {"kind": "train", "label": "t", "seconds": 600, "peak_bytes": 3 * 2**20}
    of = line(cost_table({"cost": {"steps": [step]}}))
    assert (of["time"], of["peak memory"]) == ("10.0 min", "3 MiB")


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
