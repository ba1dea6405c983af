"""Step functions, and a task, for tests of what Ray and Slurm do to them."""

from __future__ import annotations

import json
import os
import signal
import time
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

from fake_steps import count

from pbb.progress import Progress
from pbb.tasks import Task


class Granted(Task):
    """Writes which GPUs it was granted."""

    def __call__(self) -> str | None:
        import ray

        told = [str(number) for number in ray.get_gpu_ids()]
        (self.root / f"{self.step.label}.json").write_text(json.dumps(told))
        return super().__call__()


def gpus(config: dict[str, Any], inputs: dict[str, Path], out: Path, progress: Progress) -> None:
    """Writes which GPUs it sees."""
    (out / "gpus.json").write_text(json.dumps(os.environ["CUDA_VISIBLE_DEVICES"].split(",")))


def preempted(config: dict[str, Any], inputs: dict[str, Path], out: Path, progress: Progress) -> None:
    """Sends signals to the process that asked for the step, so many times, as Slurm does to a job that must make room."""
    (out / "tries").mkdir(exist_ok=True)
    made = len(list((out / "tries").iterdir()))
    if made < config["times"]:
        (out / "tries" / str(made)).touch()
        parent = parent_process()
        assert parent and parent.pid
        for name in config["signals"]:
            os.kill(parent.pid, signal.Signals[name])
        time.sleep(60)
    count(config, inputs, out, progress)
