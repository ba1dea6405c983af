"""The command `pbb compare`: a run against another one, or against what was published of such a run.

`add` puts it beside the others of `pbb` (see `pbb.cli`, whose rules hold here too: slow modules are imported where they are used).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pbb.errors import PbbError
from pbb.options import AsJson, OfRun, Runs


def add(app: typer.Typer) -> None:
    app.command("compare")(compare_runs)


def compare_runs(
    first: OfRun,
    second: Annotated[
        str, typer.Argument(help="Another run of the same data, or a folder of published tables (CSV).")
    ],
    arms: Annotated[
        list[str] | None,
        typer.Option(
            "--arms",
            metavar="ARM=ARM",
            help="An arm of the first run and one of the second, in place of those of the same name; may be given many times.",
        ),
    ] = None,
    out: Runs = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Hold two runs against each other on the same calls, or a run against published tables: which accuracies lie within their intervals."""
    from pbb.runs import find_run

    named = []
    for pair in arms or []:
        mine, equals, theirs = pair.partition("=")
        if not (mine and equals and theirs):
            raise PbbError(f"compare: --arms {pair}: expected ARM=ARM, an arm of each run")
        named.append((mine, theirs))
    run = find_run(first, out)
    try:
        other = find_run(second, out)
    except PbbError:
        if not Path(second).is_dir():
            raise
        if named:
            raise PbbError(
                "compare: --arms: published arms are held against those of the same name: leave it out"
            ) from None
        _published(run, Path(second), as_json)
    else:
        _runs(run, other, named, as_json)


def _runs(first: Path, second: Path, named: list[tuple[str, str]], as_json: bool) -> None:
    import pandas

    from pbb.evaluation.compare import compare
    from pbb.runs import evaluations

    frames = [
        pandas.concat(
            [pandas.read_parquet(folder / "predictions.parquet") for folder in evaluations(run)],
            ignore_index=True,
        )
        for run in (first, second)
    ]
    rows = compare(frames[0], frames[1], named)
    arms_of = [set(map(str, frame["arm"])) for frame in frames]
    for number, alone in enumerate((arms_of[0] - arms_of[1], arms_of[1] - arms_of[0]), 1):
        if alone and not named:
            print(f"pbb: only run {number} has {', '.join(sorted(alone))}", file=sys.stderr)
    apart = (arms_of[0] & arms_of[1]) - {row["arm"] for row in rows}
    if apart and not named:
        print(f"pbb: not asked the same calls in both runs: {', '.join(sorted(apart))}", file=sys.stderr)
    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        from pbb.console import comparison, console

        console().print(comparison(rows))


def _told(scores: Any) -> bool:
    """Whether the content of a scores.json is rows with all that tells what each is of, and a measure with its interval."""
    match scores:
        case {"scores": [*rows]}:
            needed = {"arm", "seed", "group", "split", "ask", "accuracy", "low", "high"}
            return all(isinstance(row, dict) and needed <= row.keys() for row in rows)
    return False


def _published(run: Path, folder: Path, as_json: bool) -> None:
    from pbb.evaluation.published import hold
    from pbb.folder import read_json

    scores = read_json(run / "scores.json")
    if not _told(scores):
        raise PbbError(f"compare: {run} has no scores.json that can be read: let `pbb run` finish first")
    found = hold(scores, folder)
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        from pbb.console import console, outside, publication_line

        console().print(publication_line(found), markup=False, soft_wrap=True)
        if found["outside"]:
            console().print(outside(found["outside"]))
