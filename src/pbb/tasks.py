"""Steps as tasks of a Ray cluster or of Slurm (by submitit): what `pbb sweep --on` hands them to.

A task calls the engine of `pbb run` on one step whose parents are done, so that locks, logs, checkpoints and DONE are the same wherever it
runs. All machines see the folder of the runs and have the same pbb installed. Queueing, placing and noticing what died are Ray's and
Slurm's; how often a step is tried is the sweep's, one count for both.

Contract: a task ends in silence when its step is done, with the line of a PbbError where a person must act, else with an exception.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pbb.errors import PbbError
from pbb.graph import Step
from pbb.machine import available_cores
from pbb.run import at_once, execute
from pbb.sweep import Ended, Tasks


class Task:
    """One step, to be called on the machine that it was given to; the answer is the line of a PbbError, or None."""

    def __init__(self, step: Step, root: Path, workers: int, threads: int) -> None:
        self.step, self.root, self.workers, self.threads = step, root, workers, threads
        self.folder = Path.cwd()  # a recipe may name a model's folder by a relative path
        assert step.hash  # reckoned here, by the code that the sweep was started with

    def __call__(self) -> str | None:
        with suppress(OSError):
            os.chdir(self.folder)
        try:
            execute([self.step], self.root, workers=self.workers, threads=self.threads)
        except PbbError as error:
            return str(error)
        return None

    def checkpoint(self) -> Any:
        """What submitit queues again where Slurm preempts the job or its time is up: the step goes on from its own checkpoint."""
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
            own = (
                {}
                if os.environ.get("RAY_ADDRESS")
                else {"num_cpus": (workers or available_cores()) * threads}
            )
            ray.init(
                ignore_reinit_error=True,
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
                **own,
            )
            has = ray.cluster_resources()
            self.cores, self.gpus = max(1, int(has.get("CPU", 1))), int(has.get("GPU", 0))

        def start(self, step: Step) -> Any:
            places = max(1, min(step.cores, self.cores // threads))
            task = Task(step, self.root, places, threads)
            gpu = step.processes if self.gpus and step.kind in ("train", "evaluate") else 0
            remote = ray.remote(_call).options(
                num_cpus=min(places * threads, self.cores), num_gpus=gpu, max_retries=0, name=step.label
            )
            return remote.remote(task)

        def ended(self, task: Any) -> bool:
            if not ray.wait([task], timeout=0)[0]:
                return False
            try:
                line = ray.get(task)
            except ray.exceptions.RayError as error:
                raise Ended(_brief(error), final=False) from error
            if line:
                raise Ended(line, final=True)
            return True

        def close(self) -> None:
            ray.shutdown()

    return OnRay


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
    here = at_once(workers, threads)

    class OnSlurm:
        room = here if cluster != "slurm" else None

        def __init__(self, root: Path) -> None:
            self.root = root
            self.jobs: list[Any] = []

        def start(self, step: Step) -> Any:
            places = min(step.cores, here)
            executor = submitit.AutoExecutor(folder=self.root / "jobs" / step.folder, cluster=cluster)
            try:
                executor.update_parameters(name=step.kind, cpus_per_task=places * threads, **parameters)
            except (NameError, TypeError, ValueError) as error:
                raise PbbError(f"--task: {_brief(error)}: see submitit's parameters") from error
            self.jobs.append(executor.submit(Task(step, self.root, places, threads)))
            return self.jobs[-1]

        def ended(self, task: Any) -> bool:
            if not task.done():
                return False
            try:
                line = task.result()
            except Exception as error:  # whatever the step, or what became of its job, raised
                raise Ended(_brief(error), final=False) from error
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


def _brief(error: BaseException) -> str:
    """The last line that an exception of another process has to say."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
