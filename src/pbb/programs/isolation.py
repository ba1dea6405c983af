"""Executes programs that others wrote: the sandbox inside bubblewrap, and only when it was allowed.

`sandbox.Worker` holds off accidents; it is no wall against code that means harm. `Isolated` has the same methods and starts the same kind
of server (`isolation_worker.py`) inside `bwrap`: its own namespaces for processes, network, users and the rest, no capabilities, and a file
system that consists of /usr and the interpreter, read only. Nothing of the user's can be read or written, and there is no network. Every
program runs in a child of its own, with the sandbox's limits, a filter of system calls (seccomp) and a deadline by SIGKILL.

What this does not protect against: a bug in the kernel, which is shared with everything else on the machine; and what can be told from the
time that a program takes. Code that is known to be hostile belongs in a virtual machine.

Contract: as that of `sandbox.Worker`, for any source whose imports are among the given modules; no Isolated exists unless it was allowed
and bubblewrap works here.

    with Isolated(allowed=True) as worker:
        worker.execute("from math import gcd\\ndef f(a, b):\\n    return gcd(a, b)", "f", [[12, 18]])
    [Outcome(value=6, error=None)]
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from pbb.errors import PbbError
from pbb.programs import isolation_worker, sandbox_worker
from pbb.programs.sandbox import Worker

STANDARD = (
    "abc", "array", "base64", "binascii", "bisect", "calendar", "cmath", "collections", "contextlib", "copy",
    "dataclasses", "datetime", "decimal", "difflib", "enum", "fractions", "functools", "hashlib", "heapq", "itertools",
    "json", "math", "numbers", "operator", "queue", "re", "statistics", "string", "struct", "textwrap", "types",
    "typing", "unicodedata", "warnings", "zlib",
)  # fmt: skip
"""Modules of the standard library that compute and do nothing else; random and time are none of them."""


PROBE = "from pbb.programs.isolation_worker import filter_calls; filter_calls()"


class Isolated(Worker):
    """A worker for third-party code, to be used from one thread, as a context manager; it takes 150 ms to start.

    what: the programs in question, for the message of the refusal. hash_seed: the order of sets follows from it.
    Raises PbbError unless `allowed`, and where bubblewrap is missing or does not work.
    """

    _batch = 1  # a program that breaks its interpreter can then forge nobody's answers but its own

    def __init__(
        self,
        allowed: bool,
        modules: Sequence[str] = STANDARD,
        *,
        what: str = "programs that others wrote",
        hash_seed: int = 0,
    ) -> None:
        if not allowed:
            raise PbbError(
                f"isolation: {what}: this would run third-party code (in bubblewrap, without network or files): "
                "give --allow-code if you want that (in a recipe data.allow_code=true)"
            )
        if reason := unavailable():
            raise PbbError(f"isolation: {what}: {reason}")
        self._modules, self._hash_seed = tuple(modules), hash_seed
        super().__init__()

    def _command(self) -> list[str]:
        return [*walls(), *interpreter(), "/pbb/programs/isolation_worker.py", *self._modules]

    def _environment(self) -> dict[str, str]:
        return super()._environment() | {"PYTHONHASHSEED": str(self._hash_seed), "PYTHONPATH": "/"}


def worker(isolate: bool | None, what: str) -> Worker:
    """The sandbox for pbb's own programs (`isolate` is None), else an Isolated, which `isolate` allows or not."""
    return Worker() if isolate is None else Isolated(isolate, what=what)


def interpreter() -> list[str]:
    """The Python that pbb runs on, without site-packages, as it is called inside."""
    return [str(Path(sys.executable).resolve()), "-s", "-S", "-P", "-B"]


def walls() -> list[str]:
    """The `bwrap` command but for what it runs: what there is inside, everything else is not."""
    command = [shutil.which("bwrap") or "bwrap", "--unshare-all", "--unshare-user", "--uid", str(sandbox_worker.NOBODY), "--gid",
               str(sandbox_worker.NOBODY), "--die-with-parent", "--new-session", "--cap-drop", "ALL"]  # fmt: skip
    command += ["--ro-bind", "/usr", "/usr", "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    for path in (Path("/lib"), Path("/lib64")):
        if path.is_symlink():
            command += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            command += ["--ro-bind", str(path), str(path)]
    # the home that the links of a virtual environment lead to, such as ~/.pyenv/versions/3.11.7
    home = str(Path(sys.executable).resolve().parent.parent)
    if home != "/usr":
        command += ["--ro-bind", home, home]
    for module in (sandbox_worker, isolation_worker):
        path = Path(str(module.__file__)).resolve()
        command += ["--ro-bind", str(path), f"/pbb/programs/{path.name}"]
    return [*command, "--remount-ro", "/", "--chdir", "/"]


@cache
def unavailable() -> str | None:
    """Why third-party code cannot be isolated here and what to do, in one line; None where it can. Asked once a process."""
    if shutil.which("bwrap") is None:
        return (
            "bubblewrap is missing, and third-party code runs nowhere else: install it "
            "(apt-get install bubblewrap, dnf install bubblewrap)"
        )
    try:
        probe = subprocess.run(
            [*walls(), *interpreter(), "-c", PROBE],
            capture_output=True,
            text=True,
            timeout=30,
            env={"PYTHONPATH": "/"},
            cwd="/",
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bwrap does not start ({error}): run it on another machine"
    if probe.returncode == 0:
        return None
    said = " ".join(probe.stderr.split())[-200:]
    if "seccomp" in said:
        return f"system calls cannot be filtered here ({said}): use Linux on x86-64 or ARM64"
    return (
        f"bwrap does not work here ({said}): it needs user namespaces, which this container or kernel has turned off: "
        "allow them (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces, "
        "kernel.apparmor_restrict_unprivileged_userns=0; a container needs seccomp=unconfined), or use another machine"
    )
