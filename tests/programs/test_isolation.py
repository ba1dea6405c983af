"""Third-party code: refused unless allowed, and behind a wall that hostile programs neither get through nor bring down."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pbb.errors import PbbError
from pbb.programs import isolation
from pbb.programs.isolation import STANDARD, Isolated, unavailable
from pbb.programs.sandbox import Outcome

REASON = unavailable()
walled = pytest.mark.skipif(REASON is not None, reason=f"no isolation here: {REASON}")
REACH = (
    "_io",
    "os",
    "sys",
    "io",
    "socket",
    "signal",
    "importlib",
    "subprocess",
    "ctypes",
    "threading",
    "time",
    "resource",
)
"""What no program may import, given to the hostile ones: the whitelist is no wall, and here it is not what is tested."""
DOUBLE = "def double(x):\n    return 2 * x\n"


@pytest.fixture(scope="module")
def worker() -> Iterator[Isolated]:
    with Isolated(allowed=True, modules=STANDARD + REACH) as worker:
        # The attacks below are real: none of them is tried unless a single fork fails.
        (fork,) = worker.execute("import os\ndef f():\n    return os.fork()", "f", [[]])
        assert fork.error is not None and fork.error.startswith("PermissionError")
        yield worker


def run(worker: Isolated, body: str, *, seconds: float = 2.0, megabytes: int = 256) -> Outcome:
    source = (
        "import " + ", ".join(REACH) + "\ndef f():\n" + "".join(f"    {row}\n" for row in body.splitlines())
    )
    return worker.execute(source, "f", [[]], seconds=seconds, megabytes=megabytes)[0]


def alive(worker: Isolated) -> bool:
    return worker.execute(DOUBLE, "double", [[7], ["a"]]) == [Outcome(14), Outcome("aa")]


def test_nothing_runs_without_being_allowed() -> None:
    with pytest.raises(
        PbbError, match=r"isolation: 3 functions: this would run third-party code .*give --allow-code"
    ):
        Isolated(allowed=False, what="3 functions")


def test_a_missing_bubblewrap_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(isolation, "unavailable", unavailable.__wrapped__)
    with pytest.raises(PbbError, match="bubblewrap is missing.*apt-get install bubblewrap"):
        Isolated(allowed=True)


def test_a_bubblewrap_that_fails_is_named_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(fake))
    reason = unavailable.__wrapped__()
    assert (
        reason is not None
        and "No permissions to create new namespace" in reason
        and "user namespaces" in reason
    )
    assert "\n" not in reason


ATTACKS = {
    "endless loop": ("while True: pass", "Deadline"),
    "endless loop in C": ("return 10 ** 10 ** 9", "Deadline"),
    "deaf to signals": (
        "for s in range(1, 65):\n    try: signal.signal(s, signal.SIG_IGN)\n    except (OSError, ValueError): pass\n"
        "while True:\n    try: time.sleep(9)\n    except BaseException: pass",
        "Deadline",
    ),
    "an alarm that raises": (
        "signal.signal(signal.SIGALRM, lambda *a: 1 / 0)\nsignal.setitimer(signal.ITIMER_REAL, 0.1)\nwhile True: pass",
        ("Deadline", "itimer_error"),
    ),
    "memory": ("x = [0]\nwhile True: x += x", ("MemoryError", "Killed")),
    "memory at once": ("return len(bytearray(10 ** 10))", "MemoryError"),
    "fork": ("return os.fork()", ("PermissionError", "BlockingIOError")),
    "fork bomb": ("while True:\n    try: os.fork()\n    except OSError: pass", "Deadline"),
    "threads": ("while True: threading.Thread(target=time.sleep, args=(9,)).start()", "RuntimeError"),
    "posix_spawn": ("return os.posix_spawn('/usr/bin/true', ['true'], {})", ("PermissionError", "BlockingIOError")),
    "a subprocess": ("return subprocess.run(['true']).returncode", ("OSError", "PermissionError")),
    "exec": ("os.execv('/usr/bin/true', ['true'])", "PermissionError"),
    "read a file": ("return open('/etc/passwd').read()", "NameError"),
    "read by io": ("return io.open('/etc/passwd').read()", ("OSError", "PermissionError")),
    "read by io.open_code": ("return io.open_code('/etc/passwd').read().decode()", ("OSError", "PermissionError")),
    "read by os": ("return os.open('/usr/bin/env', os.O_RDONLY)", ("OSError", "PermissionError")),
    "list a folder": ("return os.listdir('/')", ("OSError", "PermissionError")),
    "write a file": ("return io.open('/tmp/x', 'w').write('x')", ("OSError", "PermissionError")),
    "remove a file": ("os.remove('/pbb/programs/isolation_worker.py')", "PermissionError"),
    "reload os": ("importlib.reload(os)\nreturn os.fork()", ("OSError", "PermissionError", "ImportError", "FileNotFound")),
    "reload builtins": ("import builtins", "ImportError"),
    "a socket": ("return socket.socket().connect(('127.0.0.1', 80))", ("OSError", "PermissionError")),
    "look a host up": ("return socket.gethostbyname('example.com')", ("OSError", "PermissionError", "gaierror")),
    "signal the server": ("os.kill(os.getppid(), 9)", "PermissionError"),
    "signal everyone": ("os.kill(-1, 9)", "PermissionError"),
    "raise a limit": ("resource.setrlimit(resource.RLIMIT_AS, (-1, -1))", ("ValueError", "PermissionError")),
    "a library call": ("return ctypes.CDLL(None).syscall(39) * ctypes.CDLL(None).syscall(57)", ""),
    "huge output": ("return 'x' * 10 ** 8", ("NotALiteral", "MemoryError")),
    "huge output past the encoder": ("while True: os.write(PIPE, b'x' * 65536)", ("Killed", "Deadline")),
    "huge prints": ("while True: print('x' * 10 ** 6)", "Deadline"),
    "deep recursion": ("return f()", "RecursionError"),
    "deep recursion in C": ("sys.setrecursionlimit(10 ** 9)\nreturn f()", ("Killed", "MemoryError", "Deadline")),
    "a crash": ("ctypes.string_at(0)", "Killed"),
    "an exit": ("os._exit(0)", "Killed"),
    "an exception that is no Exception": ("raise SystemExit(3)", "SystemExit"),
    "an error whose text fails": (
        "class E(Exception):\n    def __str__(self): return 1 / 0\nraise E",
        "E",
    ),
}  # fmt: skip
# The pipe is the one descriptor that a write succeeds on.
PIPE = "next(d for d in range(64) if not _closed(d))"
CLOSED = "def _closed(d):\n    try: return os.write(d, b'') < 0\n    except OSError: return True\n"


@walled
@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_costs_its_own_program_only(worker: Isolated, attack: str) -> None:
    body, error = ATTACKS[attack]
    body = CLOSED + body.replace("PIPE", PIPE)
    start = time.monotonic()
    outcome = run(worker, body, seconds=0.5 if "Deadline" in error else 10)
    assert time.monotonic() - start < 20
    if attack == "a library call":  # getpid is let through, fork gives -1
        assert isinstance(outcome.value, int) and outcome.value < 0
    else:
        assert outcome.error is not None and outcome.error.startswith(error), outcome
    assert alive(worker)


FORGERIES = [
    "[[1, 2, 3], {}]", "[[{}], {}]", '[[{"tuple": 3}], {}]', '[[{"dict": [[[1], 2]]}], {}]', "[[1], {\\\"a\\\": 2}]", "{}", "3", "null",
    "[[1], 4]", "[" * 5000, "9" * 9000, "\\xff",
]  # fmt: skip


@walled
@pytest.mark.parametrize("forged", FORGERIES)
def test_a_forged_answer_is_at_most_a_wrong_one(worker: Isolated, forged: str) -> None:
    body = CLOSED + f"os.write({PIPE}, b'''{forged}\\n''')\nos._exit(0)"
    outcome = run(worker, body)
    assert outcome.error is not None and outcome.error.startswith("Killed"), outcome
    traced = next(worker.trace_many([(f"import os\ndef f():\n{indented(body)}", "f", [])]))
    assert traced.lines == [] and traced.error is not None
    assert alive(worker)


def indented(body: str) -> str:
    return "".join(f"    {row}\n" for row in body.splitlines())


@walled
def test_a_program_cannot_change_its_neighbour(worker: Isolated) -> None:
    spoil = "import math, functools\ndef f(x):\n    math.gcd = None\n    functools.reduce = len\n    return 1"
    after = "import math, functools\ndef f(x):\n    return functools.reduce(math.gcd, [x, 4])"
    outcomes = list(worker.execute_many([(spoil, "f", [[6]]), (after, "f", [[6]])]))
    assert outcomes == [[Outcome(1)], [Outcome(2)]]


@walled
def test_inside_there_is_nothing_but_the_interpreter() -> None:
    """Seen by the server's own process, which has neither the limits nor the filter of a program's."""
    look = (
        "import os\nprint(sorted(os.listdir('/')), os.getuid(), [n for _, n in __import__('socket').if_nameindex()])\n"
        "try: open('/x', 'w')\nexcept OSError as e: print(e.errno)\n"
        "print(os.path.exists(os.path.expanduser('~root/.ssh')), os.path.exists('/etc/passwd'), os.path.exists('/proc/self'))"
    )
    done = subprocess.run(
        [*isolation.walls(), *isolation.interpreter(), "-c", look],
        capture_output=True,
        text=True,
        env={"HOME": "/"},
    )
    assert done.returncode == 0, done.stderr
    folders, read_only, hidden = done.stdout.splitlines()
    seen = set(eval(folders.partition("]")[0] + "]", {"__builtins__": {}}))
    home = Path(isolation.interpreter()[0]).parts[1]
    assert seen <= {"usr", "lib", "lib64", "etc", "pbb", home}
    assert " 65534 ['lo']" in folders and read_only == "30" and hidden == "False False False"


@walled
def test_real_programs_have_what_they_need(worker: Isolated) -> None:
    source = (
        "from __future__ import annotations\nimport re, collections, datetime\nfrom dataclasses import dataclass\n"
        "from typing import NamedTuple, Optional\nfrom decimal import Decimal\n"
        "@dataclass(order=True)\nclass A:\n    x: int\n    y: Optional[str] = None\n"
        "class N(NamedTuple):\n    z: int = 3\n"
        "def f(n: int) -> list:\n    print(n)\n    c = collections.Counter('abca')\n"
        "    day = datetime.datetime.strptime('2024-02-29', '%Y-%m-%d').day\n"
        "    return [max(A(n), A(1)).x, N().z, str(Decimal(1) / 4), re.sub('a', 'b', 'aaa'), dict(c), day, 'x'.encode('latin-1') == b'x']\n"
    )
    (outcome,) = worker.execute(source, "f", [[4]])
    assert outcome.value == [4, 3, "0.25", "bbb", {"a": 2, "b": 1, "c": 1}, 29, True], outcome


@walled
def test_only_the_named_modules_can_be_imported() -> None:
    with Isolated(allowed=True, modules=("math",)) as worker:
        assert worker.execute("import math\ndef f():\n    return math.gcd(4, 6)", "f", [[]]) == [Outcome(2)]
        (outcome,) = worker.execute("def f():\n    import collections\n    return 1", "f", [[]])
        assert outcome.error == "ImportError: a program may not import collections"


@walled
def test_traces_go_through_the_wall(worker: Isolated) -> None:
    lines = worker.trace(DOUBLE, "double", [4])
    assert [(line.lineno, line.returned) for line in lines] == [(2, Outcome(8))]


@walled
def test_a_trace_leaves_a_classs_comprehensions_the_names_of_the_class(worker: Isolated) -> None:
    body = "class C:\n    xs = [n, 2]\n    ys = [x for x in xs]\n    def z(self):\n        return [y + n for y in self.ys]\nreturn C().z()"
    source = "def f(n):\n" + indented(body)
    lines = worker.trace(source, "f", [3])
    assert lines[-1].function == "z" and lines[-1].returned == Outcome([6, 5])


@walled
def test_the_order_of_a_set_follows_from_the_hash_seed() -> None:
    source = "def f():\n    return list({'tar', 'fig', 'oak', 'elm', 'ash', 'yew'})"
    orders = []
    for seed in (0, 0, 1):
        with Isolated(allowed=True, hash_seed=seed) as worker:
            orders.append(worker.execute(source, "f", [[]])[0].value)
    assert orders[0] == orders[1] != orders[2]


@walled
def test_the_worker_comes_back_after_its_server_was_killed(worker: Isolated) -> None:
    worker._server.kill()
    worker._server.wait()
    assert worker.execute(DOUBLE, "double", [[7]]) == [Outcome(None, "Killed: the process ended")]
    assert alive(worker)
