"""A recipe from its name to its results: the run directory, what the run was made with, and what it found.

    runs/<recipe>/<hash>/
      recipe.yaml             the recipe, resolved
      environment.json        versions, machine, threads, git revision; earlier ones, where it changed
      events.jsonl            what happened when, one JSON object a line
      steps/<kind>-<hash>/    one folder a step, see pbb.folder
      scores.json  report.html  figures/  tables/

Contract in one sentence: the same recipe always has the same directory, and asking again for a finished one
returns what stands there without running a step.
"""

from __future__ import annotations

import filecmp
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pbb import folder as folders
from pbb.durations import expected, shown
from pbb.errors import PbbError
from pbb.graph import Step, seconds_left
from pbb.machine import available_cores, version
from pbb.progress import Display, Silent, duration
from pbb.run import Outcome, at_once, execute
from pbb.runs import find_run

if TYPE_CHECKING:
    import pandas

    from pbb.recipe import Recipe

LIBRARIES = ("torch", "transformers", "trl", "tokenizers", "numpy", "scipy", "pandas")
MANY = 2_000_000_000  # bytes, which take more than a second to check
DATA_KINDS = ("programs", "documents")


@dataclass(frozen=True)
class RunResult:
    """A finished run: its directory, and what this call did for it."""

    directory: Path
    outcome: Outcome

    @cached_property
    def results(self) -> dict[str, Any]:
        """All of scores.json: scores, ratios, tests, diagnosis, cost."""
        path = self.directory / "scores.json"
        results = folders.read_json(path)
        if not isinstance(results, dict):
            raise PbbError(
                f"scores: {path} cannot be read: the recipe may have no evaluation, or run it again"
            )
        return results

    @cached_property
    def scores(self) -> pandas.DataFrame:
        """One row an arm, seed, group, split and way of asking; accuracies are shares, not percent."""
        import pandas

        return pandas.DataFrame(self.results["scores"])


def run(
    recipe: str | Path = "arithmetic",
    *,
    seeds: int | None = None,
    model: str | None = None,
    out: str | Path = "runs",
    workers: int | None = None,
    threads: int = 1,
    display: Display | None = None,
    **overrides: Any,
) -> RunResult:
    """Run a recipe, by its name or the path of its file, or continue it, or find it finished.

    overrides: values in place of the recipe's, also for inner keys: `run(**{"data.io": 20})`.
    Raises what `pbb.run.execute` raises, and PbbError where recipe or overrides are not valid.
    """
    from pbb.recipe_file import load

    settings = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in overrides.items()]
    return run_loaded(load(str(recipe), settings, model, seeds), out, workers, threads, display)


def run_loaded(
    recipe: Recipe, out: str | Path, workers: int | None, threads: int, display: Display | None
) -> RunResult:
    """`run`, for a recipe that is loaded already."""
    from pbb.recipe_graph import graph

    places = at_once(workers, threads)
    settle(recipe)
    steps = graph(recipe)
    directory = Path(out) / recipe.name / recipe.hash()
    directory.mkdir(parents=True, exist_ok=True)
    _write_if_new(directory / "recipe.yaml", as_yaml(recipe).encode())
    if find_run(recipe.name, out) != directory:  # its name is to mean the run that was asked for last
        with suppress(OSError):
            os.utime(directory / "recipe.yaml")
    donors = share(steps, directory, Path(out), display)
    slower = shown(Path(out))
    here = [directory / "steps" / step.folder for step in steps]
    if display and (size := sum(map(folders.listed_bytes, here))) > MANY:
        display.line(f"checking what is there already ({size / 1e9:.1f} GB)")
    if any(folders.state(folder) != "done" for folder in here):
        for line in notices(recipe):
            (display or Silent()).line(line)
        tell_environment(directory, threads, donors)
        _preflight(recipe, steps, directory, places, slower, display)
    outcome = execute(steps, directory, workers=places, threads=threads, display=display, slower=slower)
    publish(steps, directory)
    return RunResult(directory, outcome)


def notices(recipe: Recipe) -> list[str]:
    """What of a person's own programs is set aside, a line each; PbbError where they lack what the recipe asks of them."""
    from pbb.documents.corpus import Share
    from pbb.programs.brought import Brought

    if not isinstance(recipe.data, Brought):
        return []
    shares = [part for arm in recipe.arms.values() for stage in arm.stages for part in recipe.mix(stage)]
    asks = {*recipe.evaluation.asks, *(part.ask for part in shares if isinstance(part, Share))}
    return recipe.data.notices(traced=bool(asks & {"trace", "in-context-trace"}))


def settle(recipe: Recipe) -> None:
    """Have at hand what steps are named by: SmolLM2's are by where its weights come from, which only its folder tells."""
    if "smollm2" in recipe.starts():
        from pbb.models.place import folder

        folder("smollm2")


def share(steps: Sequence[Step], directory: Path, out: Path, display: Display | None) -> list[Path]:
    """Take over what other runs below `out` have finished of these very steps: a stage 1 that recipes have in common is trained once.

    A step's hash covers all that it depends on, so it does not matter whose it was; the report alone tells of the run that it is in.
    Returns the runs that were taken from.
    """
    wanted = {s.folder for s in steps if s.kind != "report" and not (directory / "steps" / s.folder).exists()}
    taken: dict[str, Path] = {}
    for done in sorted(out.glob("*/*/steps/*/DONE")) if wanted else []:
        found = done.parent
        if found.name in wanted - taken.keys():
            (directory / "steps").mkdir(parents=True, exist_ok=True)
            if folders.adopt(found, directory / "steps" / found.name):
                taken[found.name] = found.parent.parent
    donors = sorted(set(taken.values()))
    if donors and display:
        names = ", ".join(f"{donor.parent.name}/{donor.name}" for donor in donors)
        display.line(f"{len(taken)} of {len(steps)} steps taken from {names}")
    return donors


