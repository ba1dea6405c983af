"""Stand-ins for pbb.recipe_file and pbb.recipe_graph, so that the command line is tested without a model.

Run as a script it is `pbb` with these stand-ins: python fake_recipe.py run stuck --out DIR
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import fake_steps

from pbb.errors import PbbError
from pbb.graph import Step


def row(arm: str, group: str, ask: str, accuracy: float, seed: int | str = 0, **more: Any) -> dict[str, Any]:
    base = {"arm": arm, "seed": seed, "group": group, "split": "test", "ask": ask, "parse_failures": 0.0}
    return base | {"accuracy": accuracy, "low": accuracy - 0.05, "high": accuracy + 0.05} | more


SCORES = {
    "recipe": "fake",
    "scores": [
        row("untrained", "source_only", "direct", 0.1),
        row("proactive", "source_only", "direct", 0.3),
        row("proactive", "io", "direct", 0.45, parse_failures=0.02),
        row("proactive", "source_only", "recite", 0.625),
    ],
    "cost": {"seconds": 1.0},
}


class Data:
    def isolate(self) -> None: ...


@dataclass
class Recipe:
    name: str
    settings: dict[str, str] = field(default_factory=dict)
    title: str = "The fake recipe"
    about: str = "Nothing is learned."
    data: Data = field(default_factory=Data)

    def resolved(self) -> dict[str, Any]:
        return {"name": self.name, **self.settings}

    def starts(self) -> list[str]:
        return ["base"]

    def hash(self) -> str:
        return "-".join(["0123", *self.settings.values()])


def load(
    name: str, overrides: list[str] | None = None, model: str | None = None, seeds: int | None = None
) -> Recipe:
    if name == "broken":
        raise RuntimeError("a mistake\nin the code")
    if name not in ("fake", "stuck", "refuse", "crash", "full"):
        raise PbbError(f"recipe: {name}: no such recipe: see `pbb recipes`")
    settings = dict(override.split("=", 1) for override in overrides or [])
    if "data.nonsense" in settings:
        raise PbbError("recipe: data.nonsense: no such key: did you mean data.names?")
    given = {"model": model, "seeds": seeds and str(seeds)}
    return Recipe(name, settings | {key: value for key, value in given.items() if value})


def graph(recipe: Recipe) -> list[Step]:
    programs = fake_steps.step("programs seed 0", function="data", kind="programs", name="programs.jsonl")
    documents = fake_steps.step(
        "documents a/stage-1",
        {"programs": programs},
        function="data",
        kind="documents",
        name="documents.jsonl",
    )
    functions = {"stuck": "sleep", "refuse": "refuse", "crash": "crash", "full": "fill_disk"}
    train = fake_steps.step(
        "train", {"documents": documents}, functions.get(recipe.name, "count"), kind="train"
    )
    score = fake_steps.step("score", {"train": train}, function="scores", kind="score", scores=SCORES)
    return [
        programs,
        documents,
        train,
        score,
        fake_steps.step("report", {"score": score}, "report", kind="report"),
    ]


def modules() -> dict[str, ModuleType]:
    recipe, steps = ModuleType("pbb.recipe_file"), ModuleType("pbb.recipe_graph")
    recipe.load, recipe.shipped = load, lambda: {"fake": Path("fake.yaml")}  # type: ignore[attr-defined]
    steps.graph = graph  # type: ignore[attr-defined]
    steps.command_of = lambda run: f"pbb run {run.parent.name}"  # type: ignore[attr-defined]
    estimate = ModuleType("pbb.estimate")
    estimate.preflight = lambda recipe, workers: []  # type: ignore[attr-defined]
    return {"pbb.recipe_file": recipe, "pbb.recipe_graph": steps, "pbb.estimate": estimate}


if __name__ == "__main__":
    from pbb.cli import main

    sys.modules.update(modules())
    sys.exit(main())
