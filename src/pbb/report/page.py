"""The page that a run leaves behind: finding, evidence, doubts, cost, and the predictions themselves.

The order is that of a sceptical reader: what is claimed and how to make it again, the figure that carries the
claim beside guessing and the ceiling, the control that could sink it, tables, failure signatures, cost, then
the texts that the model wrote.
Contract: `report.html` is one file that asks the network for nothing (its own policy forbids it), escapes
every text that a model or a program wrote, and has the same bytes for the same input; `figures/` holds each
figure as SVG and CSV, `tables/` all that was measured, compared and decided.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from markupsafe import Markup

from pbb.errors import PbbError
from pbb.report import figures, samples, svg, tables
from pbb.report.by_shift import by_shift
from pbb.report.curves import learning_curves
from pbb.report.dials import dial
from pbb.report.figures import Chart
from pbb.report.html import HERE, template
from pbb.report.numbers import csv_files, csv_text, curve_files
from pbb.report.rewards import Odd, reward_curves, strangest, unrewarded
from pbb.report.scoreboard import (
    ASK_ORDER,
    GROUP_LABELS,
    Scoreboard,
    arm_label,
    headline,
    seeds_phrase,
)

# The page's one script by its digest, its own styles, nothing else from anywhere.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{}'; base-uri 'none';"
    " form-action 'none'"
)
_VERDICTS = ("seen", "cannot tell", "not seen")


def write_report(
    scores: Path,
    predictions: list[Path],
    training: dict[str, Path],
    recipe: dict[str, Any],
    environment: dict[str, Any],
    out: Path,
    command: str,
) -> None:
    """Write `out`/report.html, `out`/figures/*.{svg,csv} and `out`/tables/*.csv.

    scores: scores.json; predictions: one parquet file an arm and seed; training: "learn + read, seed 0" ->
    metrics.jsonl; recipe: the resolved recipe (its `title` and `about` head the page); command: what makes
    the run again. Arms, ways of asking, curves and predictions that are missing leave out their part of the
    page. Raises PbbError where a file cannot be read.
    """
    try:
        board = Scoreboard(json.loads(scores.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise PbbError(f"scores cannot be read: {scores}: {error}: score the run again") from error
    charts = {
        "source_only": figures.accuracy(board, "source_only"),
        "io": figures.accuracy(board, "io"),
        "composed": figures.accuracy(board, "source_only_composed"),
        "wrong": figures.wrong_source(board),
        "length": figures.by_length(board),
        "operation": figures.by_operation(board),
        "shift": by_shift(board),
        **{
            f"dial {curve['name']} {group}": dial(board, curve, group)
            for curve in recipe.get("curves") or []
            for group in GROUP_LABELS
        },
        "curves": learning_curves(training),
        "rewards": reward_curves(training),
        "cost": figures.cost(board.scores),
    }
    folder = out / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    for chart in charts.values():
        if chart is not None:
            (folder / f"{chart.name}.svg").write_text(svg.standalone(chart.wide), encoding="utf-8")
            (folder / f"{chart.name}.csv").write_text(csv_text(chart.table), encoding="utf-8", newline="")
    (out / "tables").mkdir(exist_ok=True)
    for name, text in curve_files(board.scores).items():
        (folder / name).write_text(text, encoding="utf-8", newline="")
    for name, text in csv_files(board.scores).items():
        (out / "tables" / name).write_text(text, encoding="utf-8", newline="")
    odd = strangest(training)
    page = render(board, charts, samples.embed(predictions), odd, recipe, environment, command)
    (out / "report.html").write_text(page, encoding="utf-8")


def render(
    board: Scoreboard,
    charts: dict[str, Chart | None],
    shown: samples.Shown,
    odd: list[Odd],
    recipe: dict[str, Any],
    environment: dict[str, Any],
    command: str,
) -> str:
    """The HTML of the page."""
    script = (HERE / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    finding, caveats = headline(board)
    main, rest = tables.score_tables(board)
    name = str(board.scores.get("recipe") or recipe.get("name") or "run")
    context: dict[str, Any] = {
        "title": str(recipe.get("title") or name),
        "name": name,
        "about": _paragraphs(recipe.get("about")),
        "command": command,
        "seeds": seeds_phrase(board.seeds),
        "one_seed": len(board.seeds) == 1,
        "seed_count": len(board.seeds),
        "finding": finding,
        "caveats": caveats,
        "charts": {key: _figure(chart) if chart else None for key, chart in charts.items()},
        "dials": [
            (
                curve,
                [
                    (label, _figure(c), tables.curve_table(board, curve["name"], group))
                    for group, label in GROUP_LABELS.items()
                    if (c := charts.get(f"dial {curve['name']} {group}"))
                ],
            )
            for curve in recipe.get("curves") or []
        ],
        "odd": odd,
        "unrewarded": unrewarded(charts["rewards"]),
        "focus": arm_label(board.focus) if board.focus else None,
        "main_arm": arm_label(board.scores.get("main_arm") or ""),
        "score_tables": main,
        "other_tables": rest,
        "ratios": tables.ratio_table(board),
        "tests": tables.paired_table(board),
        "compositions": tables.composition_table(board),
        "languages": tables.language_table(board),
        "break_evens": tables.break_even_table(board),
        "hypotheses": tables.hypotheses_table(board),
        "arms": _arms(board, recipe),
        "diagnosis": sorted(board.part("diagnosis"), key=_gravity),
        "cost": _cost(board.scores),
        "cost_table": tables.cost_table(board.scores),
        "shown": shown,
        "count": tables.count,
        "data": Markup(shown.json),  # escaped for a script element by samples._pack
        "labels": Markup(
            json.dumps({"groups": GROUP_LABELS, "orders": {"arm": board.arms(), "ask": ASK_ORDER}}).replace(
                "<", "\\u003c"
            )
        ),
        "recipe": _yaml(recipe),
        "environment": _flatten(environment),
        "style": Markup((HERE / "page.css").read_text(encoding="utf-8")),
        "script": Markup(script),
        "policy": _POLICY.format(digest),
    }
    return template("template.html").render(context)


def _figure(chart: Chart) -> dict[str, Any]:
    return {
        "name": chart.name,
        "label": chart.label,
        "wide": Markup(svg.inline(chart.wide, f"{chart.name}-wide", chart.label)),
        "narrow": Markup(svg.inline(chart.narrow, f"{chart.name}-narrow", chart.label)),
    }


def _paragraphs(text: object) -> list[str]:
    return [" ".join(part.split()) for part in str(text or "").split("\n\n") if part.strip()]


def _arms(board: Scoreboard, recipe: dict[str, Any]) -> list[tuple[str, str]]:
    """What each arm is, from the recipe: its stages and what it is for; empty where it does not say."""
    known = recipe.get("arms")
    told = []
    for name in board.arms():
        arm = known.get(name) if isinstance(known, dict) else None
        if isinstance(arm, dict):
            stages = ", then ".join(map(str, arm.get("stages") or [])) or "no training"
            about = str(arm.get("about") or "").strip()
            told.append((arm_label(name), f"{stages}: {about}" if about else stages))
    return told


def _gravity(row: dict[str, Any]) -> int:
    return _VERDICTS.index(row["verdict"]) if row["verdict"] in _VERDICTS else len(_VERDICTS)


def _cost(scores: dict[str, Any]) -> list[tuple[str, str]]:
    cost = scores.get("cost") or {}
    steps = cost.get("steps") or []
    optimizer = sum(step.get("optimizer_steps") or 0 for step in steps)
    facts = [
        (tables.duration(cost.get("seconds")), "of work"),
        (tables.count(cost.get("tokens")), "tokens"),
        (tables.count(optimizer or None), "optimizer steps"),
        (tables.size(cost.get("peak_bytes")), "peak memory"),
    ]
    return [fact for fact in facts if fact[0] != tables.EMPTY]


def _yaml(recipe: dict[str, Any]) -> str:
    import yaml

    return str(
        yaml.safe_dump(
            json.loads(json.dumps(recipe, default=str)), sort_keys=False, allow_unicode=True, width=100
        )
    )


def _flatten(value: dict[Any, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested facts as dotted names and texts."""
    rows: list[tuple[str, str]] = []
    for key, item in value.items():
        if isinstance(item, dict):
            rows += _flatten(item, f"{prefix}{key}.")
        elif isinstance(item, list) and any(isinstance(each, dict) for each in item):
            rows += _flatten(dict(enumerate(item, 1)), f"{prefix}{key}.")
        else:
            text = ", ".join(map(str, item)) if isinstance(item, list | tuple) else str(item)
            rows.append((f"{prefix}{key}", text))
    return rows
