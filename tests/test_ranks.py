"""A step in several processes ends as one does in a single process: done, refused, crashed, killed or stopped, and leaves nobody behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # the steps' processes find fake_steps through the sys.path of this one

import fake_steps  # noqa: E402

from pbb import machine, ranks  # noqa: E402
from pbb.errors import PbbError  # noqa: E402
from pbb.graph import Step  # noqa: E402
from pbb.options import launched  # noqa: E402
from pbb.progress import Progress, Silent  # noqa: E402
from pbb.run import StepCrashed, execute  # noqa: E402

PRELOAD = ("torch.distributed.launcher.api", "pbb.ranks")


class Recorder(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def update(self, key: str, done: float, total: float, note: str, left: float) -> None:
        self.notes.append(note)


def together(**config: Any) -> Step:
    return fake_steps.step("together", function="together", processes=2, cores=2, **config)


def told(run_dir: Path, step: Step) -> list[dict[str, Any]]:
    """What both processes said of themselves, once they have."""
    paths = [run_dir / "steps" / step.folder / f"rank-{rank}.json" for rank in (0, 1)]
    until(lambda: all(path.exists() for path in paths))
    return [json.loads(path.read_text()) for path in paths]


def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def gone(pids: list[int]) -> bool:
    def state(pid: int) -> str:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return "Z"

    return all(state(pid) == "Z" for pid in pids)


def test_each_process_is_called_and_the_first_one_is_heard(tmp_path: Path) -> None:
    step, recorder = together(), Recorder()
    execute([step], tmp_path, workers=2, threads=3, display=recorder, preload=PRELOAD)
    found = told(tmp_path, step)
    assert [(t["WORLD_SIZE"], t["OMP_NUM_THREADS"]) for t in found] == [("2", "3")] * 2
    assert len({t["pid"] for t in found}) == 2 and recorder.notes == ["from 0"]
    done = json.loads((tmp_path / "steps" / step.folder / "DONE").read_text())
    assert (done["processes"], done["threads"]) == (2, 3) and done["peak_bytes"] > 1e7
    assert execute([step], tmp_path).reused == 1


@pytest.mark.parametrize(
    ("then", "error", "line"),
    [
        ("crash", StepCrashed, "together failed: KeyError: 'no such key'; its traceback is in "),
        ("disk", PbbError, "No space left on device: "),
        ("vanish", StepCrashed, "together failed: its process ended (killed, which is mostly for want of "),
    ],
)
def test_what_becomes_of_one_becomes_of_the_step(
    then: str, error: type[Exception], line: str, tmp_path: Path
) -> None:
    step = together(then=then)
    with pytest.raises(error) as caught:
        execute([step], tmp_path, workers=2, preload=PRELOAD)
    assert str(caught.value).startswith(line) and "\n" not in str(caught.value)
    assert gone([t["pid"] for t in told(tmp_path, step)])
    if then == "crash":
        text = (tmp_path / "steps" / step.folder / "error.txt").read_text()
        assert "in process 1:" in text and 'raise KeyError("no such key")' in text


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_run_that_is_stopped_or_killed_leaves_no_process(number: int, code: int, tmp_path: Path) -> None:
    command = [sys.executable, str(HERE / "fake_steps.py"), str(tmp_path), "asleep together"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    (step,) = fake_steps.GRAPHS["asleep together"]()
    pids = [t["pid"] for t in told(tmp_path, step)]
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code and "Traceback" not in err
    until(lambda: gone(pids), 5)
    assert not (tmp_path / "steps" / step.folder / "error.txt").exists()


def test_more_processes_than_there_are_places_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    step = fake_steps.step("many", function="together", processes=1000)
    with pytest.raises(
        PbbError, match="^processes: 1000: there are [0-9]+ [a-zA-Z]+: give --processes [0-9]+"
    ):
        execute([step], tmp_path, preload=PRELOAD)
    monkeypatch.setattr(machine, "devices", lambda: 4)
    machine.enough(4)
    with pytest.raises(PbbError, match="5: there are 4 GPUs"):
        machine.enough(5)


def test_each_process_has_a_gpu_of_its_own_before_it_loads_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "devices", lambda: 4)
    monkeypatch.setattr(ranks, "_default_signals", lambda: None)
    monkeypatch.setattr(ranks.ctypes, "CDLL", lambda name: SimpleNamespace(prctl=lambda *_: 0))
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.delenv("ACCELERATE_TORCH_DEVICE", raising=False)
    current: list[int] = []
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    assert ranks._rank(lambda progress: list(current), Progress(), []) == [3]
    assert "ACCELERATE_TORCH_DEVICE" not in os.environ


def test_options_become_keys_of_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "devices", lambda: 8)
    assert launched(None, None) == []
    assert launched("torchrun", 2) == ["processes=2"]
    assert launched("fsdp", None) == ["processes=8", "fsdp=true"]
    for launch, processes, message in (
        (None, 2, "--processes 2: give --launch"),
        ("mpirun", 2, "--launch mpirun"),
    ):
        with pytest.raises(PbbError, match=message):
            launched(launch, processes)