def _preflight(
    recipe: Recipe,
    steps: Sequence[Step],
    directory: Path,
    workers: int,
    slower: Mapping[str, float],
    display: Display | None,
) -> None:
    """Say what training will take, or refuse; nothing where no training is left to do."""
    left = [step for step in steps if folders.state(directory / "steps" / step.folder) != "done"]
    if any(step.kind == "train" for step in left):
        from pbb.estimate import preflight

        seconds = seconds_left(steps, expected(left, slower), (), workers)
        for line in [*preflight(recipe, workers), f"this will take about {duration(seconds)}"]:
            (display or Silent()).line(line)


def make_data(recipe: Recipe, out: Path, display: Display | None) -> list[Path]:
    """Make the recipe's programs and documents only, as <step's label>.jsonl in `out`, with a card; returns the files."""
    from pbb.card import write_card
    from pbb.recipe_graph import graph

    steps = [step for step in graph(recipe) if step.kind in DATA_KINDS]
    out.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    work = out / ".making"  # stays where this is stopped, so that the same command continues
    tell = (display or Silent()).line
    with folders.locked(work, lambda other: tell(f"{out}: waiting for {other}"), f"process {os.getpid()}"):
        execute(steps, work, display=display)
        for step in {step.hash: step for step in steps}.values():  # stages may share their documents
            sources = sorted((work / "steps" / step.folder).glob("*.jsonl"))
            sources = [source for source in sources if source.name != "metrics.jsonl"]
            for source in sources:
                name = slug(step.label if len(sources) == 1 else f"{step.label}-{source.stem}")
                taken = sum(path.stem == name or path.stem.startswith(f"{name}.") for path in written)
                # stages may be called alike but for a sign
                written.append(out / f"{name}{f'.{taken + 1}' if taken else ''}.jsonl")
                _write_if_new(written[-1], source.read_bytes())
        shutil.rmtree(work)
        folders.unlock(work)
    others = sorted(path.name for path in set(out.glob("*.jsonl")) - set(written))
    if others:
        tell(f"{out}: left as they were, of other recipes or sizes: {', '.join(others)}")
    return [*written, write_card(recipe.title, recipe.about, written, out, recipe.data.isolate() is None)]


def as_yaml(recipe: Recipe) -> str:
    """The recipe with every default written out."""
    import yaml

    return str(yaml.safe_dump(recipe.resolved(), sort_keys=False, allow_unicode=True))


def tell_environment(directory: Path, threads: int, donors: Sequence[Path] = ()) -> None:
    """Write environment.json; others in which steps may have been made, here or in the runs that they were taken from, it keeps as `earlier`."""
    path = directory / "environment.json"
    now = environment(threads)
    earlier: list[dict[str, Any]] = []
    for told in (folders.read_json(run / "environment.json") for run in (directory, *donors)):
        before = told.pop("earlier", []) if isinstance(told, dict) else []
        for one in (*(before if isinstance(before, list) else []), told):
            known = [e | {"command": None} for e in (now, *earlier)]
            if isinstance(one, dict) and one | {"command": None} not in known:
                earlier.append(one)
    if earlier:
        now["earlier"] = earlier
    folders.write_json(path, now)


def environment(threads: int) -> dict[str, Any]:
    """What the numbers of a run may depend on besides its recipe; null for a library not installed."""
    from pbb import __version__

    return {
        "pbb": __version__,
        "git": _git_revision(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": {"machine": os.cpu_count(), "available": available_cores()},
        "threads": threads,
        "versions": {name: version(name) for name in LIBRARIES},
        "command": sys.argv,
    }


def _git_revision() -> str | None:
    """The checkout's commit, "-dirty" where files differ from it; None for an installed package."""
    here = Path(__file__).parent
    if not any((parent / ".git").exists() for parent in here.parents):
        return None

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(here), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()

    try:
        git(
            "ls-files", "--error-unmatch", "__init__.py"
        )  # fails where site-packages lies in another checkout
        return git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return None


def publish(steps: Sequence[Step], directory: Path) -> None:
    """Lay results beside the recipe, where a person looks for them; each file changes atomically, and what an older report had besides goes."""
    for kind in ("score", "report"):
        for step in steps:
            if step.kind == kind:
                folder = directory / "steps" / step.folder
                results = [folder / path for path in _shown(folder)]
                for source in [folder / "scores.json", folder / "report.html", *results]:
                    if source.is_file():
                        target = directory / source.relative_to(folder)
                        target.parent.mkdir(exist_ok=True)
                        if not target.exists() or not filecmp.cmp(source, target, shallow=False):
                            folders.write_atomically(target, source.read_bytes())
                if kind == "report":
                    earlier = directory.glob("steps/report-*")
                    for old in (path for made in earlier for path in _shown(made) if made != folder):
                        if not (folder / old).exists():
                            (directory / old).unlink(missing_ok=True)


def _shown(folder: Path) -> list[Path]:
    """The figures and tables of a report, from its folder on."""
    return sorted(
        path.relative_to(folder) for part in ("figures", "tables") for path in folder.glob(f"{part}/*")
    )


def _write_if_new(path: Path, data: bytes) -> None:
    if not path.exists() or path.read_bytes() != data:
        folders.write_atomically(path, data)


def slug(label: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "-", label).strip("-")
