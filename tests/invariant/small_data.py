"""A recipe's programs and documents, made by the functions of its steps without training anything."""

from __future__ import annotations

import importlib
from pathlib import Path

from pbb.progress import Progress
from pbb.recipe import Recipe
from pbb.recipe_graph import graph


def make(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """Run the steps of data; by label ("programs", "learn", ...) the folder of each. For recipes of one seed."""
    made: dict[str, Path] = {}
    for step in graph(recipe):
        if step.kind in ("programs", "documents"):
            out = folder / step.folder
            out.mkdir(parents=True)
            module, _, name = step.function.partition(":")
            inputs = {key: folder / parent.folder for key, parent in step.parents.items()}
            getattr(importlib.import_module(module), name)(step.config, inputs, out, Progress())
            made[step.label.partition(",")[0].removeprefix("documents ")] = out
    return made
