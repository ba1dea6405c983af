"""What the two walls let through, each tried from inside: every system call there is behind the filter, and bubblewrap without the filter."""

from __future__ import annotations

import json
import platform
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pbb.programs.isolation import STANDARD, Isolated, interpreter, unavailable, walls
from pbb.programs.isolation_worker import CALLS

REASON = unavailable()
pytestmark = pytest.mark.skipif(REASON is not None, reason=f"no isolation here: {REASON}")
HIGHEST = 480  # above the last number that Linux gives to a call (those of 6.15 end at 467)
UNFILTERED = (335, 336)
"""uretprobe and uprobe on x86-64: newer kernels let them past every filter, and refuse them themselves, or end the process, where no probe is set."""
X32 = 0x40000000
"""Set in a number it names another instruction set's call on x86-64: a way round many filters."""


@pytest.fixture(scope="module")
def worker() -> Iterator[Isolated]:
    with (
        pytest.MonkeyPatch.context() as patch,
        Isolated(allowed=True, modules=(*STANDARD, "os", "sys", "ctypes", "mmap", "time", "gc")) as worker,
    ):
        patch.setenv("PBB_TEST_TOKEN", "secret")
        (fork,) = worker.execute("import os\ndef f():\n    return os.fork()", "f", [[]])
        assert fork.error is not None and fork.error.startswith(
            "PermissionError"
        )  # else nothing below is tried
        yield worker


def inside(worker: Isolated, body: str) -> Any:
    """What a function with this body gives behind both walls."""
    source = "import ctypes, gc, json, mmap, os, sys, time\ndef f():\n" + "".join(
        f"    {row}\n" for row in body.splitlines()
    )
    (outcome,) = worker.execute(source, "f", [[]], seconds=20)
    assert outcome.error is None, outcome.error
    return outcome.value


def test_every_system_call_but_those_of_the_list_is_refused(worker: Isolated) -> None:
    """Processes, signals, files, sockets, shared memory, clocks that are set, io_uring, ptrace, bpf, mounts and what is yet to come."""
    allowed = [*CALLS[platform.machine()][1], *(UNFILTERED if platform.machine() == "x86_64" else ())]
    found = inside(
        worker,
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "libc.syscall.restype = ctypes.c_long\n"
        "passed = []\n"
        f"for number in [n for n in range({HIGHEST}) if n not in {allowed}]:\n"
        "    ctypes.set_errno(0)\n"
        "    if libc.syscall(ctypes.c_long(number), 0, 0, 0, 0, 0, 0) != -1 or ctypes.get_errno() != 1:\n"
        "        passed.append(number)\n"
        "return passed",
    )
    assert found == []


@pytest.mark.skipif(platform.machine() != "x86_64", reason="x32 is of x86-64")
def test_the_numbers_of_another_instruction_set_are_refused(worker: Isolated) -> None:
    found = inside(
        worker,
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "libc.syscall.restype = ctypes.c_long\n"
        f"return [n for n in range(600) if libc.syscall(ctypes.c_long({X32} | n), 0, 0, 0, 0, 0, 0) != -1]",
    )
    assert found == []


def test_one_descriptor_is_open_and_it_is_the_answers_pipe(worker: Isolated) -> None:
    body = "found = []\nfor d in range(256):\n    try: found.append(os.write(d, b'') and d or d)\n    except OSError: pass\nreturn len(found)"
    assert inside(worker, body) == 1


def test_nothing_of_the_environment_is_there(worker: Isolated) -> None:
    found = inside(worker, "return dict(os.environ)")
    assert set(found) <= {
        "PYTHONHASHSEED",
        "PYTHONPATH",
        "LD_LIBRARY_PATH",
        "DYLD_LIBRARY_PATH",
        "LC_CTYPE",
        "PWD",
    }


