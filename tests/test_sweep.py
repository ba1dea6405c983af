"""A sweep makes what its points share once, tries again what failed, and gives the same table wherever its steps ran."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fake_sweep import Recipe, made, run  # noqa: E402

import pbb  # noqa: E402
import pbb.sweep  # noqa: E402
from pbb import estimate  # noqa: E402
from pbb.cli import main  # noqa: E402
from pbb.console import console, sweep_table  # noqa: E402
from pbb.errors import PbbError  # noqa: E402
from pbb.progress import Silent  # noqa: E402
from pbb.recipe_file import load  # noqa: E402
from pbb.sweep import ATTEMPTS, Ended, Preempted, points, sweep, table, table_path  # noqa: E402
from pbb.tasks import Task, on_ray, on_slurm  # noqa: E402

Refused = Callable[..., AbstractContextManager[None]]


@pytest.fixture(autouse=True)
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "preflight", lambda recipe, workers: [])
    here, package = Path(__file__).parent, Path(pbb.__file__).parents[1]
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join(map(str, (here, package)))
    )  # for processes that a cluster starts


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A sweep of three points through the engine of `pbb run`."""
    out = tmp_path_factory.mktemp("serial")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(estimate, "preflight", lambda recipe, workers: [])
        return out, table(run(made([3, 5, 7]), out))


class Here:
    """Tasks in this process, one at a time; `lost` are the labels of those that end in an exception first, so many times."""

    room: int | None = 1

    def __init__(self, root: Path, lost: dict[str, int] | None = None) -> None:
        self.root, self.lost = root, lost or {}
        self.started: list[str] = []

    def start(self, step: Any) -> Any:
        self.started.append(step.label)
        return step

    def ended(self, step: Any) -> bool:
        if self.lost.get(step.label, 0):
            self.lost[step.label] -= 1
            raise Ended("the machine is gone", final=False)
        if line := Task(step, self.root, 1, 1)():
            raise Ended(line, final=True)
        return True

    def close(self) -> None:
        self.started.append("closed")


def test_the_table_has_a_row_a_point_and_score(serial: tuple[Path, str]) -> None:
    out, text = serial
    head = "value,arm,seed,group,split,ask,accuracy,low,high,n\n"
    assert text == head + "".join(f"{v},a,0,source_only,test,direct,{v / 100},,,\n" for v in (3, 5, 7))
    (file,) = (out / "fake" / "sweep" / "tables").iterdir()
    assert file.read_text() == text


def test_what_points_share_is_made_once_and_each_has_its_folder(serial: tuple[Path, str]) -> None:
    root = serial[0] / "fake" / "sweep"
    kinds = sorted(p.name.split("-")[0] for p in (root / "steps").iterdir() if p.is_dir())
    assert kinds == ["programs"] + ["score"] * 3 + ["train"] * 3
    for value in (3, 5, 7):
        point = root / "points" / f"hash-{value}"
        assert (point / "scores.json").exists() and (point / "steps").resolve() == root / "steps"


def test_a_wider_sweep_makes_only_what_is_new(
    serial: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []
    found = made([3, 5])
    sweep(found, serial[0], None, 2, 1, Silent(), lambda progress: done.append(len(progress.done)))
    assert done == [3, 5]
    assert table_path(SimpleNamespace(root=Path(), points=found)) != table_path(  # type: ignore[arg-type]
        SimpleNamespace(root=Path(), points=made([3, 5, 7]))  # type: ignore[arg-type]
    )


def test_the_time_left_goes_by_what_earlier_points_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, float]] = []

    def execute(*steps: Any, slower: dict[str, float], **more: Any) -> Any:
        told.append(dict(slower))
        return really(*steps, slower=slower, **more)

    really = pbb.sweep.execute
    monkeypatch.setattr(pbb.sweep, "execute", execute)
    run(made([3, 5]), tmp_path)
    assert told[0] == {} and set(told[1]) == {"programs", "train", "score"}


def test_a_lost_task_is_tried_again_and_changes_nothing(serial: tuple[Path, str], tmp_path: Path) -> None:
    place: list[Here] = []

    def tasks(root: Path) -> Here:
        place.append(Here(root, {"train 5": 2, "shared": 1}))
        return place[0]

    progress = run(made([3, 5, 7]), tmp_path, tasks)
    assert table(progress) == serial[1]
    assert progress.attempts == {"train 5": 3, "shared": 2}
    assert [label for label in place[0].started if label == "train 5"] == ["train 5"] * 3
    assert place[0].started[-1] == "closed"
    assert run(made([3, 5, 7]), tmp_path, lambda root: pytest.fail("nothing is left to do")).attempts == {}


