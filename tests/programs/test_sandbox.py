"""The sandbox gives exact values back, and outlives every program that tries to take more than its share."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbb.errors import PbbError
from pbb.programs import sandbox_worker
from pbb.programs.sandbox import Outcome, Worker

ZIBBLE = "def Zibble(x):\n    y = 2 * x\n    if y > 9:\n        y -= 1\n    return y + 3\n"
ENDLESS = "def loop(x):\n    while True:\n        x += 1\n"


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker() as worker:
        yield worker


def run(worker: Worker, body: str, *args: object, seconds: float = 2.0, megabytes: int = 128) -> Outcome:
    source = "def f(*args):\n" + "".join(f"    {line}\n" for line in body.splitlines())
    return worker.execute(source, "f", [args], seconds=seconds, megabytes=megabytes)[0]


def alive(worker: Worker) -> bool:
    return worker.execute(ZIBBLE, "Zibble", [[7], [1]]) == [Outcome(16), Outcome(5)]


def test_values_and_errors_stand_in_the_order_of_the_inputs(worker: Worker) -> None:
    outcomes = worker.execute(ZIBBLE, "Zibble", [[1], ["a"], [7], []])
    assert [outcome.value for outcome in outcomes] == [5, None, 16, None]
    assert outcomes[0].error is None and outcomes[2].error is None
    assert outcomes[1].error == "TypeError: '>' not supported between instances of 'str' and 'int'"
    assert outcomes[3].error is not None and outcomes[3].error.startswith("TypeError: Zibble() missing")


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
keys = st.integers() | st.text() | st.booleans() | st.tuples(st.integers(), st.text())
literals = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(keys, inner),
    max_leaves=12,
)


@given(st.lists(literals, max_size=5))
@settings(max_examples=60, deadline=None)
def test_literals_come_back_with_their_exact_types(worker: Worker, values: list[object]) -> None:
    source = "def same(x):\n    return x"
    outcomes = worker.execute(source, "same", [[value] for value in values])
    assert [repr(outcome.value) for outcome in outcomes] == [repr(value) for value in values]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("return {1, 2}", "NotALiteral: a set"),
        ("return lambda: 1", "NotALiteral: a function"),
        ("return float('nan')", "NotALiteral: nan"),
        ("return [1e308 * 10]", "NotALiteral: inf"),
        ("return 10 ** 5000", "NotALiteral: an integer of more than"),
        ("return 'x' * 50_000", "NotALiteral: longer than"),
        ("return list(range(50_000))", "NotALiteral: longer than"),
        ("a = []\na.append(a)\nreturn a", "NotALiteral: nested deeper"),
        ("raise KeyError(10 ** 5000)", "KeyError"),
        ("return f()", "RecursionError"),
        ("return 1 // 0", "ZeroDivisionError"),
    ],
)
def test_what_is_no_short_literal_is_an_error(worker: Worker, body: str, error: str) -> None:
    outcome = run(worker, body)
    assert outcome.value is None and outcome.error is not None and outcome.error.startswith(error)
    assert alive(worker)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("import os\nos.system('true')", "ImportError"),
        ("import socket", "ImportError"),
        ("open('/etc/passwd').read()", "NameError"),
        ("eval('1')", "NameError"),
        ("class A: pass", "NameError"),
        ("().__class__.__bases__[0].__subclasses__()", "NameError: a program may not use the name __"),
        ("return f'{args.__class__}'", "NameError: a program may not use the name __class__"),
        (
            "match args:\n    case tuple(__class__=c):\n        return 1",
            "NameError: a program may not use the name __",
        ),
        ("g = (1 for _ in args)\nreturn g.gi_frame.f_back.f_globals", "NameError: a program may not use"),
        ("return (lambda x: x.__𝒸lass__)(1)", "NameError: a program may not use the name __class__"),
    ],
)
def test_ways_out_are_shut(worker: Worker, body: str, error: str) -> None:
    outcome = run(worker, body)
    assert outcome.error is not None and outcome.error.startswith(error)
    assert alive(worker)


@pytest.mark.parametrize("body", ["while True: pass", "return 10 ** 10 ** 9", "return sum(range(10 ** 12))"])
def test_a_program_that_does_not_end_costs_its_deadline(worker: Worker, body: str) -> None:
    start = time.monotonic()
    assert run(worker, body, seconds=0.3) == Outcome(None, "Deadline: no answer in 0.3 s")
    assert 0.25 < time.monotonic() - start < 30
    assert alive(worker)


@pytest.mark.parametrize(
    "body",
    [
        "return len('x' * 10 ** 10)",
        "x = [0]\nwhile True:\n    x += x",
        "x = []\nwhile True:\n    x.append(x * 9)",
    ],
)
def test_memory_has_a_limit(worker: Worker, body: str) -> None:
    outcome = run(worker, body, seconds=20, megabytes=96)
    assert outcome.error is not None and outcome.error.startswith(("MemoryError", "Killed"))
    assert alive(worker)


def test_one_endless_loop_in_a_batch_costs_only_itself(worker: Worker) -> None:
    jobs = [(ZIBBLE, "Zibble", [[7]])] * 20
    jobs[11] = (ENDLESS, "loop", [[1], [2]])
    outcomes = list(worker.execute_many(jobs, seconds=1))
    assert outcomes[11] == [Outcome(None, "Deadline: no answer in 1 s")] * 2
    assert outcomes[:11] + outcomes[12:] == [[Outcome(16)]] * 19


def test_a_program_that_kills_its_process_is_the_only_one_to_fail(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child is killed at programs 0 and 5; program 3 suffers unless it is the first."""
    asked: list[int] = []
    ask = worker._ask

    def dying(kind: str, jobs: list[tuple[Any, ...]], *limits: Any) -> tuple[bytes, list[bytes]]:
        asked.append(len(jobs))
        until = next(
            (i for i, job in enumerate(jobs) if job[1] == "dies" or (job[1] == "suffers" and i)), None
        )
        if until is None:
            return ask(kind, jobs, 2.0, 128)
        return sandbox_worker.ENDED, ask(kind, jobs[:until], 2.0, 128)[1] if until else []

    monkeypatch.setattr(worker, "_ask", dying)
    names = ["dies", "Zibble", "Zibble", "suffers", "Zibble", "dies", "Zibble"]
    jobs = [(ZIBBLE.replace("Zibble", name), name, [[7]]) for name in names]
    outcomes = list(worker.execute_many(jobs))
    killed = [Outcome(None, "Killed: the process ended")]
    assert outcomes == [killed if name == "dies" else [Outcome(16)] for name in names]
    assert asked == [7, 6, 4, 2, 1]


