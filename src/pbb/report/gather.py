"""One page over many runs: what each recipe claims, its figures, the verdicts, the command that makes it again, the way to numbers and predictions.

Contract: reads the recipe.yaml and scores.json of the run directories that it is given and nothing else; runs without scores are named as
such, never left out in silence. What the runs hold besides (CSV files, figures, their own pages) is linked to where it lies, as a run's page links to
its files: the page goes with its folder of runs.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from pbb.errors import PbbError
from pbb.report import figures, svg, tables
from pbb.report.dials import dial
from pbb.report.figures import Chart
from pbb.report.html import HERE, template
from pbb.report.scoreboard import GROUP_LABELS, Scoreboard, headline, seeds_phrase

NUMBERS = ("figures/*.csv", "tables/*.csv")


def write_gathered(runs: Mapping[Path, str | None], out: Path) -> None:
    """Write one HTML page about the runs, in the order given, with links to their own reports.

    runs: each with the command that makes it again, None where it is not known.

    Raises:
        PbbError: there is no run, or a file of one cannot be read.
    """
    if not runs:
        raise PbbError("report: no runs: start one with `pbb run`")
    page = template("gather.html").render(
        runs=[_run(run, out.parent) | {"command": command} for run, command in runs.items()],
        style=Markup((HERE / "page.css").read_text(encoding="utf-8")),
    )
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    temporary.write_text(page, encoding="utf-8")
    os.replace(temporary, out)


def _run(run: Path, beside: Path) -> dict[str, Any]:
    """What the page says of one run; `beside`: the folder that the page stands in, for links."""
    import yaml

    try:
        return _told(run, beside, yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8")))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError) as e:
        raise PbbError(f"report: {run} cannot be read: {' '.join(repr(e).split())}: run it again") from e


def _told(run: Path, beside: Path, recipe: dict[str, Any]) -> dict[str, Any]:
    path = run / "scores.json"
    board = Scoreboard(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None
    name, model = str(recipe.get("name") or run.parent.name), str(recipe.get("model") or "base")
    told: dict[str, Any] = {
        "name": name,
        "anchor": re.sub(r"[^A-Za-z0-9._-]", "-", f"{name}-{run.name}"),
        "title": f"{recipe.get('title') or name}" + (f" ({model})" if model != "base" else ""),
        "model": model,
        "scored": board is not None,
        "link": _link(run / "report.html", beside),
        "folder": os.path.relpath(run, beside),
    }
    if board is None:
        return told
    finding, caveats = headline(board)
    cost = (board.scores.get("cost") or {}).get("seconds")
    return told | {
        "finding": finding,
        "caveats": caveats,
        "seeds": seeds_phrase(board.seeds),
        "cost": tables.duration(cost),
        "claims": tables.hypotheses_table(board),
        "numbers": [(file.stem, _link(file, beside)) for kind in NUMBERS for file in sorted(run.glob(kind))],
        "charts": [
            {
                "wide": Markup(svg.inline(chart.wide, f"{told['anchor']}-{i}-wide", chart.label)),
                "narrow": Markup(svg.inline(chart.narrow, f"{told['anchor']}-{i}-narrow", chart.label)),
                "label": chart.label,
                "files": [
                    (word, link)
                    for word, ending in (("numbers", "csv"), ("figure", "svg"))
                    if (link := _link(run / "figures" / f"{chart.name}.{ending}", beside))
                ],
            }
            for i, chart in enumerate(_charts(board, recipe))
        ],
    }


def _charts(board: Scoreboard, recipe: dict[str, Any]) -> list[Chart]:
    """The curves of the recipe, of every group that they are of; where it has none, accuracy by arm."""
    found = [dial(board, curve, group) for curve in recipe.get("curves") or [] for group in GROUP_LABELS] or [
        figures.accuracy(board, group) for group in GROUP_LABELS
    ]
    return [chart for chart in found if chart]


def _link(file: Path, beside: Path) -> str | None:
    """The address of a file from the folder that the page stands in; None where there is no such file."""
    return quote(os.path.relpath(file, beside)) if file.is_file() else None
