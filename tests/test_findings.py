"""The plan of the findings counts what is missing, once, and refuses what it does not know."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from pbb import folder as folders
from pbb import machine
from pbb.findings import FINDINGS, plan
from pbb.graph import Step
from pbb.recipe_file import load, shipped
from pbb.recipe_graph import graph

Refused = Callable[..., AbstractContextManager[None]]


def finish(run: Path, step: Step) -> None:
    """Lay down the step's folder as finished."""
    folder = run / "steps" / step.folder
    folder.mkdir(parents=True)
    folders.write_json(folder / "inputs.json", step.inputs_record())
    folders.mark_done(folder, {})


def test_every_finding_is_a_recipe_that_ships_with_what_it_claims_or_draws() -> None:
    assert set(FINDINGS) <= set(shipped())
    for name, question in FINDINGS.items():
        assert question.endswith("?") and load(name, [], None, 3).seeds == [0, 1, 2]


def test_a_stage_that_recipes_share_is_counted_once(tmp_path: Path) -> None:
    alone = plan(["exposures"], 1, None, tmp_path, 2)
    (first, second) = plan(["exposures", "programs"], 1, None, tmp_path, 2)
    assert [first.recipe.name, second.recipe.name] == ["programs", "exposures"]
    assert first.missing == first.steps and second.steps == alone[0].steps == alone[0].missing
    # the programs, two documents, two trainings and two evaluations: stage 1 only, and what both call proactive
    assert second.steps - second.missing == 7 and second.seconds < alone[0].seconds - 150


def test_what_is_there_is_not_planned(tmp_path: Path) -> None:
    recipe = load("arithmetic", [], None, 1)
    steps = graph(recipe)
    learn = next(step for step in steps if step.label == "train learn, seed 0")
    report = steps[-1]
    for step in (learn, report):
        finish(tmp_path / "another" / "run", step)
    (planned,) = plan(["arithmetic"], 1, None, tmp_path, 2)
    assert planned.missing == planned.steps - 1  # a report is of one run
    finish(tmp_path / "arithmetic" / recipe.hash(), report)
    assert plan(["arithmetic"], 1, None, tmp_path, 2)[0].missing == planned.missing - 1
    (
        tmp_path / "arithmetic" / recipe.hash() / "steps" / learn.folder
    ).mkdir()  # begun here, which is not taken from elsewhere
    assert plan(["arithmetic"], 1, None, tmp_path, 2)[0].missing == planned.missing


def test_more_workers_take_less_time_and_never_less_than_a_share(tmp_path: Path) -> None:
    one, two = (plan(["arithmetic"], 1, None, tmp_path, workers)[0].seconds for workers in (1, 2))
    assert one / 2 <= two < one


def test_a_processor_without_amx_is_told_its_own_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = []
    for has in (True, False):
        monkeypatch.setattr(machine, "amx", lambda has=has: has)
        seconds.append(plan(["arithmetic"], 1, None, tmp_path, 2)[0].seconds)
    assert 0.95 < seconds[1] / seconds[0] < 0.99


def test_what_a_machine_has_shown_is_what_the_plan_goes_by(tmp_path: Path) -> None:
    before = plan(["lengths"], 1, None, tmp_path, 2)[0].seconds
    shown = tmp_path / "arithmetic" / "some-run"
    shown.mkdir(parents=True)
    told = [
        {"event": "done", "step": f"{k}-1", "seconds": 3e4, "expected": 1e4} for k in ("train", "evaluate")
    ]
    (shown / "events.jsonl").write_text("\n".join(map(json.dumps, told)))
    assert 2.5 < plan(["lengths"], 1, None, tmp_path, 2)[0].seconds / before < 3


def test_a_recipe_whose_models_are_not_there_says_so_and_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where nobody has pretrained any
    alone, lacking = plan(["prose", "sizes"], 1, None, tmp_path, 2)
    assert alone.lacks is None and alone.missing
    assert (lacking.steps, lacking.missing, lacking.seconds) == (0, 0, 0.0)
    assert lacking.lacks and "bases/0.5m/base" in lacking.lacks and "pbb pretrain" in lacking.lacks


def test_an_unknown_finding_or_model_is_refused(tmp_path: Path, refused: Refused) -> None:
    with refused("model: 'nope'"):
        plan([], 1, "nope", tmp_path, 2)
    with refused("no finding 'nothing'", "arithmetic"):
        plan(["nothing"], 1, None, tmp_path, 2)