def test_a_program_leaves_nothing_for_the_next(worker: Isolated) -> None:
    """Neither in a module nor in memory that it shares: each runs in a process forked anew."""
    left = "json.left = mmap.mmap(-1, 4096)\njson.left[:4] = b'left'\nsys.modules['left'] = json\nreturn hasattr(json, 'left')"
    assert inside(worker, left) is True
    assert inside(worker, "return [hasattr(json, 'left'), 'left' in sys.modules]") == [False, False]


def test_the_clock_is_read_and_not_set(worker: Isolated) -> None:
    """What is let through of time: it passes. Which is why two runs, and not one, decide whether a program is taken."""
    assert inside(worker, "return time.time() > 10 ** 9 and time.monotonic() > 0") is True
    assert (
        inside(
            worker,
            "try: time.clock_settime(time.CLOCK_REALTIME, 0.0)\nexcept PermissionError: return 'refused'",
        )
        == "refused"
    )


PROBE = r"""
import ctypes, json, os, socket
found = {"root": sorted(os.listdir("/")), "uid": os.getuid(), "host": socket.gethostname()}
def tried(what, *arguments):
    try:
        return repr(what(*arguments))
    except OSError as error:
        return type(error).__name__ + " " + str(error.errno)
found["written"] = {d: tried(lambda: open(os.path.join(d, "x"), "w")) for d in ("/", "/usr", "/usr/lib", "/pbb", "/pbb/programs", "/tmp")}
found["read"] = {p: tried(lambda: open(p).read(1)) for p in PATHS}
found["processes"] = {n: tried(os.kill, n, 0) for n in PIDS}
found["network"] = tried(lambda: socket.create_connection(("127.0.0.1", PORT), 2))
found["away"] = tried(lambda: socket.create_connection(("192.0.2.1", 80), 2))
libc = ctypes.CDLL(None, use_errno=True)
found["capable"] = [c for c in range(41) if libc.prctl(23, c, 0, 0, 0) == 1]
found["shared"] = libc.shmget(KEY, 4096, 0)
found["mounted"] = libc.mount(b"none", b"/usr", b"tmpfs", 0, None)
print(json.dumps(found))
"""
KEY = 0x70626200


def test_bubblewrap_alone_shows_nothing_of_the_machine(tmp_path: Path) -> None:
    """The first wall without the second: no files of the user's, no processes, no network, no shared memory, nothing to write on."""
    import ctypes
    import os

    secret = tmp_path / "secret"
    secret.write_text("secret")
    libc = ctypes.CDLL(None, use_errno=True)
    segment = libc.shmget(KEY, 4096, 0o1000 | 0o666)
    with socket.create_server(("127.0.0.1", 0)) as server:
        given = {
            "PATHS": [str(secret), "/etc/passwd", "/proc/self/environ", "/proc/1/environ", "/dev/shm", "/dev/mem", "/sys/kernel", "/home", "/var"],
            "PIDS": [os.getpid(), os.getppid()], "PORT": server.getsockname()[1], "KEY": KEY,
        }  # fmt: skip
        assigned = "".join(f"{name} = {value!r}\n" for name, value in given.items())
        done = subprocess.run(
            [*walls(), *interpreter(), "-c", assigned + PROBE],
            capture_output=True,
            text=True,
            cwd="/",
            env={},
        )
    if segment >= 0:
        libc.shmctl(segment, 0, None)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    home = interpreter()[0].split("/")[1]  # of a Python that is not the system's
    assert set(found["root"]) <= {"usr", "lib", "lib64", "etc", "pbb", home}, found["root"]
    assert found["uid"] == 65534
    assert all(
        said.startswith(("OSError 30", "PermissionError", "FileNotFoundError"))
        for said in found["written"].values()
    ), found
    assert all(said == "FileNotFoundError 2" for said in found["read"].values()), found["read"]
    assert all(said == "ProcessLookupError 3" for said in found["processes"].values()), found["processes"]
    assert found["network"].startswith(("ConnectionRefusedError", "OSError 101", "OSError 99")), found[
        "network"
    ]
    assert found["away"].startswith("OSError 101"), found["away"]  # unreachable: there is no way out at all
    assert found["capable"] == [] and found["shared"] == -1 and found["mounted"] == -1
