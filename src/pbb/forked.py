"""The server that the processes of steps are forked from, which has imported what they need.

Contract: within `environment`, `start` comes back with a server from which processes fork quickly, or raises in one line why there is none.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from types import ModuleType

from pbb.errors import PbbError
from pbb.progress import Display
from pbb.worker import thread_environment, warm


def start(preload: Sequence[str], heed: Callable[[], None], display: Display) -> None:
    """Start the server and wait until it has imported `preload`, in a way that a signal can break: `heed` is called often and may raise.

    It imports once: where a server runs already, it stays as it is.

    Raises:
        PbbError: it cannot import them.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pbb.worker", *preload])
    # A terminal interrupts the server too, which shields itself only once it has imported everything. The
    # tracker comes first because starting it would lift the block again.
    resource_tracker.ensure_running()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    forkserver.ensure_running()
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    process = context.Process(target=warm)
    failures: list[BaseException] = []

    def wait() -> None:
        try:
            process.start()
            process.join()
        except (OSError, EOFError) as error:
            failures.append(error)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    thread.join(1.0)
    if thread.is_alive():
        display.line("loading the libraries")
    while thread.is_alive():
        heed()
        thread.join(0.1)
    if failures:
        command = [sys.executable, "-c", f"import {', '.join(preload)}"]
        said = subprocess.run(command, capture_output=True, text=True).stderr.strip().splitlines()
        why = said[-1] if said else f"{failures[0]!r}"
        raise PbbError(f"cannot start the processes of steps: {why}: mend the installation") from failures[0]


@contextmanager
def environment(threads: int) -> Iterator[None]:
    """What the server inherits: so many numeric threads for each step, and nothing of the calling script."""
    with _without_main(), _variables(thread_environment(threads)):
        yield


@contextmanager
def _without_main() -> Iterator[None]:
    """Hide the calling script while processes start: multiprocessing would import it again in each of them.

    The steps never need it, and a user's script without an `if __name__ == "__main__"` would run itself anew.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _variables(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables, and put the old ones back."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
