"""The commands about machines: what this one can run, what a recipe will need, and many runs on many machines.

`add` puts them beside the others of `pbb` (see `pbb.cli`, whose rules hold here too: slow modules are imported where they are used).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from pbb.options import AsJson, Model, RecipeName, Settings


def add(app: typer.Typer) -> None:
    app.command()(doctor)
    app.command()(estimate)


def doctor(
    runs: Annotated[Path, typer.Option(help="Folder that will hold the runs.")] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Say what this machine has, and what it can run; takes a few seconds and changes nothing."""
    from pbb.estimate import fits
    from pbb.machine import device_memory, examine

    found = examine(runs)
    device = device_memory()
    found["fits"] = fits(found["memory"]["free"] if device is None else device)
    if as_json:
        print(json.dumps(found, indent=1))
        return
    from pbb.console import console, doctor_lines, fits_table

    out = console()
    for line in doctor_lines(found):
        out.print(line, markup=False, soft_wrap=True)
    out.print(fits_table(found["fits"]))


def estimate(
    recipe: RecipeName = "arithmetic",
    model: Model = None,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Say what memory and time each stage of a recipe will take, and train nothing."""
    from pbb import machine
    from pbb.estimate import gigabytes, needs, shape
    from pbb.experiment import load
    from pbb.models import place
    from pbb.run import available_cores

    loaded = load(recipe, settings or [], model, None)
    device = machine.device_memory()
    free = machine.memory()[0] if device is None else device
    found = needs(loaded, shape(place.folder(loaded.model)), available_cores(), device is not None)
    if as_json:
        rows: list[dict[str, Any]] = [vars(need) for need in found]
        print(json.dumps({"free": free, "stages": rows}, indent=1))
        return
    from pbb.console import console, needs_table

    out = console()
    out.print(needs_table(found))
    out.print(
        f"{gigabytes(free)} are free; times are for one seed, training alone, on {available_cores()} cores"
    )