def test_the_worker_comes_back_after_its_server_was_killed(worker: Worker) -> None:
    worker._server.kill()
    worker._server.wait()
    assert worker.execute(ZIBBLE, "Zibble", [[7]]) == [Outcome(None, "Killed: the process ended")]
    assert alive(worker)


def test_many_programs_come_lazily_in_order_and_share_a_fork(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = 0
    asked: list[int] = []
    ask = worker._ask

    def counting(kind: str, jobs: list[tuple[Any, ...]], *limits: Any) -> tuple[bytes, list[bytes]]:
        asked.append(len(jobs))
        return ask(kind, jobs, *limits)

    def jobs() -> Iterator[tuple[str, str, list[list[int]]]]:
        nonlocal taken
        for taken in range(1, 1001):
            yield f"def P(x):\n    return x + {taken}", "P", [[x] for x in range(50)]

    monkeypatch.setattr(worker, "_ask", counting)
    outcomes = worker.execute_many(jobs())
    assert taken == 0
    assert next(outcomes)[49] == Outcome(50) and taken == 256
    assert [program[0].value for program in outcomes] == list(range(2, 1001))
    assert asked == [256, 256, 256, 232]


def test_the_order_of_a_set_is_the_same_in_every_worker(worker: Worker) -> None:
    body = "return list({'tar', 'fig', 'oak', 'elm', 'ash', 'yew'})"
    with Worker() as other:
        assert run(worker, body) == run(other, body)


def test_nothing_heavy_is_loaded_on_the_way() -> None:
    code = "import sys, pbb.programs.sandbox; print({'torch', 'numpy', 'transformers'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_inputs_that_are_no_literals_are_refused(worker: Worker) -> None:
    with pytest.raises(PbbError, match="inputs of Zibble"):
        worker.execute(ZIBBLE, "Zibble", [[object()]])
    assert alive(worker)


# --- what the limits hold off when the language does not: tried from plain Python after `confine` ---

ATTEMPTS = {
    "fork": ("os.fork()", "BlockingIOError"),
    "read a file": ("open('/etc/passwd')", "OSError"),
    "write a file": ("open('/tmp/pbb-sandbox', 'w')", "OSError"),
    "write into a file that is open": ("os.write(kept, b'x')", "OSError"),
    "open a socket": ("socket.socket()", "OSError"),
    "take memory": ("bytearray(1 << 30)", "MemoryError"),
    "raise a limit": ("resource.setrlimit(resource.RLIMIT_AS, (1 << 34, 1 << 34))", "ValueError"),
    "run a program": ("os.posix_spawn('/bin/true', ['true'], {})", "BlockingIOError"),
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_limits(attempt: str, tmp_path: Path) -> None:
    code, error = ATTEMPTS[attempt]
    script = f"""
import os, resource, socket, sys
sys.path.insert(0, {str(Path(sandbox_worker.__file__).parent)!r})
import sandbox_worker
kept = os.open({str(tmp_path / "kept")!r}, os.O_CREAT | os.O_WRONLY)
sandbox_worker.confine(2, 256)
try:
    {code}
    print("done")
except Exception as error:
    print([base.__name__ for base in type(error).__mro__])
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    assert f"'{error}'" in result.stdout, result


# --- traces ---


def test_a_trace_shows_what_each_line_changed(worker: Worker) -> None:
    lines = worker.trace(ZIBBLE, "Zibble", [7])
    assert [line.lineno for line in lines] == [2, 3, 4, 5]
    assert [line.before for line in lines] == [
        {"x": 7},
        {"x": 7, "y": 14},
        {"x": 7, "y": 14},
        {"x": 7, "y": 13},
    ]
    assert [line.after for line in lines] == [
        {"x": 7, "y": 14},
        {"x": 7, "y": 14},
        {"x": 7, "y": 13},
        {"x": 7, "y": 13},
    ]
    assert [line.returned for line in lines] == [None, None, None, Outcome(16)]


def test_a_trace_copies_what_is_changed_in_place(worker: Worker) -> None:
    lines = worker.trace("def f(a):\n    a.append((2,))\n    a[0] = {}\n    return a", "f", [[1]])
    assert [line.before["a"] for line in lines] == [[1], [1, (2,)], [{}, (2,)]]


def test_a_trace_goes_into_functions_of_the_program(worker: Worker) -> None:
    source = "def g(z):\n    return z + 1\n"
    source += "def f(x):\n    k = lambda: 1\n    y = g(x)\n    return sum(i for i in [y])\n"
    lines = worker.trace(source, "f", [4])
    assert [(line.function, line.lineno) for line in lines] == [("f", 4), ("f", 5), ("g", 2), ("f", 6)]
    assert lines[1].after == {"x": 4, "y": 5}  # and no k, which is a function
    assert lines[2].returned == Outcome(5) and lines[3].returned == Outcome(5)


def test_a_line_that_raises_returns_nothing(worker: Worker) -> None:
    source = "def g():\n    raise ValueError\n"
    source += "def f():\n    try:\n        g()\n    except ValueError:\n        return 1\n"
    lines = worker.trace(source, "f", [])
    assert [line.returned for line in lines if line.function == "g"] == [None]
    assert lines[-1].returned == Outcome(1)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (ENDLESS, "TooManySteps: more than 40"),
        (
            "def loop(x):\n    try:\n" + " " * 8 + "while x: x += 1\n    except:\n        return 1",
            "TooManySteps: more",
        ),
        ("def loop(x):\n    return 1 // 0", "ZeroDivisionError"),
        ("def loop(x):\n    return sum(range(10 ** 12))", "Deadline"),
        ("def loop(x):\n    return {x}", "NotALiteral: a set"),
    ],
)
def test_a_trace_without_an_end_is_an_error(worker: Worker, source: str, error: str) -> None:
    with pytest.raises(PbbError, match=error):
        worker.trace(source, "loop", [1], max_steps=40, seconds=1)
    traced, after = worker.trace_many(
        [(source, "loop", [1]), (ZIBBLE, "Zibble", [7])], max_steps=40, seconds=1
    )
    assert traced.error is not None and traced.error.startswith(error) and len(traced.lines) <= 40
    assert after.error is None and after.lines[-1].returned == Outcome(16)


@pytest.mark.parametrize(
    "source",
    [
        "def f(n):\n    a = [i * i for i in range(n)]\n    return a",
        "def f(n):\n    a = {i: [j for j in range(i)] for i in range(n)}\n    return a",
        "def f(n):\n    a = {\n        i\n        for i in range(n)\n    }\n    return len(a)",
    ],
    ids=["a list", "one in another", "over several lines"],
)
def test_a_trace_passes_over_the_rounds_of_a_comprehension(worker: Worker, source: str) -> None:
    """On every Python: since 3.12 they would be lines of the function, with the comprehension's variables among its own."""
    lines = worker.trace(source, "f", [3])
    assert sum(line.after != line.before for line in lines) <= 1
    assert {name for line in lines for name in line.after} <= {"n", "a"}
    assert lines[-1].returned is not None


def test_a_comprehension_binds_in_a_trace_what_it_binds_outside(worker: Worker) -> None:
    source = "def f(n):\n    b = [a for i in range(n) if (a := i * 2)]\n    return a, b"
    lines = worker.trace(source, "f", [3])
    assert lines[0].after == {"n": 3, "a": 4, "b": [2, 4]}
    assert [lines[-1].returned] == worker.execute(source, "f", [[3]]) == [Outcome((4, [2, 4]))]


def test_a_trace_gives_variables_in_the_order_in_which_they_were_bound(worker: Worker) -> None:
    """On every Python: since 3.13 a frame lists them as the compiler met them."""
    source = "def f(n):\n    if n > 5:\n        c = 1\n    b = n\n    c = n + 1\n    del b\n    b = 2\n    return b"
    lines = worker.trace(source, "f", [1])
    assert [list(line.after) for line in lines] == [
        ["n"],
        ["n", "b"],
        ["n", "b", "c"],
        ["n", "c"],
        ["n", "c", "b"],
        ["n", "c", "b"],
    ]
