"""Curves of a recipe: every point of the drawing stands in the CSV, at the setting that the recipe gives it."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_run import Run

from pbb.errors import PbbError
from pbb.recipe_file import load
from pbb.report.dials import dial
from pbb.report.page import write_report
from pbb.report.scoreboard import Scoreboard

CURVE = {
    "name": "exposures",
    "title": "Exposures",
    "below": "documents a program",
    "at": [0, 2.5],
    "lines": {"one": ["untrained", "proactive"], "other": ["untrained", "mixed"]},
    "beside": ["stage-1-only"],
}


def test_every_point_is_the_score_of_its_arm(shared_run: Run) -> None:
    board = Scoreboard(shared_run.content())
    chart = dial(board, CURVE, "source_only")
    assert chart is not None and chart.name == "exposures-source_only"
    for line, at, arm in (
        ("one", 0, "untrained"), ("one", 2.5, "proactive"), ("other", 2.5, "mixed"), ("", None, "stage-1-only"),
    ):  # fmt: skip
        rows = {
            (r["ask"], r["seed"]): r["accuracy"]
            for r in chart.table
            if (r["line"], r["at"], r["arm"]) == (line, at, arm)
        }
        assert rows == {
            (r["ask"], r["seed"]): r["accuracy"]
            for r in board.rows
            if r["arm"] == arm and r["group"] == "source_only" and r["split"] != "train"
        }
    assert chart.wide != chart.narrow and ">2.5<" in chart.wide


def test_arms_that_were_not_scored_leave_no_figure(shared_run: Run) -> None:
    absent = CURVE | {"lines": {"one": ["a", "b"]}}
    assert dial(Scoreboard(shared_run.content()), absent, "source_only") is None


def test_the_page_shows_the_recipes_curves(make_run: Callable[..., Run]) -> None:
    run = make_run(seeds=(0,), count=4, calls=1)
    run.recipe["curves"] = [CURVE]
    write_report(**vars(run))
    page = (run.out / "report.html").read_text()
    assert '<section id="curve-exposures">' in page and 'href="#curve-exposures"' in page
    with (run.out / "figures" / "exposures-io.csv").open(newline="") as file:
        assert {row["at"] for row in csv.DictReader(file)} == {"0", "2.5", ""}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lines": {"one": ["untrained"]}}, "lines.one: give an arm for each of the 2 settings"),
        ({"beside": ["nobody"]}, "curves.exposures: no arm 'nobody'"),
        ({"name": "Not a name"}, "curves.0.name"),
    ],
)
def test_a_curve_of_a_recipe_is_checked(tmp_path: Path, change: dict[str, object], words: str) -> None:
    import yaml

    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump({"extends": "arithmetic", "curves": [CURVE | change]}))
    with pytest.raises(PbbError) as caught:
        load(str(path))
    assert words in str(caught.value) and str(path) in str(caught.value)
    path.write_text(yaml.safe_dump({"extends": "arithmetic", "curves": [CURVE]}))
    assert load(str(path)).curves[0].at == [0, 2.5]
    assert "curves" not in load("arithmetic").resolved()


def test_a_curve_of_one_group_has_levels_of_another_and_places_without_an_arm(shared_run: Run) -> None:
    board = Scoreboard(shared_run.content())
    curve = CURVE | {
        "at": ["none", "all"],
        "group": "io",
        "beside_group": "source_only",
        "lines": {"one": [None, "proactive"]},
    }
    assert dial(board, curve, "source_only") is None
    chart = dial(board, curve, "io")
    assert chart is not None and ">none<" in chart.wide and "w/o IO" in chart.wide
    groups = {
        (row["line"], row["at"]): {r["accuracy"] for r in chart.table if r["line"] == row["line"]}
        for row in chart.table
    }
    assert set(groups) == {("one", "all"), ("", None)}
    for line, arm, group in (("one", "proactive", "io"), ("", "stage-1-only", "source_only")):
        assert {r["accuracy"] for r in chart.table if r["line"] == line} == {
            r["accuracy"]
            for r in board.rows
            if r["arm"] == arm and r["group"] == group and r["split"] != "train"
        }


def test_the_page_says_whose_programs_a_curve_is_of(make_run: Callable[..., Run]) -> None:
    run = make_run(seeds=(0,), count=4, calls=1)
    for group, whose, other in (("io", "w/ IO", "w/o IO"), ("source_only", "w/o IO", "w/ IO")):
        run.recipe["curves"] = [CURVE | {"group": group}]
        write_report(**vars(run))
        page = (
            (run.out / "report.html")
            .read_text()
            .split('<section id="curve-exposures">')[1]
            .split("</section>")[0]
        )
        assert f"Accuracy on {whose} programs" in page and f"Accuracy on {other} programs" not in page


def test_the_differences_of_a_curve_are_folded_below_its_figure_and_lie_beside_it(
    make_run: Callable[..., Run],
) -> None:
    run = make_run(seeds=(0,), count=4, calls=1)
    run.recipe["curves"] = [CURVE]
    write_report(**vars(run))  # as older scores are, without them
    page = (run.out / "report.html").read_text()
    assert '<section id="curve-exposures">' in page and "Differences between its arms" not in page
    assert not list(run.out.glob("figures/*-differences.csv"))
    same = {
        "curve": "exposures",
        "arm_a": "proactive",
        "arm_b": "untrained",
        "low": 0.5,
        "high": 0.75,
        "programs": 4,
    }
    rows = [
        same | {"group": group, "ask": ask, "difference": d, "p": 0.0004, "p_holm": 0.0123}
        for group, ask, d in (
            ("io", "trace", 0.625),
            ("io", "recite", 0.125),
            ("source_only", "trace", -0.25),
        )
    ]
    run.rewrite(run.content() | {"curve_tests": rows})
    write_report(**vars(run))
    told = (
        (run.out / "report.html")
        .read_text()
        .split('<section id="curve-exposures">')[1]
        .split("</section>")[0]
    )
    source_only, io = (part.split("</details>")[0] for part in told.split("<details>")[1:])
    assert "−25.0" in source_only and "+62.5" not in source_only
    for words in ("proactive against untrained", "+62.5", "+12.5", "50.0 to 75.0", "&lt;0.001", "0.012"):
        assert words in io, words
    assert 'href="figures/exposures-io-differences.csv"' in io
    with (run.out / "figures" / "exposures-io-differences.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [(row["ask"], float(row["difference"])) for row in read] == [("trace", 0.625), ("recite", 0.125)]
