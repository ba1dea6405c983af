"""What Ray and Slurm are asked for, and what becomes of a step that they refuse, stop, or give another GPU."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import cluster_steps  # noqa: E402
import fake_steps  # noqa: E402
from fake_sweep import made, run  # noqa: E402

import pbb  # noqa: E402
from pbb import estimate  # noqa: E402
from pbb.cli import main  # noqa: E402
from pbb.errors import PbbError  # noqa: E402
from pbb.graph import ALL, Step  # noqa: E402
from pbb.options import launched  # noqa: E402
from pbb.sweep import ATTEMPTS  # noqa: E402
from pbb.tasks import Task, on_ray, on_slurm, share  # noqa: E402

Refused = Callable[..., AbstractContextManager[None]]


@pytest.fixture(autouse=True)
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "preflight", lambda recipe, workers: [])
    here, package = Path(__file__).parent, Path(pbb.__file__).parents[1]
    # for processes that a cluster starts
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (here, package))))


def of(function: str, label: str, **more: Any) -> Step:
    """A step of a function of cluster_steps."""
    return replace(fake_steps.step(label, **more), function=f"cluster_steps:{function}")


@pytest.mark.parametrize(
    ("nodes", "kind", "processes", "shared"),
    [
        ([(2, 0), (4, 0)], "train", 1, (4, 0)),  # a task lies within one node
        ([(64, 8)], "train", 1, (8, 1)),  # so that eight train side by side
        ([(64, 8)], "train", 2, (16, 2)),
        ([(64, 8)], "evaluate", 1, (8, 1)),
        ([(64, 8)], "documents", 1, (64, 0)),
        ([(96, 0), (16, 4), (12, 2)], "train", 1, (6, 1)),
        ([(96, 0), (16, 4), (12, 2)], "train", 4, (16, 4)),
        ([(2, 4)], "train", 1, (1, 1)),
        ([(0, 0)], "train", 1, (1, 0)),
    ],
)
def test_a_task_of_ray_asks_for_what_one_node_has(
    nodes: list[tuple[int, int]], kind: str, processes: int, shared: tuple[int, int]
) -> None:
    assert share(fake_steps.step("large", kind=kind, processes=processes, cores=ALL), nodes) == shared


def test_more_processes_than_a_node_has_gpus_are_refused(refused: Refused) -> None:
    with refused("train big", "processes: 4", "--processes 2"):
        share(fake_steps.step("train big", kind="train", processes=4), [(8, 2), (8, 2)])


def finish(place: Any, step: Step) -> None:
    task = place.start(step)
    while not place.ended(task):
        time.sleep(0.05)


@pytest.fixture
def two_nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A cluster of Ray: 2 cores, and 4 cores with 2 GPUs that are only counted."""
    from ray.cluster_utils import Cluster

    nodes = Cluster(True, head_node_args={"num_cpus": 2, "num_gpus": 0, "include_dashboard": False})
    nodes.add_node(num_cpus=4, num_gpus=2)
    monkeypatch.setenv("RAY_ADDRESS", nodes.address)
    try:
        yield
    finally:
        nodes.shutdown()


@pytest.mark.skipif(not find_spec("ray"), reason="ray is not installed")
def test_on_two_nodes_a_large_step_runs_and_sees_the_gpu_that_it_was_granted(
    two_nodes: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    class Holder:
        def held(self) -> list[int]:
            return ray.get_gpu_ids()

    monkeypatch.setattr("pbb.tasks.Task", cluster_steps.Granted)
    place: Any = on_ray(None, 1)(tmp_path)
    try:
        assert sorted(place.nodes) == [(2, 0), (4, 2)]  # else what follows would wait for ever
        large = fake_steps.step("large", kind="report", cores=ALL)
        first, second = (of("gpus", name, kind="train", cores=ALL) for name in ("first", "second"))
        finish(place, large)
        finish(place, first)
        holder = ray.remote(Holder).options(num_gpus=1, num_cpus=0).remote()  # so that the next gets another
        ray.get(holder.held.remote())
        finish(place, second)
    finally:
        place.close()
    threads = [
        json.loads((tmp_path / "steps" / s.folder / "DONE").read_text())["threads"]
        for s in (large, first, second)
    ]
    assert threads == [4, 2, 2]
    granted = [json.loads((tmp_path / f"{s.label}.json").read_text()) for s in (first, second)]
    seen = [json.loads((tmp_path / "steps" / s.folder / "gpus.json").read_text()) for s in (first, second)]
    assert seen == granted and granted[0] != granted[1]


Slurm = Callable[[str], None]


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    """`slurm("echo Submitted batch job 7")`: what sbatch does; nothing is run."""

    def make(sbatch: str = "echo Submitted batch job 7") -> None:
        for name, line in {"sbatch": sbatch, "srun": "exit 0", "scancel": "exit 0"}.items():
            path = tmp_path / "bin" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"#!/bin/sh\n{line}\n")
            path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")

    return make


