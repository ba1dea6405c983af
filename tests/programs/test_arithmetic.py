"""A body means what its source does when Python runs it, and item i of a seed is the same item everywhere."""

from __future__ import annotations

import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbb.programs.arithmetic import (
    OPERATIONS,
    SYMBOLS,
    VARIABLES,
    Assign,
    Branch,
    Dials,
    Loop,
    Statement,
    acceptable,
    candidates,
    draw,
    operations,
    outputs,
    paths,
    run,
    source,
    target,
)
from pbb.programs.arithmetic import Test as Condition
from pbb.programs.program import TraceStep
from pbb.programs.sandbox import TracedLine, Worker

sys.path.insert(0, str(Path(__file__).parent))

from bodies import bodies  # noqa: E402

DOCSTRING = [
    Assign("a", "*", "x", 3),
    Branch(Condition(">", "a", 40), Assign("b", "-", "a", 7), Assign("b", "min", "a", 12)),
    Loop("c", "b", 2, Assign("c", "+", "c", "i")),
]


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker() as worker:
        yield worker


def test_the_docstrings_program() -> None:
    assert source("Zibdax", DOCSTRING) == (
        "def Zibdax(x):\n    a = x * 3\n    if a > 40:\n        b = a - 7\n    else:\n"
        "        b = min(a, 12)\n    c = b\n    for i in range(2):\n        c = c + i\n    return c\n"
    )
    trace: list[TraceStep] = []
    assert run(DOCSTRING, 15, trace) == (39, 45)
    rows = [(s.line, s.target, s.expression, s.value, s.test, s.outcome) for s in trace]
    assert rows == [
        (1, "a", "15 * 3", 45, None, None),
        (2, "b", "45 - 7", 38, "45 > 40", True),
        (3, "c", "38", 38, None, None),
        (3, "c", "38 + 0", 38, None, None),
        (3, "c", "38 + 1", 39, None, None),
    ]


def real(worker: Worker, cases: Sequence[tuple[list[Statement], list[int]]]) -> list[list[object]]:
    """By case the values that Python gives for the inputs; an error is its type's name."""
    jobs = [(source("f", body), "f", [[x] for x in xs]) for body, xs in cases]
    return [
        [outcome.error.partition(":")[0] if outcome.error else outcome.value for outcome in outcomes]
        for outcomes in worker.execute_many(jobs)
    ]


def meant(body: list[Statement], x: int) -> object:
    try:
        return run(body, x)[0]
    except ZeroDivisionError:
        return "ZeroDivisionError"


@given(st.lists(st.tuples(bodies, st.lists(st.integers(-60, 60), min_size=1)), min_size=1, max_size=30))
@settings(max_examples=25, deadline=None)
def test_run_is_what_python_does_with_the_source(
    worker: Worker, cases: list[tuple[list[Statement], list[int]]]
) -> None:
    assert real(worker, cases) == [[meant(body, x) for x in xs] for body, xs in cases]


def replaced(text: str, values: dict[str, object]) -> str:
    """Every variable by its value, as a trace shows an expression."""
    return re.sub(r"\b[a-z]\b", lambda m: str(values[m[0]]), text)


def executed(
    rows: list[str], lines: list[TracedLine]
) -> list[tuple[str, str, object, str | None, bool | None]]:
    """(target, expression, value, test, outcome) of every assignment among executed lines."""
    steps = []
    test: tuple[str, bool] | None = None
    for line, following in pairwise(lines):
        row = rows[line.lineno - 1].strip()
        if row.startswith("if "):
            test = (replaced(row[3:-1], line.before), following.lineno == line.lineno + 1)
        elif " = " in row:
            name, _, right = row.partition(" = ")
            steps.append((name, replaced(right, line.before), line.after[name], *(test or (None, None))))
            test = None
    return steps


@given(st.lists(st.tuples(bodies, st.integers(0, 60)), min_size=1, max_size=20))
@settings(max_examples=25, deadline=None)
def test_the_trace_is_what_the_sandbox_sees(worker: Worker, cases: list[tuple[list[Statement], int]]) -> None:
    whole = [(body, x) for body, x in cases if meant(body, x) != "ZeroDivisionError"]
    jobs = [(source("f", body), "f", [x]) for body, x in whole]
    for (body, x), seen in zip(whole, worker.trace_many(jobs), strict=True):
        trace: list[TraceStep] = []
        value, peak = run(body, x, trace)
        assert seen.error is None
        assert [(s.target, s.expression, s.value, s.test, s.outcome) for s in trace] == executed(
            source("f", body).splitlines(), seen.lines
        )
        assert trace[-1].value == value
        assert peak == max(abs(x), *(abs(s.value) for s in trace))
        assert [s.target for s in trace] == [target(body[s.line - 1]) for s in trace]


def test_draws_have_the_length_chain_every_step_and_use_every_operation() -> None:
    seen: Counter[str] = Counter()
    for length in range(1, len(VARIABLES) + 1):
        for seed in range(150):
            body = draw(random.Random(seed), length, Dials())
            assert len(body) == length
            seen.update(operations(body))
            for previous, name, s in zip("x" + VARIABLES, VARIABLES, body, strict=False):
                assert target(s) == name
                match s:
                    case Assign():
                        assert s.left == previous
                    case Branch():
                        assert {s.test.variable, s.then.left, s.otherwise.left} == {previous}
                        assert s.otherwise.target == name
                    case Loop():
                        assert (s.start, s.body.left, s.body.target) == (previous, name, name)
    assert set(seen) == set(OPERATIONS)


