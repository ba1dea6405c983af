"""Many runs of one recipe that differ in some keys: `pbb sweep RECIPE --over key=v1,v2`, here, on a Ray cluster, or under Slurm.

    runs/<recipe>/sweep/
      steps/<kind>-<hash>/    shared: what two points have in common (programs, a stage 1) is made once, by whichever sweep comes first
      points/<hash>/          one folder a point, which `pbb ask`, `pbb compare` and `pbb audit` take like that of any run
      tables/<hash>.csv       accuracy by point, arm, group and way of asking

Contract: a point's scores are those of `pbb run` with the same settings, wherever its steps were executed; the same command continues what
was stopped, and tries again what failed.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pbb import folder as folders
from pbb.durations import shown
from pbb.errors import PbbError
from pbb.experiment import as_yaml, notices, publish, settle, share, tell_environment
from pbb.graph import Step, ordered
from pbb.progress import Display
from pbb.recipe import Recipe
from pbb.recipe_file import load, read_yaml
from pbb.recipe_graph import graph
from pbb.run import StepCrashed, Stopped, at_once, execute

ATTEMPTS = 3
COLUMNS = ("arm", "seed", "group", "split", "ask", "accuracy", "low", "high", "n")
PAUSE = 0.2


@dataclass
class Point:
    """One setting of the keys, with its recipe, all its steps, and what is said of its data beforehand."""

    settings: dict[str, Any]
    recipe: Recipe
    steps: list[Step]
    failed: str | None = None
    said: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        return ", ".join(f"{key}={value}" for key, value in self.settings.items()) or "as it is"

    def results(self, root: Path) -> dict[str, Any] | None:
        """Its scores.json, where it is finished."""
        score = next(step for step in self.steps if step.kind == "score")
        done = folders.state(root / "steps" / score.folder) == "done"
        return folders.read_json(root / "steps" / score.folder / "scores.json") if done else None


class Ended(Exception):
    """A task has failed; `final` says that trying again is no use."""

    def __init__(self, why: str, final: bool) -> None:
        super().__init__(why)
        self.why, self.final = why, final


class Preempted(Exception):
    """A task was stopped from outside, by no fault of its step's: it is handed over again, and that does not count."""


class Tasks(Protocol):
    """Where steps run. `room`: how many tasks may be handed over at a time (None: it keeps a queue of its own)."""

    room: int | None

    def start(self, step: Step) -> Any: ...
    def ended(self, task: Any) -> bool:
        """Whether the task is over; raises Ended where it has failed, Preempted where its machine was wanted for something else."""

    def close(self) -> None: ...


@dataclass
class Progress:
    """What a sweep has to tell: its points, the attempts of steps that took more than one, and what is running."""

    root: Path
    points: list[Point]
    attempts: dict[str, int] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    running: set[str] = field(default_factory=set)


def points(
    recipe: str, over: Sequence[str], settings: Sequence[str], model: str | None, seeds: int | None
) -> list[Point]:
    """Every combination of the values; PbbError where one is no recipe, or the same key is given twice."""
    axes: dict[str, list[Any]] = {}
    for item in over:
        key, equals, text = item.partition("=")
        try:
            values = read_yaml(f"[{text}]")
        except ValueError as error:
            raise PbbError(f"--over {item}: the values are not YAML: {error}: give key=v1,v2") from error
        if not equals or not values or key in axes:
            raise PbbError(f"--over {item}: expected key=v1,v2, each key once, for example data.io=100,200")
        if any(value in values[:number] for number, value in enumerate(values)):
            raise PbbError(f"--over {item}: a value is there twice: give each once")
        axes[key] = values
    found = []
    for values in itertools.product(*axes.values()):
        chosen = dict(zip(axes, values, strict=True))
        changes = [
            *settings,
            *(f"{key}={json.dumps(value, default=str, ensure_ascii=False)}" for key, value in chosen.items()),
        ]
        loaded = load(recipe, changes, model, seeds)
        settle(loaded)
        found.append(Point(chosen, loaded, graph(loaded), said=notices(loaded)))
    return found


def sweep(
    found: list[Point],
    out: Path,
    tasks: Callable[[Path], Tasks] | None,
    workers: int | None,
    threads: int,
    display: Display,
    tell: Callable[[Progress], None] = lambda progress: None,
) -> Progress:
    """Carry out all points, by the engine of `pbb run` one after the other, or as tasks; failures are in what is returned.

    Raises:
        PbbError: memory is too small for a point, or an optional package is missing. Stopped: by Ctrl-C.
    """
    for line in dict.fromkeys(line for point in found for line in point.said):
        display.line(line)
    root = (out / found[0].recipe.name / "sweep").absolute()
    (root / "steps").mkdir(parents=True, exist_ok=True)
    progress = Progress(root, found)
    donors = share(ordered(step for point in found for step in point.steps), root, out, display)
    if any(folders.state(root / "steps" / step.folder) != "done" for point in found for step in point.steps):
        tell_environment(root, threads, donors)
    if tasks is None:
        _serial(progress, out, workers, threads, display, tell)
    else:
        _spread(progress, tasks, tell)
    for point in found:
        _publish(point, root)
    table_path(progress).parent.mkdir(exist_ok=True)
    folders.write_atomically(table_path(progress), table(progress).encode())
    return progress


