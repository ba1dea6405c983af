"""Two processes train as one does: the same documents in the same order, the same losses and weights, also after one of them was killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import pbb
from pbb.graph import Step

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from in_processes import BATCH, KILL_AT, KILLED, STEPS, WHOLE, documents  # noqa: E402

from pbb.training.sft import batches  # noqa: E402

PAIRS = [("adamw-1", "adamw-2"), ("lora-1", "lora-2"), ("adamw-1", "fsdp-2"), ("adamw-1", "packed-2")]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run that carried out all trainings of in_processes.py."""
    place = tmp_path_factory.mktemp("processes")
    paths = os.pathsep.join(map(str, (Path(pbb.__file__).parents[1], HERE)))
    environment = {**os.environ, "PYTHONPATH": paths}
    command = [sys.executable, str(HERE / "in_processes.py"), str(place)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return place


def place(run: Path, step: Step) -> Path:
    return run / "steps" / step.folder


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_file(folder / "model" / "model.safetensors")
    return found


def read(folder: Path, rank: int) -> list[list[list[int]]]:
    """The completions that a process read, by step."""
    found: list[list[list[int]]] = [[] for _ in range(STEPS)]
    for line in (folder / f"read-{rank}.jsonl").read_text().splitlines():
        step, completions = json.loads(line)
        found[step] += [c for c in completions if c]
    return found


@pytest.mark.parametrize(("one", "two"), PAIRS)
def test_two_processes_train_as_one_does(one: str, two: str, run: Path) -> None:
    single, shared = rows(place(run, WHOLE[one])), rows(place(run, WHOLE[two]))
    assert len(single) == len(shared) == STEPS
    for key in ("step", "steps", "tokens", "learning_rate"):
        assert [row[key] for row in shared] == [row[key] for row in single]
    for key in ("loss", "grad_norm"):
        assert [row[key] for row in shared] == pytest.approx([row[key] for row in single], rel=1e-5)
    torch.testing.assert_close(
        weights(place(run, WHOLE[two])), weights(place(run, WHOLE[one])), rtol=0, atol=1e-5
    )


def test_with_muon_rounding_grows_but_stays_small(run: Path) -> None:
    """Its updates are all of one size, so that where a gradient is next to nothing the rounding decides."""
    single, shared = rows(place(run, WHOLE["muon-1"])), rows(place(run, WHOLE["muon-2"]))
    for key in ("loss", "grad_norm"):
        assert [row[key] for row in shared] == pytest.approx([row[key] for row in single], rel=1e-3)


def test_each_batch_holds_the_same_documents_and_each_process_its_share(run: Path) -> None:
    docs = documents()
    order = batches([len(p) + len(c) for p, c in docs], BATCH, 0)
    for name, processes in (("adamw-1", 1), ("adamw-2", 2), ("lora-2", 2), ("fsdp-2", 2)):
        each = [read(place(run, WHOLE[name]), rank) for rank in range(processes)]
        for step in range(STEPS):
            batch = [docs[i][1] for i in order[step * BATCH : (step + 1) * BATCH]]
            assert sorted(c for process in each for c in process[step]) == sorted(batch)
            if len(batch) == BATCH:
                assert {len(process[step]) for process in each} == {BATCH // processes}
    assert [len(process[-1]) for process in each] == [1, 0]  # a process without a document trains along


def test_counts_of_tokens_that_differ_between_processes_do_not_weigh(run: Path) -> None:
    """The mean of the processes' own means would be another loss here."""
    each = [read(place(run, WHOLE["adamw-2"]), rank) for rank in (0, 1)]
    counts = [[sum(map(len, process[step])) for process in each] for step in range(STEPS)]
    assert sum(a != b for a, b in counts) > STEPS / 2


@pytest.mark.parametrize(("name", "whole"), [("killed", "adamw-2"), ("killed-fsdp", "fsdp-2")])
def test_a_training_one_of_whose_processes_was_killed_goes_on_to_the_same_end(
    name: str, whole: str, run: Path
) -> None:
    folder, undisturbed = place(run, KILLED[name]), place(run, WHOLE[whole])
    told = json.loads((run / "told.json").read_text())[name]
    assert told.startswith(f"StepCrashed: {name} failed: its process ended (killed, which is mostly for want")
    steps = [json.loads(line)[0] for line in (folder / "read-1.jsonl").read_text().splitlines()]
    assert steps == list(range(STEPS)), "it went on where it was, and did not begin anew"
    assert (folder / "killed").exists() and KILL_AT in steps
    for key in ("step", "loss", "grad_norm", "tokens", "learning_rate"):
        assert [row[key] for row in rows(folder)] == [row[key] for row in rows(undisturbed)]
    assert (folder / "model" / "model.safetensors").read_bytes() == (
        undisturbed / "model" / "model.safetensors"
    ).read_bytes()


def test_what_one_process_refuses_is_the_steps_one_line(run: Path) -> None:
    told = json.loads((run / "told.json").read_text())
    assert told["refused"] == "PbbError: training: what the second process cannot do: do it yourself"


def test_the_number_of_processes_is_asserted_within_the_step(run: Path) -> None:
    told = json.loads((run / "told.json").read_text())
    assert told["alone"] == "PbbError: training: 2 processes were asked for, 1 are there: use --launch"
    assert told["without GPUs"].startswith("PbbError: training: fsdp shares weights out over GPUs")


def test_one_process_writes_and_the_step_says_how_many_there_were(run: Path) -> None:
    folder = place(run, WHOLE["adamw-2"])
    names = {path.name for path in folder.iterdir()} - {"read-0.jsonl", "read-1.jsonl"}
    single = {path.name for path in place(run, WHOLE["adamw-1"]).iterdir()} - {"read-0.jsonl"}
    assert names == single
    done = json.loads((folder / "DONE").read_text())
    assert (done["processes"], done["threads"]) == (2, 1)
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    ended = [event["label"] for event in events if event["event"] == "done"]
    assert sorted(ended) == sorted([*WHOLE, *KILLED])