def asked(job: Any) -> dict[str, str]:
    """What a job asks sbatch for."""
    lines = job.paths.submission_file.read_text().splitlines()
    flags = [line.removeprefix("#SBATCH --") for line in lines if line.startswith("#SBATCH --")]
    return dict(flag.split("=", 1) for flag in flags if "=" in flag)


submitted = pytest.mark.skipif(not find_spec("submitit"), reason="submitit is not installed")


@submitted
def test_slurm_is_asked_for_gpus_by_what_computes_on_them_alone(slurm: Slurm, tmp_path: Path) -> None:
    slurm("echo Submitted batch job 7")
    place = on_slurm(None, 1, ["gpus_per_node=1", "slurm_mem_per_gpu=8G", "slurm_qos=gpu"])(tmp_path)
    jobs = {
        kind: place.start(fake_steps.step(kind, kind=kind, processes=2 if kind == "train" else 1))
        for kind in ("programs", "documents", "train", "evaluate", "score", "report")
    }
    wanted = {kind: {k: v for k, v in asked(job).items() if "gpu" in k} for kind, job in jobs.items()}
    assert wanted.pop("train") == {"gpus-per-node": "2", "mem-per-gpu": "8G"}
    assert wanted.pop("evaluate") == {"gpus-per-node": "1", "mem-per-gpu": "8G"}
    assert wanted == dict.fromkeys(("programs", "documents", "score", "report"), {})
    assert {asked(job)["qos"] for job in jobs.values()} == {"gpu"}
    assert jobs["train"].submission().function.gpu == "gpus_per_node=1, slurm_mem_per_gpu=8G"
    assert jobs["score"].submission().function.gpu == ""


def test_without_the_gpu_that_was_asked_for_nothing_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = Task(fake_steps.step("train", kind="train"), tmp_path, 1, 1, "gpus_per_node=1")
    monkeypatch.setattr("pbb.tasks.devices", lambda: 0)
    line = task()
    assert line and "no GPU is seen" in line and "--task gpus_per_node=1" in line and "\n" not in line
    assert not (tmp_path / "steps").exists()
    monkeypatch.setattr("pbb.tasks.devices", lambda: 1)
    assert task() is None


@submitted
@pytest.mark.parametrize(
    ("workers", "threads", "large", "small"),
    [
        (None, 1, (6, 6, 1), (1, 1, 1)),
        (None, 2, (6, 3, 2), (2, 1, 2)),
        (2, 2, (4, 2, 2), (2, 1, 2)),
        (None, 8, (6, 1, 6), (6, 1, 6)),
    ],
)
@pytest.mark.parametrize("key", ["cpus_per_task", "slurm_cpus_per_task"])
def test_the_cores_of_a_job_are_those_that_are_given(
    key: str,
    workers: int | None,
    threads: int,
    large: tuple[int, int, int],
    small: tuple[int, int, int],
    slurm: Slurm,
    tmp_path: Path,
) -> None:
    slurm("echo Submitted batch job 7")
    place = on_slurm(workers, threads, [f"{key}=6"])(tmp_path)
    for cores, expected in ((ALL, large), (1, small)):
        job = place.start(fake_steps.step(f"of {cores}", cores=cores))
        task = job.submission().function
        assert (int(asked(job)["cpus-per-task"]), task.workers, task.threads) == expected


