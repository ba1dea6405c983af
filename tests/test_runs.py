"""Which evaluation of an arm a run's directory answers from, where several versions of the code have worked in it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from pbb.experiment import as_yaml
from pbb.recipe import Recipe
from pbb.recipe_file import load
from pbb.runs import evaluations, find_evaluation, find_run, latest_runs

sys.path.insert(0, str(Path(__file__).parent))

from finished_steps import evaluations_of, finish, of_older_code  # noqa: E402

Refused = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def recipe() -> Recipe:
    return load("arithmetic", model="owner/model", seeds=2)  # a hub id needs no files for its graph


@pytest.fixture
def run(recipe: Recipe, tmp_path: Path) -> Path:
    """A run's directory without steps."""
    (tmp_path / "recipe.yaml").write_text(as_yaml(recipe), encoding="utf-8")
    return tmp_path


def test_the_evaluation_of_todays_code_is_taken(recipe: Recipe, run: Path) -> None:
    """Among stale ones with hashes before and after its own, finished before and after it."""
    first, second = evaluations_of(recipe, "proactive")
    stale = [of_older_code(first, version) for version in range(3)]
    assert len({step.hash for step in (first, second, *stale)}) == 5
    for age, step in zip((90, 0, 50), stale, strict=True):
        finish(run, step, age)
    finish(run, second)
    wanted = finish(run, first, age=70)
    for other in evaluations_of(recipe, "wrong-source"):
        finish(run, other)
    assert find_evaluation(run, "proactive") == (wanted, None)  # the first seed's


def test_without_one_of_todays_code_the_newest_is_taken_and_named(recipe: Recipe, run: Path) -> None:
    (first, _) = evaluations_of(recipe, "proactive")
    for age, version in ((50, 0), (90, 2)):
        finish(run, of_older_code(first, version), age)
    newest = finish(run, of_older_code(first, 1), age=10)
    unfinished = finish(run, first)
    (unfinished / "DONE").unlink()
    finish(run, evaluations_of(recipe, "wrong-source")[0])
    found, note = find_evaluation(run, "proactive")
    assert found == newest
    assert note and newest.name in note and "other code" in note and "\n" not in note


def test_of_older_code_too_the_first_seed_is_taken(recipe: Recipe, run: Path) -> None:
    first, second = evaluations_of(recipe, "proactive")
    wanted = finish(run, of_older_code(first, 1), age=50)
    finish(run, of_older_code(second, 1))
    assert find_evaluation(run, "proactive")[0] == wanted


def test_the_seed_that_is_asked_for_is_taken(
    recipe: Recipe, run: Path, refused: Callable[..., AbstractContextManager[None]]
) -> None:
    first, second = (finish(run, step) for step in evaluations_of(recipe, "proactive"))
    seeds = recipe.seeds
    assert [find_evaluation(run, "proactive", seed)[0] for seed in seeds] == [first, second]
    with refused("no seed 77", "proactive", ", ".join(map(str, seeds))):
        find_evaluation(run, "proactive", 77)


def point(recipe: Recipe, folder: Path) -> Path:
    """A point of a sweep, whose steps are a link to those of all."""
    run, steps = folder / "points" / "one", folder / "steps"
    run.mkdir(parents=True)
    steps.mkdir()
    (run / "steps").symlink_to(steps)
    (run / "recipe.yaml").write_text(as_yaml(recipe), encoding="utf-8")
    return run


def test_a_point_of_a_sweep_does_not_answer_with_anothers_evaluation(
    recipe: Recipe, tmp_path: Path, refused: Refused
) -> None:
    """Points share their steps by a link: what is none of today's graph may be another's."""
    run = point(recipe, tmp_path)
    (first, _) = evaluations_of(recipe, "proactive")
    finish(run, of_older_code(first, 1))
    for ask in (lambda: find_evaluation(run, "proactive"), lambda: evaluations(run)):
        with refused("no finished evaluation"):
            ask()
    mine = finish(run, first)
    assert find_evaluation(run, "proactive") == (mine, None) and evaluations(run) == [mine]


