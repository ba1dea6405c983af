"""What happens inside the process that runs one step.

Every step has a process of its own, forked from a server that has imported torch and has never computed with
it: a process whose OpenMP threads have run must not be forked, and a fresh import would cost eight seconds a
step. The process takes the folder's lock, looks once more whether somebody else has finished the work
meanwhile, sends whatever the libraries print into log.txt, runs the function and writes DONE.

Contract in one sentence: `work` ends by sending exactly one of "done", "reused", "refused" (a PbbError) or
"crashed" through its pipe, unless it is killed, and it never outlives the process that asked for it.
"""

from __future__ import annotations

import ctypes
import errno
import faulthandler
import importlib
import os
import resource
import shutil
import signal
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from pbb import folder as folders
from pbb.errors import PbbError
from pbb.progress import Progress

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
PERSONS_ERRORS = {
    errno.ENOSPC: "free some space and start again; finished steps are kept",
    errno.EDQUOT: "free some space and start again; finished steps are kept",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f) and start again; finished steps are kept",
    errno.EACCES: "choose a folder that you may write to",
    errno.EPERM: "choose a folder that you may write to",
    errno.EROFS: "choose a folder that you may write to",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EISDIR: "give a file: this is a folder",
    errno.ENOTDIR: "choose another folder: a file stands in its place",
    errno.EEXIST: "choose another folder: a file stands in its place",
}
FULL = 1 << 20  # bytes


@dataclass(frozen=True)
class Task:
    """A step as its process needs it; the paths are absolute, `record` is what inputs.json will hold.

    threads: numeric threads in all; processes: how many call the function side by side.
    """

    label: str
    function: str
    config: dict[str, Any]
    inputs: dict[str, Path]
    folder: Path
    record: dict[str, Any]
    threads: int
    processes: int = 1


def thread_environment(threads: int) -> dict[str, str]:
    """Environment variables that hold every numeric library to `threads` threads from its import on.

    And GPUs are counted without touching them: a process that is forked from one that has touched CUDA, as vLLM's engine is, cannot use it.
    """
    return {
        **dict.fromkeys(THREAD_VARIABLES, str(threads)),
        "TOKENIZERS_PARALLELISM": "false",
        "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
    }


def advice(error: OSError) -> str | None:
    """One line for an operating-system error that a person can mend (disk full, no permission), else None."""
    remedy = PERSONS_ERRORS.get(error.errno or 0)
    if remedy is None:
        return None
    return f"{error.strerror}: {error.filename or 'while writing'}: {remedy}"


def disk_full(error: BaseException, folder: Path) -> str | None:
    """One line where an error of a library's own kind (safetensors, torch) says that the disk is full, else None.

    Torch does not say it: a folder on whose disk nothing can be written any more is taken as the reason.
    """
    try:
        full = "No space left on device" in str(error) or shutil.disk_usage(folder).free < FULL
    except OSError:
        return None
    return advice(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))) if full else None


def warm() -> None:
    """Do nothing: a process that runs this proves that the fork server has finished its imports."""


def work(task: Task, pipe: Connection) -> None:
    """Run one step; see the module's contract. The messages are tuples, their first member the word."""
    _die_with_parent()
    try:
        task.folder.parent.mkdir(parents=True, exist_ok=True)
        owner = f"process {_parent_id()}"
        with folders.locked(task.folder, lambda other: pipe.send(("waiting", other)), owner):
            pipe.send(_work_locked(task, pipe))
    except PbbError as error:
        pipe.send(("refused", str(error)))
    except OSError as error:
        line = advice(error) or disk_full(error, task.folder)
        pipe.send(("refused", line) if line else _crashed(task, error))
    except BaseException as error:  # SystemExit too: a library that exits has not done the step
        line = disk_full(error, task.folder)
        pipe.send(("refused", line) if line else _crashed(task, error))


