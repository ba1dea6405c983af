"""One page over many runs: what each recipe claims, its figure, the verdicts, the command that makes it again.

Contract: reads the recipe.yaml and scores.json of the run directories that it is given and nothing else; runs without scores are named as
such, never left out in silence.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from markupsafe import Markup

from pbb.errors import PbbError
from pbb.report import figures, svg, tables
from pbb.report.dials import dial
from pbb.report.scoreboard import Scoreboard, headline, seeds_phrase

_HERE = Path(__file__).parent


def write_gathered(runs: list[Path], out: Path) -> None:
    """Write one HTML page about the runs, in the order given, with links to their own reports.

    Raises:
        PbbError: there is no run, or a file of one cannot be read.
    """
    import jinja2

    if not runs:
        raise PbbError("report: no runs: start one with `pbb run`")
    room = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = room.get_template("gather.html").render(
        runs=[_run(run, out.parent) for run in runs],
        style=Markup((_HERE / "page.css").read_text(encoding="utf-8")),
    )
    temporary = out.with_name(f".{out.name}.{os.getpid()}")
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
        "link": os.path.relpath(run / "report.html", beside) if (run / "report.html").is_file() else None,
        "folder": os.path.relpath(run, beside),
    }
    if board is None:
        return told
    finding, caveats = headline(board)
    charts = [
        dial(board, curve, curve.get("group", "source_only")) for curve in recipe.get("curves") or []
    ] or [figures.accuracy(board, "source_only")]
    cost = (board.scores.get("cost") or {}).get("seconds")
    return told | {
        "finding": finding,
        "caveats": caveats,
        "seeds": seeds_phrase(board.seeds),
        "cost": tables.duration(cost),
        "claims": tables.hypotheses_table(board),
        "charts": [
            {
                "wide": Markup(svg.inline(chart.wide, f"{told['anchor']}-{i}-wide", chart.label)),
                "narrow": Markup(svg.inline(chart.narrow, f"{told['anchor']}-{i}-narrow", chart.label)),
                "label": chart.label,
            }
            for i, chart in enumerate(charts)
            if chart
        ],
    }