def _serial(
    progress: Progress,
    out: Path,
    workers: int | None,
    threads: int,
    display: Display,
    tell: Callable[[Progress], None],
) -> None:
    from pbb.estimate import preflight

    root, places = progress.root, at_once(workers, threads)
    lines = [preflight(p.recipe, places) for p in progress.points if p.results(root) is None]
    for line in dict.fromkeys(itertools.chain(*lines)):
        display.line(line)
    for number, point in enumerate(progress.points, 1):
        display.line(f"point {number} of {len(progress.points)}: {point.label}")
        for attempt in range(1, ATTEMPTS + 1):
            try:
                slower = shown(out)
                execute(point.steps, root, workers=workers, threads=threads, display=display, slower=slower)
                point.failed = None
                break
            except PbbError as error:
                point.failed = str(error)
                break
            except StepCrashed as error:
                point.failed = str(error)
                if attempt < ATTEMPTS:
                    progress.attempts[point.label] = attempt + 1
                display.line(f"{error}{': trying again' if attempt < ATTEMPTS else ''}")
        progress.done |= {s.hash for s in point.steps if folders.state(root / "steps" / s.folder) == "done"}
        tell(progress)


def _spread(progress: Progress, tasks: Callable[[Path], Tasks], tell: Callable[[Progress], None]) -> None:
    """Hand over each step as soon as its parents are done; what failed is handed over again, up to ATTEMPTS times."""
    root = progress.root
    steps = ordered(step for point in progress.points for step in point.steps)
    progress.done |= {s.hash for s in steps if folders.state(root / "steps" / s.folder) == "done"}
    failed: dict[str, str] = {}
    running: dict[str, tuple[Step, Any]] = {}
    tried: Counter[str] = Counter()  # by hash: two points may have steps of one label
    if len(progress.done) == len(steps):
        return
    place = tasks(root)
    try:
        while True:
            for key, (step, task) in list(running.items()):
                try:
                    if not place.ended(task):
                        continue
                    progress.done.add(key)
                except Preempted:
                    pass
                except Ended as error:
                    tried[key] += 1
                    if error.final or tried[key] >= ATTEMPTS:
                        failed[key] = f"{step.label}: {error.why}"
                    else:
                        told = progress.attempts.get(step.label, 1)
                        progress.attempts[step.label] = max(told, tried[key] + 1)
                del running[key]
            for step in steps:
                if place.room is not None and len(running) >= place.room:
                    break
                parents = {parent.hash for parent in step.parents.values()}
                new = step.hash not in progress.done and step.hash not in failed and step.hash not in running
                if new and (broken := parents & failed.keys()):
                    failed[step.hash] = failed[broken.pop()]
                elif new and parents <= progress.done:
                    running[step.hash] = (step, place.start(step))
            progress.running = set(running)
            for point in progress.points:
                point.failed = next((failed[s.hash] for s in point.steps if s.hash in failed), None)
            tell(progress)
            if not running and len(progress.done) + len(failed) == len(steps):
                return
            time.sleep(PAUSE)
    except KeyboardInterrupt as error:
        raise Stopped(signal.SIGINT) from error
    finally:
        place.close()


def _publish(point: Point, root: Path) -> None:
    """The point's own folder: its recipe and results, and the steps of all points by a link."""
    directory = root / "points" / point.recipe.hash()
    directory.mkdir(parents=True, exist_ok=True)
    folders.write_atomically(directory / "recipe.yaml", as_yaml(point.recipe).encode())
    if (root / "environment.json").is_file():
        folders.write_atomically(directory / "environment.json", (root / "environment.json").read_bytes())
    if not (directory / "steps").is_symlink():
        (directory / "steps").symlink_to(Path("..") / ".." / "steps")
    if point.results(root) is not None:
        publish(point.steps, directory)


def rows(progress: Progress) -> list[dict[str, Any]]:
    """One row a point, arm, seed, group, split and way of asking, of the points that are finished."""
    found = []
    for point in progress.points:
        for score in (point.results(progress.root) or {"scores": []})["scores"]:
            found.append(point.settings | {key: score.get(key) for key in COLUMNS})
    return found


def table(progress: Progress) -> str:
    """`rows` as CSV; the same scores give the same bytes, wherever they were made."""
    text = io.StringIO()
    names = [*progress.points[0].settings, *COLUMNS]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for row in rows(progress):
        writer.writerow({k: json.dumps(v) if isinstance(v, list | dict) else v for k, v in row.items()})
    return text.getvalue()


def table_path(progress: Progress) -> Path:
    return progress.root / "tables" / f"{_digest(progress.points)}.csv"


def _digest(found: Sequence[Point]) -> str:
    return hashlib.sha256(" ".join(p.recipe.hash() for p in found).encode()).hexdigest()[:12]
