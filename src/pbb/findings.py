"""The paper's findings, each the matter of a recipe, as one set: what of it is there, what is missing, and how long that will take.

Contract: `plan` trains nothing and counts a step that two recipes have in common once; running the recipes in its order makes
exactly the steps that it counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pbb.durations import expected, shown
from pbb.errors import PbbError
from pbb.graph import Step, ordered, seconds_left
from pbb.models.place import local
from pbb.recipe import Recipe
from pbb.recipe_file import load
from pbb.recipe_graph import graph

FINDINGS: dict[str, str] = {
    "arithmetic": "Which stages does it take?",
    "retroactive": "Can what was read be unlocked later, by SFT or GRPO?",
    "programs": "How many programs must show how source maps to behaviour?",
    "programs-more": "Do still more help, and do those that are read get in each other's way?",
    "programs-6400": "Does it saturate, in the thousands?",
    "exposures": "How often must a program be read, and what does replay keep?",
    "lengths": "How does accuracy fall with length?",
    "phrasings": "How many phrasings does it take?",
    "phrasings-unseen": "How many does it take to be understood in another?",
    "prose": "Is code better than prose?",
    "sizes": "Is it still, in smaller models?",
    "efficiency": "How many executions is one source worth?",
    "sensitivity": "How much of it is tuning?",
    "ciphers-shifts": "Are skewed demonstrations made up for by the source?",
    "composition": "Can programs that were read apart be composed?",
}
"""The question of each recipe, in the order in which they are made; those that share stages stand together."""


@dataclass(frozen=True)
class Planned:
    """One recipe of the plan: its steps in all and those to be made, the seconds that they will take, and what it lacks to be begun."""

    recipe: Recipe
    steps: int
    missing: int
    seconds: float
    lacks: str | None = None


def plan(names: Sequence[str], seeds: int, model: str | None, out: Path, workers: int) -> list[Planned]:
    """The recipes of the findings named (all of them, if none is), in order, with what each will cost after those before it.

    A recipe whose models are not on this machine, or that has no sizes for `model`, is in it without steps, and says what it `lacks`.

    Raises:
        PbbError: there is no finding of that name, or no such model.
    """
    if model:
        local(model)
    if unknown := [name for name in names if name not in FINDINGS]:
        raise PbbError(f"findings: no finding {unknown[0]!r}: choose from {', '.join(FINDINGS)}")
    slower = shown(out)
    there = {path.parent.name for path in out.glob("*/*/steps/*/DONE")}
    planned = []
    for name in FINDINGS:
        if names and name not in names:
            continue
        try:
            recipe = load(name, [], model, seeds)
        except PbbError as error:
            if model is None:
                raise
            planned.append(Planned(load(name, [], None, seeds), 0, 0, 0.0, lacks=str(error)))
            continue
        try:
            for start in recipe.starts():
                local(start)
        except PbbError as error:
            planned.append(
                Planned(recipe, 0, 0, 0.0, lacks=f"{error}; pbb pretrain makes bases of other sizes")
            )
            continue
        steps = ordered(graph(recipe))
        missing = [step for step in steps if not _made(step, out / name / recipe.hash(), there)]
        seconds = seconds_left(steps, expected(missing, slower), (), workers)
        planned.append(Planned(recipe, len(steps), len(missing), seconds))
        there |= {step.folder for step in missing}
    return planned


def _made(step: Step, directory: Path, there: set[str]) -> bool:
    """Whether it is there, in this run or in one that it will be taken from (see `pbb.experiment.share`): what this run has begun, it ends itself."""
    here = directory / "steps" / step.folder
    return (here / "DONE").exists() if step.kind == "report" or here.exists() else step.folder in there
