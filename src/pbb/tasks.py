"""Steps as tasks of a Ray cluster or of Slurm (by submitit): what `pbb sweep --on` hands them to.

A task calls the engine of `pbb run` on one step whose parents are done, so that locks, logs, checkpoints and DONE are the same wherever it
runs. All machines see the folder of the runs and have the same pbb installed. Queueing, placing and noticing what died are Ray's and
Slurm's; how often a step is tried is the sweep's, one count for both.

Contract: a task ends in silence when its step is done, with the line of a PbbError where a person must act, as STOPPED where a signal
ended it, else with an exception.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pbb.errors import PbbError
from pbb.graph import Step
from pbb.machine import devices
from pbb.run import Stopped, at_once, execute
from pbb.sweep import Ended, Preempted, Tasks

COMPUTING = ("train", "evaluate")
"""The kinds of step that a GPU is asked for, where there are any."""
STOPPED = "stopped"


class Task:
    """One step, to be called on the machine that it was given to; the answer is the line of a PbbError, STOPPED, or None.

    gpu: what asked for a GPU, without which the step must not run.
    """

    def __init__(self, step: Step, root: Path, workers: int, threads: int, gpu: str = "") -> None:
        self.step, self.root, self.workers, self.threads, self.gpu = step, root, workers, threads, gpu
        self.folder = Path.cwd()  # a recipe may name a model's folder by a relative path
        assert step.hash  # reckoned here, by the code that the sweep was started with

    def __call__(self) -> str | None:
        with suppress(OSError):
            os.chdir(self.folder)
        if self.gpu and not devices():  # it would compute on the cores, for days, and say nothing
            return f"no GPU is seen on {platform.node()}, though --task {self.gpu} asked for one: mend its driver, or leave that out"
        try:
            execute([self.step], self.root, workers=self.workers, threads=self.threads)
        except PbbError as error:
            return str(error)
        except Stopped:
            return STOPPED
        return None

    def checkpoint(self) -> Any:
        """What submitit queues again at its signal, which comes before a job's time is up: the step goes on from its own checkpoint."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def on_ray(workers: int | None, threads: int) -> Callable[[Path], Tasks]:
    """Tasks of the cluster at RAY_ADDRESS, or of one that is started here, with `workers` cores."""
    try:
        import ray
    except ImportError as error:
        raise PbbError("sweep: ray is not installed: pip install 'pbb[sweep]'") from error

    class OnRay:
        room: int | None = None

        def __init__(self, root: Path) -> None:
            self.root = root
            own = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": at_once(workers, threads) * threads}
            ray.init(
                ignore_reinit_error=True,
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
                **own,
            )
            alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            self.nodes = [(int(has.get("CPU", 0)), int(has.get("GPU", 0))) for has in alive]

        def start(self, step: Step) -> Any:
            cores, gpus = share(step, self.nodes)
            places = max(1, min(step.cores, cores // threads))
            # A worker's fork server keeps the GPU that its first task was granted, so each task on GPUs has a worker of its own. Of options
            # alone, Ray would take no max_calls.
            remote = ray.remote(max_calls=1)(_call) if gpus else ray.remote(_call)
            asked = {"num_cpus": min(places * threads, cores), "num_gpus": gpus}
            options = remote.options(**asked, max_retries=0, name=step.label)
            return options.remote(Task(step, self.root, places, threads))

        def ended(self, task: Any) -> bool:
            if not ray.wait([task], timeout=0)[0]:
                return False
            try:
                line = ray.get(task)
            except ray.exceptions.RayError as error:
                raise Ended(_lines(error)[-1], final=False) from error
            if line:
                raise Ended(line, final=line != STOPPED)
            return True

        def close(self) -> None:
            ray.shutdown()

    return OnRay


def share(step: Step, nodes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The most cores that a step may have of one node, and the GPUs that it asks for. `nodes`: the cores and GPUs of each.

    A task lies within one node, whatever all have together; and beside a GPU it has that GPU's part of the cores, else the others stood idle.

    Raises:
        PbbError: there are GPUs, but no node has as many as the step has processes.
    """
    most = max((gpus for _, gpus in nodes), default=0)
    wanted = step.processes if most and step.kind in COMPUTING else 0
    if wanted > most:
        raise PbbError(
            f"{step.label}: processes: {wanted}: no node has more than {most} GPUs: give --processes {most}, or fewer"
        )
    found = [cores * wanted // gpus if wanted else cores for cores, gpus in nodes if gpus >= wanted]
    return max([1, *found]), wanted


def on_slurm(workers: int | None, threads: int, given: Sequence[str]) -> Callable[[Path], Tasks]:
    """Jobs of Slurm. `given` are submitit's parameters, `slurm_partition=gpu`; `cluster=local` runs them as processes here."""
    try:
        import submitit
    except ImportError as error:
        raise PbbError("sweep: submitit is not installed: pip install 'pbb[sweep]'") from error
    parameters: dict[str, Any] = {"timeout_min": 24 * 60}
    for item in given:
        key, equals, value = item.partition("=")
        if not equals:
            raise PbbError(f"--task {item}: expected key=value, for example slurm_partition=gpu")
        parameters[key] = int(value) if value.isdigit() else value
    cluster = str(parameters.pop("cluster", "slurm"))
    if cluster == "slurm" and shutil.which("sbatch") is None:
        raise PbbError(
            "sweep: there is no sbatch here: start it where Slurm is, or give --on ray, or --on local"
        )
    cpus = _cores(parameters, cluster)
    threads = min(threads, cpus or threads)
    here = min(workers or cpus, cpus // threads) if cpus else at_once(workers, threads)
    gpus = {key: parameters.pop(key) for key, value in list(parameters.items()) if _of_gpus(key, value)}
    gpus = {key: value for key, value in gpus.items() if value != 0}

    class OnSlurm:
        room = here if cluster != "slurm" else None

        def __init__(self, root: Path) -> None:
            self.root = root
            self.jobs: list[Any] = []
            self.executor("check", **gpus)  # else what is wrong with them came out at the first training

        def executor(self, folder: str, **more: Any) -> Any:
            try:
                made = submitit.AutoExecutor(folder=self.root / "jobs" / folder, cluster=cluster)
                made.update_parameters(**parameters, **more)
            except Exception as error:  # submitit asserts, and each of its clusters has errors of its own
                raise PbbError(f"--task: {_lines(error)[0]}: see submitit's parameters") from error
            return made

        def start(self, step: Step) -> Any:
            places, wanted = min(step.cores, here), gpus if step.kind in COMPUTING else {}
            asked = {
                key: step.processes if key.endswith("gpus_per_node") and isinstance(value, int) else value
                for key, value in wanted.items()
            }
            cores = places * threads
            executor = self.executor(step.folder, name=step.kind, cpus_per_task=cores, **asked)
            reason = ", ".join(f"{key}={value}" for key, value in wanted.items())
            try:
                self.jobs.append(executor.submit(Task(step, self.root, places, threads, reason)))
            except Exception as error:  # what sbatch says, or that it cannot be started
                raise PbbError(
                    f"{step.label}: its job, of {cores} cores, is refused: {_lines(error)[-1]}: mend what --task gives, as cpus_per_task"
                ) from error
            return self.jobs[-1]

        def ended(self, task: Any) -> bool:
            if not task.done():
                return False
            try:
                line = task.result()
            except Exception as error:  # whatever the step, or what became of its job, raised
                raise Ended(_lines(error)[-1], final=False) from error
            if line == STOPPED:
                task.cancel(check=False)  # Slurm may have queued it again by itself
                raise Preempted
            if line:
                raise Ended(line, final=True)
            return True

        def close(self) -> None:
            for job in self.jobs:
                if not job.done():
                    job.cancel()

    return OnSlurm


def _call(task: Task) -> str | None:
    return task()


def _cores(parameters: dict[str, Any], cluster: str) -> int | None:
    """The cores of a job that takes a whole machine, where they are given; taken out, for a small step asks for fewer."""
    found = None
    for key in ("cpus_per_task", f"{cluster}_cpus_per_task"):
        found = parameters.pop(key, found)
    if found is not None and (not isinstance(found, int) or found < 1):
        raise PbbError(f"--task cpus_per_task={found}: expected a whole number from 1")
    return found


def _of_gpus(key: str, value: Any) -> bool:
    """Whether a parameter of submitit's asks for GPUs, or says what goes with each."""
    return "gpu" in key or (key == "slurm_gres" and "gpu" in str(value))


def _lines(error: BaseException) -> list[str]:
    """What an exception has to say: of another process's the last line matters, of a refusal the first."""
    return [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
