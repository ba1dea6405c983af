"""Options that several commands of `pbb` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RecipeName = Annotated[
    str, typer.Argument(help="Name of a recipe, see `pbb recipes`, or path of a recipe file.")
]
Model = Annotated[
    str | None,
    typer.Option(help="Model to start from: a name, a folder or a hub id, in place of the recipe's."),
]
Seeds = Annotated[int | None, typer.Option(min=1, help="Number of seeds, in place of the recipe's.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="A value in place of the recipe's; may be given many times."
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON, and nothing else on standard output.")
]
Runs = Annotated[Path, typer.Option(help="Folder that holds the runs.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Steps at once; by default as the cores allow.")]
Threads = Annotated[int, typer.Option(min=1, help="Numeric threads within each step.")]