def _work_locked(task: Task, pipe: Connection) -> tuple[Any, ...]:
    state = folders.state(task.folder)
    if state == "done":
        # left where a kill struck just after the last word
        shutil.rmtree(task.folder / folders.RESUME_FROM, ignore_errors=True)
        return ("reused",)
    if state == "broken":
        aside = folders.set_aside(task.folder)
        pipe.send(
            ("notice", f"{task.label}: its folder did not match its DONE and was set aside as {aside.name}")
        )
    for folder in task.inputs.values():
        if (
            folders.state(folder) != "done"
        ):  # what was made from it would be found finished, and wrong, for ever
            raise PbbError(
                f"{task.label}: {folder}: its files have changed since the step was finished: start again, and it is made anew"
            )
    task.folder.mkdir(exist_ok=True)
    for leftover in (*task.folder.glob(".*.tmp"), task.folder / "error.txt"):
        leftover.unlink(missing_ok=True)
    folders.write_json(task.folder / "inputs.json", task.record)
    spent = _spent(task.folder / "spent.json")
    pipe.send(("started", spent["attempts"] > 0))

    _redirect_output(task.folder / "log.txt")
    faulthandler.enable(2)
    threads = max(1, task.threads // task.processes)
    os.environ.update(thread_environment(threads))
    module, _, name = task.function.partition(":")
    function = getattr(importlib.import_module(module), name)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)

    begun = time.monotonic()

    def spent_now() -> dict[str, float]:
        return {"seconds": spent["seconds"] + time.monotonic() - begun, "attempts": spent["attempts"] + 1}

    def report(done: float, total: float, note: str) -> None:
        pipe.send(("progress", done, total, note))

    def save() -> None:
        folders.write_json(task.folder / "spent.json", spent_now())

    def once(progress: Progress) -> dict[str, int]:
        function(task.config, task.inputs, task.folder, progress)
        return _peaks()

    save()
    if task.processes == 1:
        peaks = once(Progress(report, save))
    else:
        from pbb.ranks import launch

        each = launch(once, Progress(report, save), task.processes)
        peaks = {key: sum(of[key] for of in each) for key in each[0]} | {"processes": task.processes}
    sys.stdout.flush()
    sys.stderr.flush()
    save()
    folders.mark_done(task.folder, {**spent_now(), **peaks, "threads": threads})
    shutil.rmtree(task.folder / folders.RESUME_FROM, ignore_errors=True)
    return ("done", spent_now()["seconds"])


def _spent(path: Path) -> dict[str, Any]:
    """Seconds and attempts so far; none where the file is damaged, which costs nothing but this count."""
    match folders.read_json(path):
        case {"seconds": float() | int() as seconds, "attempts": int() as attempts}:
            return {"seconds": seconds, "attempts": attempts}
    return {"seconds": 0.0, "attempts": 0}


def _crashed(task: Task, error: BaseException) -> tuple[str, str, str]:
    summary = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
    path = task.folder / "error.txt"
    try:
        path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    except OSError:
        return ("crashed", summary, "")
    return ("crashed", summary, str(path))


def _peaks() -> dict[str, int]:
    unit = 1 if sys.platform == "darwin" else 1024
    peaks = {"peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        peaks["peak_device_bytes"] = torch.cuda.max_memory_allocated()
    return peaks


def _redirect_output(path: Path) -> None:
    """Point the file descriptors, not only sys.stdout, at the log: libraries in C++ print as well."""
    sys.stdout.flush()
    sys.stderr.flush()
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.close(log)


def _parent_id() -> int:
    parent = parent_process()
    return parent.pid if parent is not None and parent.pid is not None else os.getppid()


def _die_with_parent() -> None:
    """Leave with the parent, however it dies, and leave Ctrl-C to it.

    The kernel's parent-death signal covers the fork server, of which this process is a child; the run itself
    is the grandparent, watched through the pipe that multiprocessing keeps open for this. An own process
    group takes the step's own children along, and keeps a terminal's Ctrl-C away from it: the run decides how
    a step is stopped.
    """
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # the server was started with it blocked
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    parent = parent_process()
    if parent is not None:

        def follow() -> None:
            wait([parent.sentinel])
            os.killpg(0, signal.SIGKILL)

        threading.Thread(target=follow, name="follow-parent", daemon=True).start()