@pytest.mark.parametrize(
    "allowed", [("+",), ("%", "if"), ("min", "max", "abs"), ("*", "//", "for"), ("+", "for")]
)
def test_the_operations_dial_is_kept(allowed: tuple[str, ...]) -> None:
    for seed in range(60):
        body = draw(random.Random(seed), 4, Dials(operations=allowed))
        assert set(operations(body)) <= set(allowed), source("f", body)


def test_constants_are_small_and_never_0_where_python_divides() -> None:
    for seed in range(300):
        for s in draw(random.Random(seed), 3, Dials()):
            for a in [s] if isinstance(s, Assign) else [s.then, s.otherwise] if isinstance(s, Branch) else []:
                if isinstance(a.right, int) and a.op in SYMBOLS:
                    assert (2 if a.op in ("*", "//", "%") else 1) <= a.right <= 12


@pytest.mark.parametrize("inputs", [(0, 49), (0, 3), (-20, 20)])
@pytest.mark.parametrize("constants", [(1, 1), (1, 2), (6, 9), (10, 20)])
def test_there_is_something_to_draw_under_any_constants(
    constants: tuple[int, int], inputs: tuple[int, int]
) -> None:
    dials = Dials(constants=constants, input_range=inputs)
    for seed in range(60):
        assert len(draw(random.Random(seed), 2, dials)) == 2


def test_operations_are_distinct_in_order_of_first_use() -> None:
    assert operations(DOCSTRING) == ["*", "if", "-", "min", "for", "+"]
    assert operations([Assign("a", "+", "x", 1), Assign("b", "+", "a", 2)]) == ["+"]


def test_item_i_does_not_depend_on_where_one_starts() -> None:
    first = list(islice(candidates(3, Dials()), 40))
    assert [index for index, *_ in first] == sorted({index for index, *_ in first})
    for start in (first[7][0], first[7][0] + 1, first[30][0]):
        rest = [item for item in first if item[0] >= start]
        assert list(islice(candidates(3, Dials(), start), len(rest))) == rest
    assert list(islice(candidates(4, Dials()), 40)) != first


def test_items_are_the_same_in_another_process(python: Callable[..., str]) -> None:
    code = (
        "from itertools import islice; from pbb.programs.arithmetic import *\n"
        "print(repr(list(islice(candidates(3, Dials()), 40))))"
    )
    here = repr(list(islice(candidates(3, Dials()), 40))) + "\n"
    assert python(code, hash_seed=1) == here
    assert python(code, hash_seed=2) == here


INPUTS = range(50)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ([Assign("a", "*", "x", 5)], "49 * 5 leaves the bound"),
        ([Assign("a", "*", "x", 5), Assign("b", "%", "a", 50)], "so it does on the way to a small value"),
        ([Loop("a", "x", 3, Assign("a", "*", "a", 2)), Assign("b", "//", "a", 8)], "so it does in a loop"),
        ([Assign("a", "%", "x", "x")], "0 % 0"),
        ([Assign("a", "//", "x", 0)], "division by 0"),
    ],
)
def test_a_program_that_crashes_or_leaves_the_bound_has_no_outputs(body: list[Statement], why: str) -> None:
    assert outputs(body, INPUTS, 199) is None, why


def test_the_bound_is_inclusive_and_holds_below_0() -> None:
    assert outputs([Assign("a", "+", "x", 150)], INPUTS, 199) == tuple(range(150, 200))
    assert outputs([Assign("a", "-", "x", 199)], INPUTS, 199) is not None
    assert outputs([Assign("a", "-", "x", 200)], INPUTS, 199) is None


@pytest.mark.parametrize(
    ("results", "taken"),
    [
        (tuple(INPUTS), False),  # the identity
        (tuple(x + 1 for x in INPUTS), True),
        ((7,) * 50, False),
        (tuple(x % 4 for x in INPUTS), False),  # 13 of 50 are 0: more than a quarter
        (tuple(x % 5 for x in INPUTS), True),
        (tuple(min(x, 37) for x in INPUTS), False),  # 37 comes 13 times
        (tuple(min(x, 38) for x in INPUTS), True),
    ],
)
def test_what_is_taken(results: tuple[int, ...], taken: bool) -> None:
    assert acceptable(results, INPUTS, Dials()) is taken


def test_every_candidate_keeps_the_rules_when_it_is_really_run(worker: Worker) -> None:
    found = list(islice(candidates(0, Dials()), 150))
    for (_, _, results), values in zip(
        found, real(worker, [(body, list(INPUTS)) for _, body, _ in found]), strict=True
    ):
        assert list(results) == values
        assert max(map(abs, results)) <= 199
        assert values != list(INPUTS)
        assert max(Counter(results).values()) <= 12


@given(bodies, st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_the_path_that_an_input_takes_computes_what_the_body_does(body: list[Statement], x: int) -> None:
    """Each trace line is the line of one of the paths with the values of that moment put in."""
    trace: list[TraceStep] = []
    try:
        run(body, x, trace)
    except ZeroDivisionError:
        return
    env: dict[str, object] = {"x": x}
    steps = iter(trace)
    for statement in body:
        ways = paths(statement)
        assert len(ways) == (2 if isinstance(statement, Branch) else 1)
        step = next(steps)
        if step.test is not None:
            ways = [w for w in ways if f" {step.outcome}: " in w]
        (way,) = ways
        for number, row in enumerate(way.split("\n")):
            step = next(steps) if number else step
            test, _, assignment = row.rpartition(": ")
            name, _, right = assignment.partition(" = ")
            assert replaced(right, env) == step.expression
            assert name == step.target
            if step.test is not None:
                assert replaced(test.rpartition(" ")[0], env) == step.test
            env[name] = step.value
    assert next(steps, None) is None
