"""Accuracy by shift: every line is an arm's own, and the arm in focus stands on what it has only read."""

from __future__ import annotations

from collections.abc import Callable

from fake_run import Run

from pbb.report.by_shift import by_shift
from pbb.report.page import write_report
from pbb.report.scoreboard import Scoreboard


def shifts(*arms: tuple[str, str]) -> list[dict[str, object]]:
    return [
        {
            "arm": arm,
            "group": group,
            "ask": "trace",
            "shift": k,
            "accuracy": k / 10,
            "low": 0.0,
            "high": 1.0,
            "n": 5,
        }
        for arm, group in arms
        for k in (1, 2, 3)
    ]


def test_arms_that_were_shown_executions_stand_beside_source_alone(make_run: Callable[..., Run]) -> None:
    run = make_run(seeds=(0,), count=4, calls=1)
    content = run.content() | {
        "shifts": shifts(("mixed", "io"), ("proactive", "io"), ("proactive", "source_only"))
    }
    chart = by_shift(Scoreboard(content))
    assert chart is not None and chart.table == content["shifts"]
    assert "mixed, w/ IO" in chart.wide and "proactive, w/o IO: source alone" in chart.wide
    assert "proactive, w/ IO" not in chart.wide and "untrained" not in chart.wide
    run.rewrite(content)
    write_report(**vars(run))
    assert '<section id="shift">' in (run.out / "report.html").read_text()
    assert (run.out / "figures" / "by-shift.csv").read_text().startswith("arm,group,ask,shift,accuracy")


def test_scores_without_shifts_leave_no_figure(shared_run: Run) -> None:
    assert by_shift(Scoreboard(shared_run.content())) is None


def test_questions_with_the_source_in_the_prompt_alone_leave_no_figure(shared_run: Run) -> None:
    rows = [row | {"ask": "in-context-trace"} for row in shifts(("proactive", "source_only"))]
    assert by_shift(Scoreboard(shared_run.content() | {"shifts": rows})) is None