def test_tries_are_counted_by_step_and_not_by_its_label(tmp_path: Path) -> None:
    """Two points have a step of the same label; each is lost once less than is too often."""
    found = made([3, 5])
    lost = {point.steps[1].hash: ATTEMPTS - 1 for point in found}
    for point in found:
        object.__setattr__(point.steps[1], "label", "train")

    class Lossy(Here):
        def ended(self, step: Any) -> bool:
            if lost.get(step.hash, 0):
                lost[step.hash] -= 1
                raise Ended("the machine is gone", final=False)
            return super().ended(step)

    progress = run(found, tmp_path, Lossy)
    assert [p.failed for p in progress.points] == [None, None]
    assert progress.attempts == {"train": ATTEMPTS}


def test_every_point_is_looked_at_before_any_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    def preflight(recipe: Recipe, workers: int) -> list[str]:
        if recipe.value == 5:
            raise PbbError("memory: no room")
        return []

    monkeypatch.setattr(estimate, "preflight", preflight)
    with refused("no room"):
        run(made([3, 5]), tmp_path)
    assert not list(tmp_path.glob("fake/sweep/steps/*/DONE"))


def test_a_point_that_fails_leaves_the_others(serial: tuple[Path, str], tmp_path: Path) -> None:
    progress = run(made([3, 5, 7]), tmp_path, lambda root: Here(root, {"train 3": ATTEMPTS}))
    assert [p.failed for p in progress.points] == ["train 3: the machine is gone", None, None]
    assert "3,a" not in table(progress) and "7,a" in table(progress)
    assert table(run(made([3, 5, 7]), tmp_path)) == serial[1]  # the same command tries it again


@pytest.mark.parametrize("where", ["local", "tasks"])
def test_what_a_person_must_mend_is_not_tried_again(where: str, tmp_path: Path) -> None:
    progress = run(made([3, 5], "refuse"), tmp_path, Here if where == "tasks" else None)
    assert progress.attempts == {} and progress.points[1].failed is None
    assert "give at least one program" in str(progress.points[0].failed)


def test_a_crash_is_tried_again_by_the_engine_too(tmp_path: Path) -> None:
    progress = run(made([3, 5], "crash"), tmp_path)
    assert "no such key" in str(progress.points[0].failed) and progress.points[1].failed is None
    (folder,) = (p for p in (progress.root / "steps").glob("train-*") if (p / "error.txt").exists())
    assert f'"attempts": {ATTEMPTS}' in (folder / "spent.json").read_text()


