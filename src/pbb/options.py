"""Options that several commands of `pbb` share, and what two of them say to a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pbb.errors import PbbError

RecipeName = Annotated[
    str, typer.Argument(help="Name of a recipe, see `pbb recipes`, or path of a recipe file.")
]
Model = Annotated[
    str | None,
    typer.Option(help="Model to start from: a name, a folder or a hub id, in place of the recipe's."),
]
Seeds = Annotated[int | None, typer.Option(min=1, help="Number of seeds, in place of the recipe's.")]
OfSeed = Annotated[
    int | None,
    typer.Option("--seed", help="The seed whose model and programs are meant; by default the run's first."),
]
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
OfRun = Annotated[str, typer.Argument(help="A run's directory, or the name of a recipe: its latest run.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Steps at once; by default as the cores allow.")]
Threads = Annotated[int, typer.Option(min=1, help="Numeric threads within each step.")]
Launch = Annotated[
    str | None,
    typer.Option(
        help="Train in several processes: torchrun (each holds the whole model) or fsdp (it is shared out over GPUs)."
    ),
]
Processes = Annotated[
    int | None, typer.Option(min=1, help="Processes of a training; by default one a GPU, else one a core.")
]


def launched(launch: str | None, processes: int | None, elsewhere: bool = False) -> list[str]:
    """The keys of a recipe that --launch and --processes set, as `--set` would; PbbError where they do not go together.

    elsewhere: the training will be on another machine, whose GPUs and cores can't be counted here.
    """
    if launch is None:
        if processes is not None:
            raise PbbError(f"--processes {processes}: give --launch torchrun with it")
        return []
    if launch not in ("torchrun", "fsdp"):
        raise PbbError(f"--launch {launch}: expected torchrun or fsdp")
    if elsewhere and processes is None:
        raise PbbError(
            f"--launch {launch}: give --processes with it: the machines that will train can't be counted here"
        )
    from pbb.machine import places

    return [f"processes={processes or places()[0]}", *(["fsdp=true"] if launch == "fsdp" else [])]
