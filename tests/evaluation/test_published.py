"""A run against published tables: each accuracy once, by its interval, and of which programs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from predicted import Row, cell, scored  # noqa: E402

from pbb.errors import PbbError  # noqa: E402
from pbb.evaluation.published import hold  # noqa: E402
from pbb.report import figures  # noqa: E402
from pbb.report.by_shift import by_shift  # noqa: E402
from pbb.report.dials import dial  # noqa: E402
from pbb.report.numbers import csv_files, csv_text  # noqa: E402
from pbb.report.scoreboard import Scoreboard  # noqa: E402

HEAD = "arm,seed,group,split,ask,accuracy,low,high\n"
CURVE = {
    "name": "c",
    "title": "C",
    "below": "c",
    "at": [0, 1],
    "lines": {"one": ["mixed", "proactive"]},
    "beside": [],
}


def run_of(right: int, *seeds: int, programs: int = 40) -> dict[str, Any]:
    """The scores of a run with two arms, of which `proactive` is right about so many programs of a seed."""
    rows: list[Row] = []
    for seed in seeds:
        rows += cell(right, programs, seed=seed) + cell(5, programs, seed=seed, arm="mixed")
        rows += cell(right, programs, seed=seed, ask="recall", split="none")
    return scored(rows)


def publish(folder: Path, scores: dict[str, Any]) -> Path:
    """The tables of a run as the report writes them, those that hold no accuracies too."""
    folder.mkdir(exist_ok=True)
    board = Scoreboard(scores)
    charts = [figures.accuracy(board, "source_only"), figures.by_length(board), figures.by_operation(board)]
    charts += [figures.wrong_source(board), by_shift(board), dial(board, CURVE, "source_only")]
    for chart in charts:
        if chart:
            (folder / f"{chart.name}.csv").write_text(csv_text(chart.table))
    for name, text in csv_files(scores).items():
        (folder / name).write_text(text)
    return folder


def test_a_run_is_within_what_it_published_itself_each_accuracy_once(tmp_path: Path) -> None:
    for seeds in ((0,), (0, 1)):
        scores = run_of(20, *seeds)
        found = hold(scores, publish(tmp_path / str(len(seeds)), scores))
        cells = scores["scores"]
        parts = sum(len(row["by_length"]) + len(row["by_op"]) for row in cells)
        assert found == {
            "published": len(cells) + parts, "held": len(cells) + parts, "within": len(cells) + parts,
            "programs": "the same", "seeds": {"published": list(seeds), "run": list(seeds)}, "outside": [],
        }  # fmt: skip


def test_what_lies_outside_is_told_with_both_values_and_intervals(tmp_path: Path) -> None:
    before, now = run_of(20, 0), run_of(34, 0)
    folder = tmp_path / "tables"
    folder.mkdir()
    chart = figures.accuracy(Scoreboard(before), "source_only")
    assert chart
    (folder / "a.csv").write_text(csv_text(chart.table))
    found = hold(now, folder)
    assert (found["published"], found["held"], found["within"]) == (3, 3, 1)
    told = {row["ask"]: row for row in found["outside"]}
    old = {row["ask"]: row for row in before["scores"] if row["arm"] == "proactive"}
    new = {row["ask"]: row for row in now["scores"] if row["arm"] == "proactive"}
    assert set(told) == {"recite", "recall"}
    assert told["recite"] == {
        "table": "a.csv", "arm": "proactive", "group": "source_only", "split": "test", "ask": "recite", "seed": "0",
        "measure": "accuracy", "published": 0.5, "low": old["recite"]["low"], "high": old["recite"]["high"],
        "run": 0.85, "run_low": new["recite"]["low"], "run_high": new["recite"]["high"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("published", "here", "programs", "held"),
    [
        ((0, 1), (0, 1), "the same", 9),
        ((0, 1), (2, 3), "others", 3),  # what pools the seeds is held against what pools the others
        ((0, 1), (0,), "in part the same", 6),
        ((0,), (1,), "others", 3),
        ((0,), (0, 1), "the same", 3),
        ((0,), (1, 2), "others", 3),
    ],
)
def test_seeds_tell_whether_the_programs_are_the_same(
    published: tuple[int, ...], here: tuple[int, ...], programs: str, held: int, tmp_path: Path
) -> None:
    chart = figures.accuracy(Scoreboard(run_of(20, *published)), "source_only")
    assert chart
    (tmp_path / "a.csv").write_text(csv_text(chart.table))
    found = hold(run_of(20, *here), tmp_path)
    assert (found["programs"], found["held"], found["within"]) == (programs, held, held)
    assert found["published"] == len(chart.table)
    assert found["seeds"] == {"published": list(published), "run": list(here)}


def test_other_best_constant_answers_are_of_other_programs_whatever_the_seeds(tmp_path: Path) -> None:
    scores = run_of(20, 0)
    folder = publish(tmp_path / "tables", scores)
    for row in scores["scores"]:
        row["constant"] = None if row["constant"] is None else row["constant"] / 2
    assert hold(scores, folder)["programs"] == "others"


def test_a_table_without_seed_and_split_is_of_held_out_inputs_and_all_seeds(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "arm,group,ask,accuracy,low,high\nproactive,source_only,recite,0.1,0.05,0.2\nproactive,source_only,recall,0.5,0.4,0.6\n"
    )
    found = hold(run_of(20, 0, 1), tmp_path)
    assert (found["held"], found["within"], found["programs"]) == (2, 1, "not said")
    assert [(row["ask"], row["run"]) for row in found["outside"]] == [("recite", 0.5)]


def test_planted_programs_shifts_and_parts_are_held_too(tmp_path: Path) -> None:
    rows = [r | {"planted": "17", "planted_correct": True} for r in cell(0, 20, arm="wrong-source")]
    shifts = [
        {
            "arm": "a",
            "group": "io",
            "ask": "trace",
            "shift": s,
            "accuracy": 0.5,
            "low": 0.4,
            "high": 0.6,
            "n": 9,
        }
        for s in (0, 1)
    ]
    scores = scored(rows) | {"shifts": shifts}
    folder = publish(tmp_path / "tables", scores)
    assert (folder / "by-shift.csv").exists() and (folder / "wrong-source.csv").exists()
    for path in folder.glob("*.csv"):
        path.write_text(path.read_text().replace("a,io,trace,0,0.5,0.4,0.6", "a,io,trace,0,0.1,0.0,0.2"))
    (row,) = hold(scores, folder)["outside"]
    assert (row["table"], row["shift"], row["published"], row["run"]) == ("by-shift.csv", "0", 0.1, 0.5)
    forgotten = json.loads(json.dumps(scores))
    forgotten["scores"][0] |= {"planted": 0.2, "by_length": [], "by_op": []}
    found = hold(forgotten, folder)
    assert {row["measure"] for row in found["outside"]} == {"accuracy", "planted"}
    # two shifts, the cell itself and its planted programs; its length is not in the run
    assert (found["held"], found["published"]) == (4, 5)


def test_tables_that_contradict_each_other_are_both_held(tmp_path: Path) -> None:
    for name, value in (("a", 0.5), ("b", 0.1)):
        (tmp_path / f"{name}.csv").write_text(
            f"{HEAD}proactive,0,source_only,test,recite,{value},{value - 0.1},{value + 0.1}\n"
        )
    found = hold(run_of(20, 0), tmp_path)
    assert (found["published"], found["within"], [row["table"] for row in found["outside"]]) == (
        2,
        1,
        ["b.csv"],
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "neither a run nor a folder of published tables"),
        (
            "arm_a,arm_b,difference,low,high\na,b,0.1,0,0.2\n",
            "neither a run nor a folder of published tables",
        ),
        (f"{HEAD}", "neither a run nor a folder of published tables"),
        (f"{HEAD}nobody,0,source_only,test,recite,0.5,0.4,0.6\n", "no published accuracy is of an arm"),
        (f"{HEAD}proactive,0,io,test,recite,0.5,0.4,0.6\n", "no published accuracy is of an arm"),
        (f"{HEAD}proactive,0,source_only,test,recite,,,\n", "no published accuracy is of an arm"),
        (
            f"{HEAD}proactive,0,source_only,test,recite,half,0.4,0.6\n",
            "a.csv:2: accuracy is 'half', and no share",
        ),
        (f"{HEAD}proactive,0,source_only,test,recite,0.5,,0.6\n", "a.csv:2: low is '', and no share"),
        (f"{HEAD}proactive,0,source_only,test,recite,0.5,0.4,nan\n", "a.csv:2: high is 'nan', and no share"),
        (
            f"{HEAD}proactive,0,source_only,test,recite,91.9,89,93\n",
            "a.csv:2: accuracy is '91.9', and no share",
        ),
        (f"{HEAD}proactive,first,source_only,test,recite,0.5,0.4,0.6\n", "a.csv:2: seed is 'first'"),
        (f"{HEAD}proactive,{'9' * 5000},source_only,test,recite,0.5,0.4,0.6\n", "a.csv:2: seed is '999"),
        (f"{HEAD}proactive,0,source_only\n", "a.csv:2: not as many values as columns"),
        (
            f"{HEAD}proactive,0,source_only,test,recite,0.5,0.4,0.6,7\n",
            "a.csv:2: not as many values as columns",
        ),
        ("arm,\udcff", "a.csv cannot be read"),
        (f"{HEAD}{'x' * 200_000}\n", "a.csv cannot be read: field larger"),
    ],
)
def test_what_cannot_be_held_is_refused(text: str | None, words: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "a.csv").write_text(text, errors="surrogateescape")
    with pytest.raises(PbbError) as caught:
        hold(run_of(20, 0), tmp_path)
    assert words in str(caught.value) and str(tmp_path) in str(caught.value)