@submitted
@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("mem_gb=80GB", ("mem_gb", "80GB")),
        ("gpus_per_node=a100:1", ("gpus_per_node", "a100:1")),
        ("cpus_per_task=many", ("cpus_per_task=many", "whole number")),
        ("nonsense=1", ("nonsense",)),
    ],
)
def test_a_parameter_that_submitit_does_not_take_is_one_line(
    task: str,
    words: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("pbb.sweep.points", lambda *_: made([3]))
    command = ["sweep", "fake", "--out", str(tmp_path), "--on", "slurm", "--task", "cluster=local"]
    assert main([*command, "--task", task]) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("pbb: ")]
    assert line.startswith("pbb: --task") and all(word in line for word in words)
    assert not list(tmp_path.rglob("DONE"))


@submitted
def test_a_job_that_sbatch_refuses_is_one_line(
    slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    slurm("echo 'sbatch: error: Requested node configuration is not available' >&2; exit 1")
    monkeypatch.setattr("pbb.sweep.points", lambda *_: made([3]))
    assert main(["sweep", "fake", "--out", str(tmp_path), "--on", "slurm"]) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("pbb: ")]
    assert "shared" in line and "Requested node configuration is not available" in line


@submitted
@pytest.mark.parametrize("signals", [["SIGTERM"], ["SIGUSR2"], ["SIGTERM", "SIGUSR2"]], ids="+".join)
def test_a_job_that_must_make_room_is_queued_again_without_counting(
    signals: list[str], tmp_path: Path
) -> None:
    (point,) = made([3])
    shared, train, score = point.steps
    train = of("preempted", "train 3", kind="train", times=ATTEMPTS, signals=signals)
    found = [replace(point, steps=[shared, train, replace(score, parents={"train": train})])]
    progress = run(found, tmp_path, on_slurm(1, 1, ["cluster=local"]))
    assert (progress.points[0].failed, progress.attempts) == (None, {})
    assert len(list((progress.root / "steps" / train.folder / "tries").iterdir())) == ATTEMPTS


def test_the_processes_of_other_machines_are_not_counted_here(
    refused: Refused, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with refused("--launch fsdp", "--processes"):
        launched("fsdp", None, elsewhere=True)
    assert launched("torchrun", 4, elsewhere=True) == ["processes=4"]
    monkeypatch.setattr("pbb.tasks.on_slurm", lambda *_: None)
    monkeypatch.setattr("pbb.tasks.on_ray", lambda *_: None)
    monkeypatch.setattr("pbb.sweep.points", lambda *_: pytest.fail("it was counted here"))
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    for on in ("slurm", "ray"):
        assert main(["sweep", "fake", "--on", on, "--launch", "torchrun"]) == 2
        assert "give --processes with it" in capfd.readouterr().err


@pytest.mark.skipif(not find_spec("ray"), reason="ray is not installed")
@pytest.mark.parametrize(("workers", "threads", "cores"), [(None, 2, 8), (3, 2, 6), (None, 3, 6)])
def test_a_cluster_started_here_has_no_more_cores_than_there_are(
    workers: int | None,
    threads: int,
    cores: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import ray

    told: list[Any] = []
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(sys.modules["pbb.run"], "available_cores", lambda: 8)  # pbb.run is a function too
    monkeypatch.setattr(ray, "init", lambda **given: told.append(given["num_cpus"]))
    monkeypatch.setattr(ray, "nodes", lambda: [])
    on_ray(workers, threads)(tmp_path)
    assert told == [cores]


@pytest.mark.skipif(bool(find_spec("ray")), reason="ray is installed")
def test_without_ray_one_line_names_the_extra(refused: Refused) -> None:
    with refused("ray", "pbb[sweep]"):
        on_ray(None, 1)


@pytest.mark.skipif(not find_spec("submitit"), reason="submitit is not installed")
def test_without_slurm_one_line_says_so(
    refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with refused("no sbatch"):
        on_slurm(None, 1, [])
    with refused("--task partition"):
        on_slurm(None, 1, ["partition"])
    with pytest.raises(PbbError, match="submitit's parameters"):
        run(made([3]), tmp_path, on_slurm(1, 1, ["cluster=local", "nonsense=1"]))
