"""The commands about machines: what this one can run, what a recipe will need, and many runs on many machines.

`add` puts them beside the others of `pbb` (see `pbb.cli`, whose rules hold here too: slow modules are imported where they are used).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pbb.errors import PbbError
from pbb.options import (
    AsJson,
    Launch,
    Model,
    OfRun,
    OfSeed,
    Processes,
    RecipeName,
    Runs,
    Seeds,
    Settings,
    Threads,
    Workers,
    launched,
)

if TYPE_CHECKING:
    from rich.table import Table

    from pbb.recipe import Recipe
    from pbb.sweep import Progress


def add(app: typer.Typer) -> None:
    app.command()(doctor)
    app.command()(estimate)
    app.command("sweep")(sweep_command)
    app.command("export")(export_command)


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
    seeds: Seeds = None,
    settings: Settings = None,
    out: Runs = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Say what memory and time each stage of a recipe will take, and the whole run from nothing; train nothing."""
    from pbb import machine
    from pbb.durations import expected, shown, training
    from pbb.estimate import gigabytes, needs, shape
    from pbb.graph import ordered, seconds_left
    from pbb.models import place
    from pbb.progress import duration
    from pbb.recipe_file import load
    from pbb.recipe_graph import graph
    from pbb.run import at_once

    loaded = load(recipe, settings, model, seeds)
    device = machine.device_memory()
    free = machine.memory()[0] if device is None else device
    several, slower = len(loaded.starts()) > 1, shown(out)
    found = [
        (
            replace(need, stage=f"{start}: {need.stage}") if several else need,
            training(loaded.stages[need.stage], loaded.documents(need.stage), start)
            * slower.get("train", 1.0)
            / (loaded.processes if loaded.stages[need.stage].method == "sft" else 1),
        )
        for start in loaded.starts()
        for need in needs(loaded.alone(start), shape(place.folder(start)), device is not None)
    ]
    steps, places = ordered(graph(loaded)), at_once(None, 1)
    seconds = seconds_left(steps, expected(steps, slower), (), places)
    if as_json:
        rows: list[dict[str, Any]] = [{**vars(need), "seconds": took} for need, took in found]
        whole = {"seeds": len(loaded.seeds), "steps": len(steps), "seconds": round(seconds)}
        print(json.dumps({"free": free, "stages": rows, "run": whole}, indent=1))
        return
    from pbb.console import console, needs_table

    screen = console()
    screen.print(needs_table(found))
    screen.print(f"{gigabytes(free)} are free; memory and time are for each time that a stage is trained")
    count = f"{len(loaded.seeds)} seed{'s' if len(loaded.seeds) > 1 else ''}"
    screen.print(
        f"the run of {count} takes about {duration(seconds)}: {len(steps)} steps, {places} at a time"
    )


def sweep_command(
    recipe: RecipeName = "arithmetic",
    over: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=V1,V2", help="A key and its values; of several, every combination is a point."
        ),
    ] = None,
    seeds: Seeds = None,
    model: Model = None,
    settings: Settings = None,
    on: Annotated[str, typer.Option(help="Where steps run: local, ray, or slurm.")] = "local",
    task: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="A parameter of submitit's, such as slurm_partition=gpu."),
    ] = None,
    arm: Annotated[
        str | None, typer.Option(help="The arm that the table shows; by default the first claimed, or last.")
    ] = None,
    out: Runs = Path("runs"),
    workers: Workers = None,
    threads: Threads = 1,
    launch: Launch = None,
    processes: Processes = None,
    as_json: AsJson = False,
) -> None:
    """Run a recipe at many settings, sharing what they have in common; the same command continues."""
    from pbb.console import console, sweep_table
    from pbb.models import place
    from pbb.progress import display
    from pbb.sweep import points, rows, sweep, table_path

    if on not in ("local", "ray", "slurm"):
        raise PbbError(f"--on {on}: expected local, ray or slurm")
    if task and on != "slurm":
        raise PbbError(f"--task {task[0]}: a parameter of Slurm's: give --on slurm with it")
    tasks = None
    if on != "local":
        from pbb.tasks import on_ray, on_slurm

        tasks = on_ray(workers, threads) if on == "ray" else on_slurm(workers, threads, task or [])
    elsewhere = on == "slurm" or (on == "ray" and bool(os.environ.get("RAY_ADDRESS")))
    chosen = [*(settings or []), *launched(launch, processes, elsewhere)]
    found = points(recipe, over or [], chosen, model, seeds)
    shown = _shown(found[0].recipe, arm)
    for name in {start for point in found for start in point.recipe.starts()}:
        place.folder(name)  # fetched once, and here, where a network is likelier than on a compute node
    with watching(lambda progress: sweep_table(progress, shown), live=tasks is not None) as tell:
        progress = sweep(found, out, tasks, workers, threads, display(), tell)
    failed = {point.label: point.failed for point in found if point.failed}
    if as_json:
        print(json.dumps({"rows": rows(progress), "failed": failed, "attempts": progress.attempts}, indent=1))
    else:
        console().print(sweep_table(progress, shown))
        print(table_path(progress))
    for label, why in failed.items():
        print(f"pbb: {label}: {why}", file=sys.stderr)
    if failed:
        print(
            f"pbb: {len(failed)} of {len(found)} points failed: the same command tries them again",
            file=sys.stderr,
        )
        raise typer.Exit(1)


def _shown(recipe: Recipe, arm: str | None) -> str:
    if arm is not None and arm not in recipe.arms:
        raise PbbError(f"--arm {arm}: no such arm: choose from {', '.join(recipe.arms)}")
    claimed = [claim.arm for claim in recipe.hypotheses]
    return arm or next(iter(claimed), list(recipe.arms)[-1])


@contextmanager
def watching(draw: Callable[[Progress], Table], live: bool) -> Iterator[Callable[[Progress], None]]:
    """On a terminal the table, redrawn as steps end; elsewhere a line whenever another step has ended."""
    from rich.console import Console
    from rich.live import Live

    if live and sys.stderr.isatty():
        with Live(console=Console(stderr=True), refresh_per_second=2) as screen:
            yield lambda progress: screen.update(draw(progress))
        return
    said = [-1]

    def line(progress: Progress) -> None:
        if len(progress.done) != said[0]:
            said[0] = len(progress.done)
            steps = {step.hash for point in progress.points for step in point.steps}
            ready = sum(all(step.hash in progress.done for step in point.steps) for point in progress.points)
            again = f", {len(progress.attempts)} tried again" if progress.attempts else ""
            print(
                f"{said[0]} of {len(steps)} steps, {ready} of {len(progress.points)} points{again}",
                file=sys.stderr,
                flush=True,
            )

    yield line


def export_command(
    run: OfRun,
    arm: Annotated[str, typer.Argument(help="The arm whose model is wanted.")],
    folder: Annotated[Path, typer.Argument(help="The folder to write; it must not be there yet.")],
    seed: OfSeed = None,
    out: Runs = Path("runs"),
    push: Annotated[str | None, typer.Option(metavar="OWNER/NAME", help="Put it on the hub as well.")] = None,
    private: Annotated[bool, typer.Option("--private", help="On the hub for yourself alone.")] = False,
) -> None:
    """Write a trained model as a folder of the hub: weights, cards, data, and tasks for lm-evaluation-harness and Inspect."""
    from pbb.export import export, repository
    from pbb.export import push as put_on_hub
    from pbb.runs import find_run

    if push:
        repository(push)
    print(export(find_run(run, out), arm, folder, seed, lambda line: print(f"pbb: {line}", file=sys.stderr)))
    if push:
        print(put_on_hub(folder, push, private))
