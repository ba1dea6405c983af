"""The worker's own functions, called here: what it writes down of values and errors, and what a program finds in its reach.

That all of it holds across the process is the matter of test_sandbox and test_isolation.
"""

from __future__ import annotations

import json
import os
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbb.programs import isolation_worker, sandbox_worker
from pbb.programs.sandbox import _decode

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
literals = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.integers() | st.text() | st.tuples(st.integers()), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(literals)
@settings(max_examples=100, deadline=None)
def test_what_is_encoded_decodes_to_the_same(value: object) -> None:
    assert repr(_decode(json.loads(json.dumps(sandbox_worker.encode(value))))) == repr(value)


class Sub(int):
    pass


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({1}, "a set"),
        (Sub(3), "a Sub"),
        (float("inf"), "inf"),
        (10**5000, "4,200 digits"),
        ("x" * 20_000, "longer"),
        ([0] * 6_000, "longer"),
        ({"a": [{1: print}]}, "a builtin_function_or_method"),
    ],
    ids=["set", "subclass", "infinite", "many digits", "long text", "long list", "within others"],
)
def test_what_cannot_be_written_down_is_refused(value: object, why: str) -> None:
    with pytest.raises(sandbox_worker.NotALiteral, match=why):
        sandbox_worker.encode(value)


def test_nesting_has_an_end() -> None:
    deep: object = 1
    for _ in range(sandbox_worker.MAX_DEPTH):
        deep = [deep]
    sandbox_worker.encode(deep)
    with pytest.raises(sandbox_worker.NotALiteral, match="nested"):
        sandbox_worker.encode([deep])


def called(source: str, *inputs: tuple[object, ...]) -> Any:
    return sandbox_worker.call_all(sandbox_worker.load, source, "f", list(inputs))


def test_outputs_and_errors_keep_their_places() -> None:
    source = "import math\ndef f(x):\n    return math.gcd(12, x) if x else {x}"
    assert called(source, (8,), (0,), ("a",), (3,)) == [
        [4, None, None, 3],
        {1: "NotALiteral: a set", 2: "TypeError: 'str' object cannot be interpreted as an integer"},
    ]
    assert called("def f(x):\n    return x * 2**62", (1,), (2,)) == [[2**62, 2**63], {}]


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("def g():\n    pass", "KeyError: 'f'"),
        ("def f(:", "SyntaxError"),
        ("import os\ndef f(x):\n    return 1", "ImportError: a program may import math and itertools only"),
        ("def f(x):\n    return x.__class__", "NameError: a program may not use the name __class__"),
        (
            "def f(x):\n    return (lambda: x.gi_frame)()",
            "NameError: a program may not use the name gi_frame",
        ),
        ("def f(x):\n    match x:\n        case int(f_back=y):\n            return y", "NameError"),
    ],
)
def test_a_program_that_cannot_be_loaded_fails_on_every_input(source: str, error: str) -> None:
    outputs, errors = called(source, (1,), (2,))
    assert outputs == [None, None] and list(errors) == [0, 1]
    assert all(said.startswith(error) for said in errors.values())


def test_an_error_that_cannot_be_printed_still_has_its_name() -> None:
    assert called("def f(x):\n    raise KeyError(10 ** 5000)", (1,)) == [[None], {0: "KeyError"}]


def test_each_job_is_answered_by_a_line_at_once() -> None:
    near, far = os.pipe()
    jobs = [("def f(x):\n    return x", "f", [(1,)]), ("def f(x):\n    return [x]", "f", [(2,), (3,)])]
    sandbox_worker.run("call", jobs, far, sandbox_worker.load)
    assert [json.loads(line) for line in os.read(near, 1 << 16).splitlines()] == [[[1], {}], [[[2], [3]], {}]]
    os.close(near)
    os.close(far)


@pytest.mark.parametrize(
    ("written", "hold", "ending"),
    [
        (b"1\n2\n", False, b"e"),
        (b"1\n", True, b"d"),
        (b"x" * 9, False, b"f"),
        (b"1\n2\n3\n", True, b"f"),  # two jobs
    ],
    ids=["ended", "silent", "flood", "lines"],
)
def test_a_child_is_watched_until_it_ends_or_is_silent_or_writes_too_much(
    written: bytes, hold: bool, ending: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox_worker, "MAX_REPLY", 8)
    near, far = os.pipe()
    os.write(far, written)
    if not hold:
        os.close(far)
    assert sandbox_worker._watch(near, 0.05, 2) == (ending, written)
    os.close(near)
    if hold:
        os.close(far)


def test_isolated_programs_reach_what_is_named_and_no_more() -> None:
    load = isolation_worker.loader(("json", "dataclasses"))
    source = (
        "import json\nfrom dataclasses import dataclass\n@dataclass\nclass P:\n    x: 'int'\n"
        "def f(x):\n    return json.dumps([P(x).x, len({x})])"
    )
    assert load(source, "f")(3) == "[3, 1]"
    for refused in ("import os", "from . import x", "import subprocess.x"):
        with pytest.raises(ImportError, match="a program may not import"):
            load(f"{refused}\ndef f(): pass", "f")
    for withheld in isolation_worker.WITHHELD:
        with pytest.raises(NameError):
            load(f"def f():\n    return {withheld}", "f")()


def filtered(program: bytes, architecture: int, call: int) -> int:
    """What a filter says to a system call, by carrying out its instructions."""
    rows = [struct.unpack("=HBBI", program[i : i + 8]) for i in range(0, len(program), 8)]
    data, word, at = {0: call, 4: architecture}, 0, 0
    while True:
        code, yes, no, operand = rows[at]
        at += 1
        if code == isolation_worker.LOAD_WORD:
            word = data[operand]
        elif code == isolation_worker.JUMP_IF_EQUAL:
            at += yes if word == operand else no
        else:
            return int(operand)


@given(st.integers(0, 500), st.sampled_from(sorted(isolation_worker.CALLS)))
@settings(max_examples=200, deadline=None)
def test_the_filter_lets_the_named_calls_through_and_no_other(call: int, machine: str) -> None:
    architecture, calls = isolation_worker.CALLS[machine]
    program = isolation_worker.bpf(architecture, calls)
    expected = isolation_worker.ALLOW if call in calls else isolation_worker.REFUSE
    assert filtered(program, architecture, call) == expected
    assert filtered(program, architecture + 1, call) == isolation_worker.KILL


def test_where_there_is_no_filter_nothing_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "m68k")
    with pytest.raises(OSError, match="seccomp: no filter for .* on m68k"):
        isolation_worker.filter_calls()
