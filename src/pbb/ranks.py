"""One step in several processes, which PyTorch numbers by rank: torchrun's agent starts them and watches over them.

The agent runs within the step's own process and forks them from it. That process has imported torch and never computed with it (see
pbb.worker), so they start at once; and they stay in its process group, by which the run stops a step and all that belongs to it.

Contract: each process calls the same function, the first one's progress is the step's; `launch` returns what each of them returned, or
raises what the one that failed had to say, and no process is left. A step one of whose processes was killed ends in the same way.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
import traceback
import uuid
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import TypeVar

from pbb.errors import PbbError
from pbb.machine import devices, enough
from pbb.progress import Progress

T = TypeVar("T")
GRACE = 5  # seconds that the other processes have to end once one has failed
ECHO = 2.0  # seconds in which a process that was killed is noticed before those that miss it
SAID = 20_000  # characters of a traceback: all that waits in a pipe must fit into it


class RankFailed(Exception):
    """One of a step's processes failed otherwise than by a PbbError; its traceback is a note."""


def launch(work: Callable[[Progress], T], progress: Progress, processes: int) -> list[T]:
    """Call `work` in so many processes of this machine; what each returned, by rank.

    Raises:
        PbbError, OSError: one of them did, or there are fewer cores or GPUs. RankFailed: one of them failed otherwise.
    """
    # GPUs are counted without touching them: a process that is forked from one that has touched CUDA cannot use it
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    enough(processes)
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    pipes = [Pipe(duplex=False) for _ in range(processes)]
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        local_addr="127.0.0.1",
        max_restarts=0,  # the run continues from the checkpoint when it is asked to
        start_method="fork",
        logs_specs=DefaultLogsSpecs(os.devnull),
        shutdown_timeout=GRACE,
    )
    try:
        returned = elastic_launch(config, _rank)(work, progress, [theirs for _, theirs in pipes])
    except SignalException as stop:
        os._exit(128 + stop.sigval)
    except ChildFailedError as error:
        _default_signals()
        said = [ours.recv() for ours, _ in pipes if ours.poll()]
        raise _cause(said, error.get_first_failure()[1].exitcode) from None
    _default_signals()
    return [returned[rank] for rank in range(processes)]


def _rank(work: Callable[[Progress], T], progress: Progress, pipes: list[Connection]) -> T:
    """What runs in each process."""
    _default_signals()
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    import torch

    if devices():  # the model is put on the current one, before accelerate names it
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    else:  # accelerate would say "cpu:0", where torch.load puts no optimizer's state
        os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
    # A fork leaves torch's pool of threads empty. Made anew here, where there is one thread: of two that load weights at once, one finds none.
    torch.set_num_threads(torch.get_num_threads())
    rank = int(os.environ["RANK"])
    try:
        value = work(progress if rank == 0 else Progress())
        import torch.distributed

        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        return value
    except PbbError as error:
        pipes[rank].send(error)
    except BaseException as error:
        if isinstance(error, OSError) and error.errno:
            pipes[rank].send(OSError(error.errno, error.strerror, error.filename))
        else:
            pipes[rank].send(f"in process {rank}:\n{traceback.format_exc()[-SAID:]}")
            time.sleep(ECHO)
    sys.exit(1)


def _cause(said: list[Exception | str], exit_code: int) -> Exception:
    for told in said:
        if isinstance(told, Exception):
            return told
    if exit_code < 0:
        os.kill(os.getpid(), -exit_code)
    text = next((told for told in said if isinstance(told, str)), f"exit code {exit_code}")
    error = RankFailed(text.strip().splitlines()[-1])
    error.add_note(text)
    return error


def _default_signals() -> None:
    """As a step's process has them: the agent turns each of these into an exception."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