def test_the_command_shows_a_row_a_point_and_says_which_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pbb.sweep.points", lambda *_: made([3, 5], "refuse"))
    command = ["sweep", "fake", "--out", str(tmp_path), "--workers", "2"]
    assert main(command) == 1
    out, err = capfd.readouterr()
    rows = [line.replace("\u2502", "|").split() for line in out.splitlines()]
    assert any("failed" in row for row in rows) and any("5.0" in row and "3" in row for row in rows)
    (file,) = (tmp_path / "fake" / "sweep" / "tables").iterdir()
    assert str(file) in out.replace("\n", "")
    said = [line for line in err.splitlines() if line.startswith("pbb: ")]
    assert (
        len(said) == 2
        and said[0].startswith("pbb: value=3: data.programs")
        and "1 of 2 points failed" in said[1]
    )

    monkeypatch.setattr("pbb.sweep.points", lambda *_: made([5]))
    assert main([*command, "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert [row["accuracy"] for row in told["rows"]] == [0.05]
    assert (told["failed"], told["attempts"]) == ({}, {})


def test_composites_stand_below_the_programs_that_they_are_made_of(capfd: pytest.CaptureFixture[str]) -> None:
    row = {"arm": "a", "seed": 0, "split": "test", "ask": "direct"}
    groups = {"source_only_composed": 0.25, "source_only": 0.5, "io_composed": 0.75}
    scores = {"scores": [row | {"group": group, "accuracy": share} for group, share in groups.items()]}
    (point,) = made([3])
    told = SimpleNamespace(label="", settings=point.settings, recipe=point.recipe, steps=[], failed=None)
    told.results = lambda root: scores
    progress = pbb.sweep.Progress(Path(), [told])  # type: ignore[list-item]
    console().print(sweep_table(progress, "a"))
    cells = [line.split("│")[3].strip() for line in capfd.readouterr().out.splitlines() if "│" in line]
    assert cells == ["50.0", "composed 25.0"]


@pytest.mark.parametrize(
    ("given", "word"),
    [(["--on", "the moon"], "local, ray or slurm"), (["--arm", "b"], "--arm b: no such arm: choose from a")],
)
def test_the_command_refuses_what_is_not_there(
    given: list[str], word: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pbb.sweep.points", lambda *_: made([3]))
    assert main(["sweep", "fake", *given]) == 2
    assert word in capfd.readouterr().err


def test_every_combination_is_a_point() -> None:
    over = ["data.io=40,50", "evaluation.asks=[direct],[trace, recite]"]
    found = points("arithmetic", over, ["data.source_only=20"], None, 2)
    assert [list(p.settings.values()) for p in found] == [
        [40, ["direct"]], [40, ["trace", "recite"]], [50, ["direct"]], [50, ["trace", "recite"]]
    ]  # fmt: skip
    assert {p.recipe.data.source_only for p in found} == {20} and found[3].recipe.seeds == [0, 1]
    assert found[2].label == "data.io=50, evaluation.asks=['direct']"
    stages = [{s.hash for s in p.steps if s.kind == "programs"} for p in found]
    assert stages[0] == stages[1] != stages[2]
    assert len(points("arithmetic", [], [], None, None)) == 1


def test_values_beyond_ascii_are_what_an_override_would_give() -> None:
    (point,) = points("arithmetic", ["title=\U0001f600"], [], None, None)
    assert point.recipe == load("arithmetic", ["title=\U0001f600"]) and point.recipe.title == "\U0001f600"


def test_values_are_read_as_an_override_reads_them(refused: Refused) -> None:
    """Whole numbers are decimal, and a key that stands twice in a mapping is none."""
    (point,) = points("arithmetic", ["data.io=010"], [], None, None)
    assert point.recipe.data.io == load("arithmetic", ["data.io=010"]).data.io == 10
    with refused("data.io", "1:30"):
        points("arithmetic", ["data.io=1:30"], [], None, None)
    with refused("--over data={io: 5, io: 6}", "'io' is there twice"):
        points("arithmetic", ["data={io: 5, io: 6}"], [], None, None)


def test_programs_without_traces_are_refused_before_a_sweep_too(tmp_path: Path, refused: Refused) -> None:
    rows = [{"args": [x], "output": 3 * x, "split": "test" if x > 8 else "train"} for x in range(1, 15)]
    record = {
        "name": "f",
        "entry": "f",
        "source": "def f(x):\n    return 3 * x\n",
        "family": "mine",
        "group": "io",
    }
    (tmp_path / "p.jsonl").write_text(json.dumps(record | {"examples": rows, "facts": {"length": 1}}) + "\n")
    settings = [f"data.path={tmp_path / 'p.jsonl'}", "evaluation.asks=[in-context-trace]"]
    with refused("f(1) has no trace"):
        points("own", ["data.io=1,2"], settings, None, None)


@pytest.mark.parametrize(
    "over",
    ["data.io", "data.io=", "data.io=[", "data.nonsense=1", "data.io=2001-02-31", "data.io=2001-01-01,5"],
)
def test_what_is_no_sweep_is_refused(over: str, refused: Refused) -> None:
    with refused(""):
        points("arithmetic", [over], [], None, None)
    with refused("each key once"):
        points("arithmetic", ["data.io=40", "data.io=50"], [], None, None)
    with refused("--over data.io=40,50,40", "there twice"):
        points("arithmetic", ["data.io=40,50,40"], [], None, None)


@pytest.mark.skipif(not find_spec("ray"), reason="ray is not installed")
def test_ray_gives_the_same_table_and_outlives_a_killed_worker(
    serial: tuple[Path, str], tmp_path: Path
) -> None:
    progress = run(made([3, 5, 7], "kill_worker", tmp_path), tmp_path / "runs", on_ray(2, 1))
    assert progress.attempts == {"train 3": 2} and [p.failed for p in progress.points] == [None] * 3
    assert table(progress) == serial[1]


@pytest.mark.skipif(not find_spec("submitit"), reason="submitit is not installed")
def test_submitit_gives_the_same_table_and_outlives_a_killed_job(
    serial: tuple[Path, str], tmp_path: Path
) -> None:
    progress = run(
        made([3, 5, 7], "kill_worker", tmp_path), tmp_path / "runs", on_slurm(2, 1, ["cluster=local"])
    )
    assert progress.attempts == {"train 3": 2} and [p.failed for p in progress.points] == [None] * 3
    assert table(progress) == serial[1]


def test_a_task_that_is_preempted_is_handed_over_again_however_often(tmp_path: Path) -> None:
    left = [2 * ATTEMPTS]

    class Busy(Here):
        def ended(self, step: Any) -> bool:
            if step.kind == "train" and left[0]:
                left[0] -= 1
                raise Preempted
            return super().ended(step)

    progress = run(made([3]), tmp_path, Busy)
    assert (progress.points[0].failed, progress.attempts, left) == (None, {}, [0])
