"""`pbb run --launch torchrun` through the real command line: stopped in the middle of a stage, it goes on and nobody is left."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from running import Command, pbb_says, start, until

RECIPE = Path(__file__).parent / "two_arms.yaml"
LAUNCH = ["--launch", "torchrun", "--processes", "2", "--set", "stages.learn.batch_size=2"]
LONG = ["--set", "stages.learn.mix.0.per_program=40"]  # so that a quick machine is caught in the middle, too


@pytest.fixture(scope="module", autouse=True)
def _heard() -> Iterator[None]:
    """A shell makes its background jobs deaf to Ctrl-C, and what they start inherits that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def working_in(place: Path) -> list[int]:
    """The processes whose working directory is this one, zombies aside."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if Path(os.readlink(process / "cwd")) == place:
                found.append(int(process.name))
    return found


def test_a_run_in_two_processes_is_stopped_and_goes_on(command: Command, tmp_path: Path) -> None:
    arguments = ["run", str(RECIPE), *command[2:], *LAUNCH, *LONG]
    process = start(*arguments, cwd=tmp_path)

    def underway() -> bool:
        return bool(list(tmp_path.glob("runs/two_arms/*/steps/train-*/metrics.jsonl")))

    until(lambda: process.poll() is not None or underway())
    assert process.poll() is None, process.communicate()[1]
    assert len(working_in(tmp_path)) >= 5  # the run, the fork server, the step, its two processes
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert re.search(r"pbb: stopped; `pbb run .* --launch torchrun .*` again continues from here", err)
    until(lambda: not working_in(tmp_path), 10)

    code, out, err = pbb_says(*arguments, cwd=tmp_path)
    assert code == 0, err
    (run,) = (tmp_path / "runs" / "two_arms").iterdir()
    assert "proactive" in out and "processes: 2" in (run / "recipe.yaml").read_text()
    trained = sorted(run.glob("steps/train-*/DONE"))
    assert [json.loads(path.read_text()).get("processes") for path in trained] == [2, 2]
    others = [path for path in run.glob("steps/*-*/DONE") if path not in trained]
    assert not any("processes" in json.loads(path.read_text()) for path in others)
    said = json.loads((run / "steps" / report(run) / "inputs.json").read_text())
    assert said["config"]["command"] == f"pbb run runs/two_arms/{run.name}/recipe.yaml"
    code, out, err = pbb_says("audit", str(run), "--only", "train", "--json", cwd=tmp_path)
    assert code == 0, out + err


def report(run: Path) -> str:
    (folder,) = (path for path in run.glob("steps/report-*") if path.is_dir())
    return folder.name