def test_a_point_of_a_sweep_answers_with_what_its_own_scores_are_of(recipe: Recipe, tmp_path: Path) -> None:
    """After any change of the code none of its steps is of today's graph."""
    run = point(recipe, tmp_path)
    (first, _) = evaluations_of(recipe, "proactive")
    mine = finish(run, of_older_code(first, 1), age=50)
    finish(run, of_older_code(first, 2))  # another point's, and newer
    (run / "scores.json").write_text(json.dumps({"scores": [], "cost": {"steps": [{"step": mine.name}]}}))
    found, note = find_evaluation(run, "proactive")
    assert found == mine and note and mine.name in note and "other code" in note
    assert evaluations(run) == [mine]


def test_a_recipe_that_does_not_load_any_more_leaves_the_newest(recipe: Recipe, run: Path) -> None:
    (first, _) = evaluations_of(recipe, "proactive")
    newest = finish(run, first)
    (run / "recipe.yaml").write_text(as_yaml(recipe) + "from_another_version: 1\n", encoding="utf-8")
    found, note = find_evaluation(run, "proactive")
    assert found == newest
    assert note and "from_another_version: no such key" in note and "\n" not in note


def test_what_is_not_there_is_named(recipe: Recipe, run: Path, refused: Refused) -> None:
    with refused("no finished evaluation", "pbb run"):
        find_evaluation(run, "proactive")
    finish(run, evaluations_of(recipe, "proactive")[0])
    finish(run, evaluations_of(recipe, "wrong-source")[0])
    with refused("no arm 'retroactive'", "proactive, wrong-source"):
        find_evaluation(run, "retroactive")
    damaged = finish(run, evaluations_of(recipe, "untrained")[0])
    record = json.loads((damaged / "inputs.json").read_text())
    (damaged / "inputs.json").write_text(json.dumps(record | {"more": 1}))
    with refused(damaged.name, "not those that the step ended with", "pbb run"):
        find_evaluation(run, "untrained")
    with refused(damaged.name):
        evaluations(run)
    assert find_evaluation(run, "wrong-source")[1] is None


def test_a_damaged_model_answers_nothing(recipe: Recipe, run: Path, refused: Refused) -> None:
    step = evaluations_of(recipe, "proactive")[0]
    folder = finish(run, step)
    assert find_evaluation(run, "proactive")[0] == folder
    parent = finish(run, step.parents["model"])
    assert find_evaluation(run, "proactive")[0] == folder
    (parent / "inputs.json").write_text("{}")
    with refused(parent.name, "not those that the step ended with", "pbb run"):
        find_evaluation(run, "proactive")


def test_of_a_damaged_evaluation_an_older_one_of_other_code_is_no_replacement(
    recipe: Recipe, run: Path, refused: Refused
) -> None:
    step = evaluations_of(recipe, "proactive")[0]
    older = finish(run, of_older_code(step, 1), age=60)
    (finish(run, of_older_code(step, 2), age=30) / "DONE").write_text("")  # nor does it stand in the way
    assert evaluations(run) == [older]
    for name in ("DONE", "inputs.json"):
        folder = finish(run, step)
        (folder / name).write_text("[]")
        for found in (lambda: find_evaluation(run, "proactive"), lambda: evaluations(run)):
            with refused(folder.name, "pbb run"):
                found()
        shutil.rmtree(folder)


def test_a_finished_run_is_found_before_one_that_was_begun_later(tmp_path: Path) -> None:
    for name in ("finished", "begun"):
        (tmp_path / "small" / name).mkdir(parents=True)
        (tmp_path / "small" / name / "recipe.yaml").write_text("{}")
        os.utime(tmp_path / "small" / name / "recipe.yaml", (10, 10 if name == "finished" else 20))
    assert find_run("small", tmp_path).name == "begun"
    scores = tmp_path / "small" / "finished" / "scores.json"
    scores.write_text("{}")
    os.utime(scores, (11, 11))
    assert find_run("small", tmp_path).name == "finished"


def test_a_name_and_the_page_of_all_runs_mean_the_same_run(tmp_path: Path) -> None:
    """That which was asked for last, whichever ended last; what lies beside its files does not matter."""
    for name, asked, ended in (("first", 10, 40), ("last", 20, 30)):
        folder = tmp_path / "small" / name
        folder.mkdir(parents=True)
        for file, when in (("recipe.yaml", asked), ("scores.json", ended)):
            (folder / file).write_text("model: base")
            os.utime(folder / file, (when, when))
        (folder / ".#recipe.yaml").symlink_to("nobody@nowhere.1")
    assert find_run("small", tmp_path).name == "last"
    assert [run.name for run in latest_runs(tmp_path)] == ["last"]
