"""The figures: their CSV files hold the numbers of scores.json to the last digit, and the drawings are
well-formed.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from fake_run import ARMS, Run

from pbb.errors import PbbError
from pbb.report import figures, svg
from pbb.report.curves import learning_curves, read, smooth
from pbb.report.scoreboard import Scoreboard


def table(run: Run, name: str) -> list[dict[str, str]]:
    with (run.out / "figures" / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def same(text: str, value: Any) -> bool:
    if value is None:
        return text == ""
    return math.isclose(float(text), value, rel_tol=0) if isinstance(value, float) else text == str(value)


@pytest.mark.parametrize("group", ["source_only", "io"])
def test_accuracy_csv_is_the_scores(shared_run: Run, group: str) -> None:
    wanted = {
        (row["arm"], str(row["seed"]), row["split"], row["ask"]): row
        for row in shared_run.content()["scores"]
        if row["group"] == group and row["split"] != "train"
    }
    rows = table(shared_run, f"accuracy-{group}")
    assert len(rows) == len(wanted) == len(ARMS) * 6 * 4
    for row in rows:
        truth = wanted[row["arm"], row["seed"], row["split"], row["ask"]]
        assert all(same(text, truth[name]) for name, text in row.items())


def test_parts_csv_are_the_scores(shared_run: Run) -> None:
    for name, part, key in (("by-length", "by_length", "length"), ("by-operation", "by_op", "op")):
        wanted = {
            (row["arm"], str(row["seed"]), row["ask"], str(item[key])): item["accuracy"]
            for row in shared_run.content()["scores"]
            if row["group"] == "source_only" and row["split"] != "train"
            for item in row[part]
        }
        found = {
            (row["arm"], row["seed"], row["ask"], row[key]): row["accuracy"]
            for row in table(shared_run, name)
        }
        assert found.keys() == wanted.keys()
        assert all(same(found[cell], wanted[cell]) for cell in wanted)


def test_wrong_source_csv_has_both_programs(shared_run: Run) -> None:
    rows = {row["ask"]: row for row in table(shared_run, "wrong-source")}
    assert set(rows) == {"direct", "trace", "recite", "recall"}
    assert float(rows["recite"]["planted"]) > float(rows["recite"]["accuracy"])


def test_curves_csv_has_every_step_once(shared_run: Run) -> None:
    rows = table(shared_run, "learning-curves")
    paths = set(shared_run.training.values())
    assert len(rows) == 60 * len(paths) < 60 * len(shared_run.training)
    assert any(" = " in row["stage"] for row in rows)


def test_cost_shares_sum_to_one(shared_run: Run) -> None:
    assert math.isclose(sum(float(row["share"]) for row in table(shared_run, "cost")), 1.0)


def test_files_are_well_formed_and_undated(shared_run: Run) -> None:
    files = sorted((shared_run.out / "figures").glob("*.svg"))
    assert len(files) == 7
    for file in files:
        text = file.read_text(encoding="utf-8")
        ElementTree.fromstring(text)
        assert "dc:date" not in text and "var(--" not in text


def test_inline_drawings_take_every_colour_from_the_page(shared_run: Run) -> None:
    chart = figures.accuracy(Scoreboard(shared_run.content()), "source_only")
    assert chart is not None
    text = svg.inline(chart.wide, "x", "words")
    assert not any(colour in text for colour in svg.VARIABLES)
    assert "var(--ink)" in text and "xmlns" not in text and "DejaVu" not in text
    assert svg.BLUE in chart.wide  # so the assertion above can fail


def test_single_seeds_are_drawn_only_beside_a_pooled_row(
    shared_run: Run, make_run: Callable[..., Run]
) -> None:
    several = figures.accuracy(Scoreboard(shared_run.content()), "source_only")
    one = figures.accuracy(Scoreboard(make_run(arms=("proactive",), count=2).content()), "source_only")
    assert several is not None and one is not None
    assert "single seeds" in several.wide and "single seeds" not in one.wide


def test_empty_boards_have_no_figures() -> None:
    board = Scoreboard({"scores": []})
    assert figures.accuracy(board, "io") is None
    assert figures.wrong_source(board) is figures.by_length(board) is figures.by_operation(board) is None
    assert figures.cost({}) is None
    assert learning_curves({}) is None


def test_a_last_line_cut_off_is_left_out_but_a_broken_one_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    good = json.dumps({"step": 1, "loss": 2.0})
    path.write_text(f"{good}\n{json.dumps({'step': 2, 'loss': float('nan')})}\n" + '{"step": 3, "lo')
    assert read(path) == [{"step": 1, "loss": 2.0}]
    path.write_text("{\n" + good)
    with pytest.raises(PbbError, match="line 1"):
        read(path)
    with pytest.raises(PbbError, match="cannot be read"):
        read(tmp_path / "absent.jsonl")


def test_seeds_of_a_stage_share_a_panel(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(json.dumps({"step": 1, "loss": 2.0}) + "\n")
    labels = ("learn, seed 0", "learn + read, seed 0", "learn, seed 1", "learn + read, seed 1")
    for number, _ in enumerate(labels):
        (tmp_path / f"{number}.jsonl").write_bytes(path.read_bytes())
    chart = learning_curves({label: tmp_path / f"{number}.jsonl" for number, label in enumerate(labels)})
    assert chart is not None
    assert [row["stage"] for row in chart.table] == list(labels)
    assert chart.wide.count(">learn</text>") == chart.wide.count(">read</text>") == 1
    assert chart.wide.count(">after learn</text>") == 1


def test_losses_of_rewards_have_no_panel_and_bend_no_axis(tmp_path: Path) -> None:
    losses = {"learn, seed 0": (2.5, 0.4), "read + run, seed 0": (-0.03, 1e-4)}
    for number, (first, second) in enumerate(losses.values()):
        rows = [{"step": 1, "loss": first}, {"step": 2, "loss": second}]
        rows = [row | {"reward": 0.5} for row in rows] if number else rows
        (tmp_path / f"{number}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    chart = learning_curves({label: tmp_path / f"{number}.jsonl" for number, label in enumerate(losses)})
    assert chart is not None and [row["loss"] for row in chart.table] == [2.5, 0.4]
    assert ">run</text>" not in chart.wide and ">1e-09</text>" not in chart.wide


def test_more_stages_than_panels_are_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "0.jsonl"
    path.write_text(json.dumps({"step": 1, "loss": 2.0}) + "\n")
    for number in range(1, 30):
        (tmp_path / f"{number}.jsonl").write_bytes(path.read_bytes())
    few, many = (
        learning_curves({f"s{number}, seed 0": tmp_path / f"{number}.jsonl" for number in range(count)})
        for count in (20, 30)
    )
    assert few is not None and " of " not in few.label
    assert many is not None and "24 of 30 stages" in many.label and len(many.table) == 30


def test_smoothing_keeps_constants_and_length() -> None:
    assert smooth([2.0] * 9, 5) == [2.0] * 9
    assert smooth([0.0, 3.0, 0.0], 3) == [1.5, 1.0, 1.5]


def test_lines_that_would_look_alike_are_left_to_the_numbers(make_run: Callable[..., Run]) -> None:
    others = tuple(f"variant-{i}" for i in range(4))
    board = Scoreboard(make_run(arms=("proactive", "untrained", *others), count=2, calls=1).content())
    crowded = figures.by_length(board)
    assert crowded is not None and "variant" not in crowded.wide and "proactive" in crowded.wide
    assert {row["arm"] for row in crowded.table} == {"proactive", "untrained", *others}
    board = Scoreboard(make_run(arms=("proactive", *others[:3]), count=2, calls=1).content())
    assert "variant-2" in figures.by_length(board).wide  # type: ignore[union-attr]
