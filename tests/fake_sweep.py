"""Points of a sweep for tests: of tiny steps, and of as much of a recipe as a sweep looks at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fake_steps

from pbb.progress import Silent
from pbb.sweep import Point, Tasks, sweep


@dataclass
class Recipe:
    """As much of a recipe as a sweep looks at."""

    value: int
    name: str = "fake"
    model: str = "base"
    arms: dict[str, Any] = field(default_factory=lambda: {"a": None})
    hypotheses: tuple[Any, ...] = ()
    evaluation: Any = field(default_factory=lambda: SimpleNamespace(asks=["direct"]))

    def starts(self) -> list[str]:
        return [self.model]

    def hash(self) -> str:
        return f"hash-{self.value}"

    def resolved(self) -> dict[str, Any]:
        return {"name": self.name, "value": self.value}


def made(values: list[int], broken: str = "count", marks: Path | None = None) -> list[Point]:
    """A point a value: shared data, a training of its own (by `broken`, for the first), and a score that depends on the value."""
    shared = fake_steps.step("shared", kind="programs")
    found = []
    for number, value in enumerate(values):
        more = {} if marks is None else {"marks": str(marks)}
        function = broken if number == 0 else "count"
        train = fake_steps.step(
            f"train {value}", {"shared": shared}, function, kind="train", to=value, **more
        )
        row = {
            "arm": "a",
            "seed": 0,
            "group": "source_only",
            "split": "test",
            "ask": "direct",
            "accuracy": value / 100,
        }
        score = fake_steps.step(
            f"score {value}", {"train": train}, "scores", kind="score", scores={"scores": [row]}
        )
        found.append(Point({"value": value}, Recipe(value), [shared, train, score]))  # type: ignore[arg-type]
    return found


def run(found: list[Point], out: Path, tasks: Callable[[Path], Tasks] | None = None) -> Any:
    return sweep(found, out, tasks, 2, 1, Silent())
