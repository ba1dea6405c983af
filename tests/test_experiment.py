"""A run's directory from the recipe on: what is taken from others, what is kept of the environments, what is published."""

from __future__ import annotations

import json
import os
import platform
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import pbb.experiment
from pbb import folder as folders
from pbb.experiment import (
    make_data,
    publish,
    run_loaded,
    share,
    tell_environment,
)
from pbb.graph import Step
from pbb.progress import Plain
from pbb.recipe import Recipe
from pbb.recipe_file import load
from pbb.recipe_graph import graph
from pbb.run import Outcome, execute
from pbb.runs import find_run, latest_runs

sys.path.insert(0, str(Path(__file__).parent))

from finished_steps import evaluations_of, finish  # noqa: E402

Refused = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def recipe() -> Recipe:
    return load("arithmetic", model="owner/model", seeds=2)  # a hub id needs no files for its graph


def test_data_that_was_interrupted_goes_on_and_each_file_stands_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ["data.io=20", "data.source_only=5", "stages.read-slow={like: read, exposures: 0.5}"]
    small += ["stages.read slow={like: read, exposures: 0.25}"]  # is called alike as a file
    small += [f"arms.{arm}={{stages: [{arm}]}}" for arm in ("read-slow", "read slow")]
    made: list[str] = []

    def stopped(some: list[Step], work: Path, display: object) -> None:
        execute([step for step in some if step.kind == "programs"], work, display=None)
        made.extend(str(path) for path in work.glob("steps/*/DONE"))
        raise KeyboardInterrupt

    def watched(some: list[Step], work: Path, display: object) -> None:
        assert made == [str(path) for path in work.glob("steps/*/DONE")]
        execute(some, work, display=None)

    loaded = load("arithmetic", small)
    monkeypatch.setattr(pbb.experiment, "execute", stopped)
    with pytest.raises(KeyboardInterrupt):
        make_data(loaded, tmp_path, None)
    monkeypatch.setattr(pbb.experiment, "execute", watched)
    written = make_data(loaded, tmp_path, None)
    names = [path.name for path in written]
    assert len(names) == len(set(names)) == len(list(tmp_path.iterdir()))
    assert {"documents-read-slow-seed-0.jsonl", "documents-read-slow-seed-0.2.jsonl"} < set(names)
    assert made and not (tmp_path / ".making").exists()


def test_two_that_make_data_in_one_folder_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, seen = [0], []

    def made(some: list[Step], work: Path, display: object) -> None:
        work.mkdir()
        inside[0] += 1
        seen.append(inside[0])
        time.sleep(0.2)
        inside[0] -= 1

    monkeypatch.setattr(pbb.experiment, "execute", made)
    recipe = load("arithmetic", [])
    with ThreadPoolExecutor(2) as pool:
        for written in [pool.submit(make_data, recipe, tmp_path, None) for _ in range(2)]:
            written.result()
    assert seen == [1, 1]


def test_who_waits_for_a_lock_that_is_removed_holds_it_against_who_comes_later(tmp_path: Path) -> None:
    """The file by which two wait is not that which a third one finds no more."""
    work, inside, seen = tmp_path / ".making", [0], []

    def one(waiting: threading.Event, hold: threading.Event) -> None:
        with folders.locked(work, lambda other: waiting.set(), "somebody", patience=0.05):
            inside[0] += 1
            seen.append(inside[0])
            waiting.set()
            hold.wait(5)
            inside[0] -= 1
            folders.unlock(work)

    events = [threading.Event() for _ in range(6)]
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(one, events[0], events[3])
        assert events[0].wait(5)
        second = pool.submit(one, events[1], events[4])
        assert events[1].wait(5)  # it waits for the first
        events[3].set()
        first.result(5)
        while len(seen) < 2:
            time.sleep(0.01)
        third = pool.submit(one, events[2], events[5])
        assert events[2].wait(5)
        time.sleep(0.1)
        events[4].set()
        events[5].set()
        second.result(5)
        third.result(5)
    assert seen == [1, 1, 1] and list(tmp_path.iterdir()) == []


def test_files_of_other_data_are_left_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pbb.experiment, "execute", lambda _, work, **__: work.mkdir())
    (tmp_path / "documents-older-seed-0.jsonl").write_text("{}\n")
    make_data(load("arithmetic", []), tmp_path, Plain())
    assert capsys.readouterr().err == (
        f"{tmp_path}: left as they were, of other recipes or sizes: documents-older-seed-0.jsonl\n"
    )
    assert (tmp_path / "documents-older-seed-0.jsonl").read_text() == "{}\n"
    make_data(load("arithmetic", []), tmp_path / "new", None)
    assert capsys.readouterr().err == ""


def test_steps_that_another_run_has_finished_are_taken_over(recipe: Recipe, tmp_path: Path) -> None:
    """By links, so that they take no room; of a damaged one nothing is taken, and the report is always this run's own."""
    first, second = evaluations_of(recipe, "proactive")
    report = graph(recipe)[-1]
    there = tmp_path / "other" / "run"
    for step in (first, second, report):
        (there / "steps" / step.folder / "sub").mkdir(parents=True)
        (there / "steps" / step.folder / "sub" / "model.bin").write_bytes(b"weights")
        folders.write_json(there / "steps" / step.folder / "inputs.json", step.inputs_record())
        (there / "steps" / step.folder / "checkpoints").mkdir()
        (there / "steps" / step.folder / "checkpoints" / "big").write_bytes(b"state")
        folders.mark_done(there / "steps" / step.folder, {})
    (there / "steps" / second.folder / "sub" / "model.bin").write_bytes(b"Weights")
    here = tmp_path / "mine" / "run"
    share([first, second, report], here, tmp_path, None)
    assert [path.name for path in (here / "steps").iterdir() if not path.name.startswith(".")] == [
        first.folder
    ]
    taken = here / "steps" / first.folder
    assert folders.state(taken) == "done" and not (taken / "checkpoints").exists()
    model = Path("steps", first.folder, "sub", "model.bin")
    assert (here / model).samefile(there / model)


