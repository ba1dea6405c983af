"""The far side of `isolation.Isolated`: the sandbox's server, with more of Python in reach and a filter of system calls.

`Isolated` starts this file inside bubblewrap, where no file but the interpreter's and no network exist. Each program gets a child of its
own, which keeps the sandbox's limits and besides a seccomp filter: of all system calls only those for memory, clocks and the answer's
pipe are let through, so that a bug of another one cannot be tried. Filters exist for x86-64 and ARM64; elsewhere there is no isolation.

Contract: as that of `sandbox_worker`; a program imports the modules named on the command line, and nothing else.
"""

from __future__ import annotations

import ast
import builtins
import ctypes
import gc
import importlib
import platform
import struct
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from pbb.programs import sandbox_worker as far

WITHHELD = {"open", "input", "breakpoint", "help", "exit", "quit", "copyright", "credits", "license"}
# Python imports them itself in the midst of a program, when no file can be opened any more.
LAZY = ("__future__", "encodings.ascii", "encodings.latin_1", "encodings.utf_16", "encodings.utf_32", "encodings.idna",
        "encodings.punycode", "encodings.rot_13", "encodings.unicode_escape", "stringprep", "collections.abc",
        "_strptime")  # fmt: skip

# write mmap mprotect munmap brk rt_sigaction rt_sigprocmask rt_sigreturn mremap madvise sched_yield nanosleep getpid exit gettid futex
# exit_group clock_gettime clock_nanosleep getrandom sigaltstack gettimeofday restart_syscall (and time, which ARM64 has not)
CALLS = {
    "x86_64": (0xC000003E, (1, 9, 10, 11, 12, 13, 14, 15, 25, 28, 24, 35, 39, 60, 186, 202, 231, 228, 230, 318,
                            131, 96, 219, 201)),
    "aarch64": (0xC00000B7, (64, 222, 226, 215, 214, 134, 135, 139, 216, 233, 124, 101, 172, 93, 178, 98, 94, 113,
                             115, 278, 132, 169, 128)),
}  # fmt: skip
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050001, 0x80000000  # REFUSE: the call fails with EPERM
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
NO_NEW_PRIVS, SET_SECCOMP, FILTER = 38, 22, 2


def bpf(architecture: int, calls: Sequence[int]) -> bytes:
    """The filter's program: the instruction set first (each has numbers of its own), then the number of the call."""
    rows = [
        (LOAD_WORD, 0, 0, 4),
        (JUMP_IF_EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, KILL),
        (LOAD_WORD, 0, 0, 0),
    ]
    rows += [(JUMP_IF_EQUAL, len(calls) - i, 0, call) for i, call in enumerate(calls)]
    rows += [(RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW)]
    return b"".join(struct.pack("=HBBI", *row) for row in rows)


def filter_calls() -> None:
    """Let this process make no other system calls from now on.

    Raises OSError where the kernel or the machine has no such filter. Without it nothing would stop a fork bomb that root has started:
    root is exempt from the limit on processes, also where it is called nobody.
    """
    machine = platform.machine()
    if sys.platform != "linux" or machine not in CALLS:
        raise OSError(f"seccomp: no filter for {sys.platform} on {machine}")
    program = bpf(*CALLS[machine])
    code = ctypes.create_string_buffer(program, len(program))
    head = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code)))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]  # a plain int would lose half of an address
    if prctl(NO_NEW_PRIVS, 1, 0, 0, 0) or prctl(SET_SECCOMP, FILTER, ctypes.addressof(head), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp: the kernel refused the filter")


def confine(seconds: float, megabytes: int) -> None:
    """The sandbox's limits, no standard streams, and the filter."""
    sys.stdout = sys.stderr = None  # print() then does nothing
    far.confine(seconds, megabytes)
    filter_calls()


def loader(modules: Sequence[str]) -> far.Load:
    """A `load` whose programs may import these modules and use nearly all builtins."""
    allowed = frozenset((*modules, *LAZY))

    def guarded(
        name: str, space: Any = None, names: Any = None, wanted: Any = (), level: int = 0
    ) -> ModuleType:
        if level or name.partition(".")[0] not in allowed:
            raise ImportError(f"a program may not import {name}")
        return __import__(name, space, names, wanted or (), level)

    known = {name: value for name, value in vars(builtins).items() if name not in WITHHELD}

    def load(source: str | ast.Module, entry: str) -> Any:
        module = ModuleType("program")
        sys.modules["program"] = module  # where dataclasses and typing look a class's names up
        space = module.__dict__
        space["__builtins__"] = known | {"__import__": guarded}
        exec(compile(source, far.FILE, "exec", dont_inherit=True), space)
        return space[entry]

    return load


def main(modules: Sequence[str]) -> None:
    """Load all that a program may come to need, then serve."""
    for name in (*modules, *LAZY):
        importlib.import_module(name)
    platform.machine()  # asks the system once, which the child must not
    gc.collect()
    gc.freeze()  # or the first collection in every child would copy all of it
    far.serve(loader(modules), confine)


if __name__ == "__main__":
    main(sys.argv[1:])
