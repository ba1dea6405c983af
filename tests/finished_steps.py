"""Steps of a recipe that stand in a run's directory as if they had been run."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from pbb import folder as folders
from pbb.graph import Step
from pbb.recipe import Recipe
from pbb.recipe_graph import graph


def evaluations_of(recipe: Recipe, arm: str) -> list[Step]:
    """The evaluations of an arm, by seed, as the code of today makes them."""
    return [step for step in graph(recipe) if step.kind == "evaluate" and step.config["arm"] == arm]


def of_older_code(step: Step, version: int) -> Step:
    """The same step with other code: another hash, other parents."""
    code = (f"pbb.{('errors', 'graph', 'folder')[version]}",)
    parents = {name: replace(parent, code=code) for name, parent in step.parents.items()}
    return replace(step, parents=parents)


def finish(run: Path, step: Step, age: float = 0.0) -> Path:
    """Lay down the step's folder as finished, `age` seconds ago."""
    folder = run / "steps" / step.folder
    folder.mkdir(parents=True)
    folders.write_json(folder / "inputs.json", step.inputs_record())
    folders.mark_done(folder, {})
    done = folder / "DONE"
    os.utime(done, (done.stat().st_mtime - age,) * 2)
    return folder