def test_a_folder_that_is_there_is_left_alone(recipe: Recipe, tmp_path: Path) -> None:
    (step, _) = evaluations_of(recipe, "proactive")
    finish(tmp_path / "other" / "run", step)
    begun = tmp_path / "mine" / "run" / "steps" / step.folder
    begun.mkdir(parents=True)
    (begun / "spent.json").write_text("7")
    share([step], tmp_path / "mine" / "run", tmp_path, None)
    assert folders.state(begun) == "open" and (begun / "spent.json").read_text() == "7"
    assert not folders.adopt(tmp_path / "other" / "run" / "steps" / step.folder, begun)


def test_what_a_step_is_working_on_is_left_to_it(recipe: Recipe, tmp_path: Path) -> None:
    (step, _) = evaluations_of(recipe, "proactive")
    finished = finish(tmp_path / "other" / "run", step)
    mine = tmp_path / "steps" / step.folder
    mine.parent.mkdir()
    with folders.locked(mine, lambda other: pytest.fail("held"), "a test"):
        assert not folders.adopt(finished, mine) and not mine.exists()
    assert folders.adopt(finished, mine)


def test_files_are_copied_where_they_cannot_be_linked(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (step, _) = evaluations_of(recipe, "proactive")
    finished = finish(tmp_path / "other" / "run", step)

    def refuse(*paths: object) -> None:
        raise OSError("across devices")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "steps").mkdir()
    assert folders.adopt(finished, tmp_path / "steps" / step.folder)
    assert folders.state(tmp_path / "steps" / step.folder) == "done"
    assert not (tmp_path / "steps" / step.folder / "inputs.json").samefile(finished / "inputs.json")


def test_figures_that_a_report_has_no_more_go_with_it(recipe: Recipe, tmp_path: Path) -> None:
    report = graph(recipe)[-1]
    made = tmp_path / "steps" / report.folder
    for name in ("figures/rewards.svg", "figures/rewards.csv", "tables/scores.csv", "report.html"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text("new")
    """What a person has put beside them stays."""
    older = tmp_path / "steps" / "report-0123"
    for name in ("figures/gone.svg", "figures/rewards.svg", "tables/gone.csv"):
        for folder in (older, tmp_path):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("old")
    for name in ("figures/notes.txt", "figures/mine.svg"):
        (tmp_path / name).write_text("old")
    publish([report], tmp_path)
    there = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.glob("*s/*.*")}
    assert there == {
        "figures/rewards.svg": "new", "figures/rewards.csv": "new", "tables/scores.csv": "new", "figures/notes.txt": "old",
        "figures/mine.svg": "old",
    }  # fmt: skip


def test_other_environments_in_which_steps_were_made_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(threads: int, python: str) -> dict[str, Any]:
        monkeypatch.setattr(platform, "python_version", lambda: python)
        tell_environment(tmp_path, threads)
        return dict(json.loads((tmp_path / "environment.json").read_text()))

    assert "earlier" not in told(1, "3.11") and "earlier" not in told(1, "3.11")
    first, second = told(1, "3.12"), told(2, "3.12")
    assert [known["python"] for known in first["earlier"]] == ["3.11"]
    assert [(known["python"], known["threads"]) for known in second["earlier"]] == [("3.11", 1), ("3.12", 1)]
    back = told(1, "3.11")["earlier"]  # all but what it is now
    assert [(known["python"], known["threads"]) for known in back] == [("3.12", 1), ("3.12", 2)]


def test_what_was_taken_from_a_run_was_made_in_its_environments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    for version, run in (("3.11", theirs), ("3.12", theirs), ("3.13", mine)):
        run.mkdir(exist_ok=True)
        monkeypatch.setattr(platform, "python_version", lambda version=version: version)
        tell_environment(run, 1, [] if run is theirs else [theirs, tmp_path / "gone"])
    told = json.loads((mine / "environment.json").read_text())
    assert (told["python"], [known["python"] for known in told["earlier"]]) == ("3.13", ["3.11", "3.12"])


@pytest.mark.parametrize("numbers", [{"threads": 0}, {"workers": 0}])
def test_numbers_of_places_are_checked_before_anything_is_made(
    numbers: dict[str, int], tmp_path: Path, refused: Refused
) -> None:
    with refused("workers and threads", "whole numbers from 1"):
        pbb.run("arithmetic", out=tmp_path / "runs", **numbers)
    assert not (tmp_path / "runs").exists()


def test_a_name_means_the_run_that_was_asked_for_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where that one was finished before: `pbb run` again is to be what `pbb audit NAME` then audits."""
    monkeypatch.setattr(pbb.experiment, "execute", lambda *_, **__: Outcome(0, 0, 0.0))
    monkeypatch.setattr(pbb.experiment, "publish", lambda *_: None)
    monkeypatch.setattr(pbb.experiment, "_preflight", lambda *_: None)
    first, second = (load("arithmetic", [f"data.io={io}"]) for io in (30, 40))
    folders_ = [run_loaded(r, tmp_path, 1, 1, None).directory for r in (first, second)]
    for age, folder in enumerate(reversed(folders_)):
        for file in folder.iterdir():
            os.utime(file, (1000 - age, 1000 - age))
    assert find_run("arithmetic", tmp_path) == folders_[1]
    run_loaded(first, tmp_path, 1, 1, None)
    assert find_run("arithmetic", tmp_path) == folders_[0] == latest_runs(tmp_path)[0]
