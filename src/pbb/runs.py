"""Runs that are there: found again by name or folder, and what of them is finished.

Contract: nothing is written; a run's directory keeps the steps of every version of the code that has worked in it, and what belongs to the
recipe's graph of today comes before what does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pbb import folder as folders
from pbb.errors import PbbError


def find_run(text: str, out: str | Path = "runs") -> Path:
    """A run's directory from its path, or the latest run of the recipe that `text` names, one that is finished before one that is not."""
    path = Path(text)
    if (path / "recipe.yaml").is_file():
        return path
    runs = [file.parent for file in Path(out, text).glob("*/recipe.yaml")]
    if not runs:
        known = sorted({file.parent.parent.name for file in Path(out).glob("*/*/recipe.yaml")})
        there = f"there are runs of {', '.join(known)}" if known else "start one with `pbb run`"
        raise PbbError(f"run: {text}: no run directory, and no run of that name under {out}/: {there}")
    return max(runs, key=_age)


def _age(run: Path) -> tuple[bool, int]:
    """Whether it is finished, and when it was asked for last; `pbb run` notes that on its recipe."""
    try:
        asked = (run / "recipe.yaml").stat().st_mtime_ns
    except OSError:  # removed meanwhile
        asked = 0
    return (run / "scores.json").is_file(), asked


def latest_runs(out: Path) -> list[Path]:
    """Of every recipe and model below `out` the latest run with scores, else the latest; by name of recipe."""
    latest: dict[tuple[str, str], list[Path]] = {}
    for file in sorted(out.glob("*/*/recipe.yaml")):
        import yaml

        try:
            model = str(yaml.safe_load(file.read_text(encoding="utf-8")).get("model"))
        except (OSError, ValueError, AttributeError, yaml.YAMLError) as e:
            raise PbbError(
                f"report: {file} is damaged ({' '.join(str(e).split())}): delete its folder"
            ) from e
        latest.setdefault((file.parent.parent.name, model), []).append(file.parent)
    return [max(runs, key=_age) for _, runs in sorted(latest.items())]


def find_evaluation(run: Path, arm: str, seed: int | None = None) -> tuple[Path, str | None]:
    """The finished evaluation of an arm in a run's directory: its step's folder, and a line to say if it is not of this code.

    A directory keeps the steps of every version of the code that has worked in it. The one that belongs to the recipe's
    graph of today is taken, that of the first seed or of the one that is asked for; where none is finished, the newest of the least.
    Raises PbbError where no evaluation is finished, or none of the arm or the seed, or where its files or its model's are damaged.
    """
    names, why = _names_today(run)
    finished: dict[str, dict[int, list[Path]]] = {}
    for (of_arm, of_seed), folders_ in _evaluated(run, names, arm).items():
        finished.setdefault(of_arm, {})[of_seed] = folders_
    if not finished:
        raise PbbError(f"run: {run} has no finished evaluation: let `pbb run` finish first")
    if arm not in finished:
        raise PbbError(f"run: no arm {arm!r} in {run}: its arms are {', '.join(sorted(finished))}")
    seeds = finished[arm]
    if seed is not None:
        if seed not in seeds:
            raise PbbError(
                f"run: no seed {seed} of arm {arm} in {run}: there are {', '.join(map(str, sorted(seeds)))}"
            )
        seeds = {seed: seeds[seed]}
    by_name = {folder.name: folder for made in seeds.values() for folder in made}
    found = next((by_name[name] for name in names if name in by_name), None)
    chosen = found or max(seeds[min(seeds)], key=lambda folder: (folder / "DONE").stat().st_mtime_ns)
    for parent in folders.read_json(chosen / "inputs.json")["parents"].values():
        if folders.state(run / "steps" / parent) == "broken":
            raise damaged(run / "steps" / parent)
    return chosen, None if found else f"taking the newest evaluation, {chosen}: {why}"


def evaluations(run: Path) -> list[Path]:
    """The folders of a run's finished evaluations, one an arm and seed: those of today's graph, else the newest.

    Raises PbbError where none is finished, or one is damaged.
    """
    names, _ = _names_today(run)
    found = _evaluated(run, names)
    if not found:
        raise PbbError(f"run: {run} has no finished evaluation: let `pbb run` finish first")
    age = lambda folder: (folder.name in names, (folder / "DONE").stat().st_mtime_ns)  # noqa: E731
    chosen = [max(known, key=age) for known in found.values()]
    return sorted(chosen, key=lambda folder: names.index(folder.name) if folder.name in names else len(names))


def _names_today(run: Path) -> tuple[list[str], str]:
    """The folders of the recipe's graph as the code is now, and why an evaluation may be none of them."""
    from pbb.recipe_file import load
    from pbb.recipe_graph import graph

    try:
        names = [step.folder for step in graph(load(str(run / "recipe.yaml")))]
    except PbbError as error:  # a recipe of another version, or a model that has moved
        return [], f"the run's recipe does not load any more ({error})"
    return names, "made by other code or from another model than is installed now"


def _evaluated(
    run: Path, names: Sequence[str], wanted: str | None = None
) -> dict[tuple[str, int], list[Path]]:
    """By arm and seed, the folders of finished evaluations.

    Raises PbbError where one that would be taken (of the wanted arm, or of any) is damaged: one of `names`, or the only one there is.
    """
    whole: dict[tuple[str, int], list[Path]] = {}
    broken: dict[tuple[str, int], Path] = {}
    # of the steps that the points of a sweep share, what is neither of today's graph nor scored here may be another's
    own = {*names, *scored(folders.read_json(run / "scores.json"))} if shared(run) else None
    for path in sorted(run.glob("steps/evaluate-*/DONE")):
        folder, record = path.parent, folders.read_json(path.parent / "inputs.json")
        if ".broken-" in folder.name or (own is not None and folder.name not in own):
            continue
        match record:
            case {"config": {"arm": str() as arm, "seed": int() as seed}, "parents": dict()}:
                if folders.state(folder) == "done":
                    whole.setdefault((arm, seed), []).append(folder)
                    continue
                broken[arm, seed] = folder
                if folder.name in names and wanted in (None, arm):
                    raise damaged(folder)
            case _ if folder.name in names:  # its record is damaged, so it may be any arm's
                raise damaged(folder)
    for key, folder in broken.items():
        if key not in whole and wanted in (None, key[0]):
            raise damaged(folder)
    return whole


def shared(run: Path) -> bool:
    """Whether a run's steps are those of all points of a sweep."""
    return (run / "steps").is_symlink()


def scored(results: Any) -> set[str]:
    """The folders of the evaluations and trainings that the content of a scores.json is of; none where it does not say."""
    match results:
        case {"cost": {"steps": [*steps]}}:
            return {str(step["step"]) for step in steps if isinstance(step, dict) and "step" in step}
    return set()


def damaged(folder: Path) -> PbbError:
    """What to say of a step that is not whole any more."""
    return PbbError(
        f"run: {folder}: its files are not those that the step ended with: the same `pbb run` again makes it anew"
    )
