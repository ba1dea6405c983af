"""Random Arithmetic: synthetic functions of one integer (the paper's first data set).

A real instance, length 3::

    def Zibdax(x):
        a = x * 3
        if a > 40:
            b = a - 7
        else:
            b = min(a, 12)
        c = b
        for i in range(2):
            c = c + i
        return c

    Zibdax(15) == 39, by the trace  a = 15 * 3 = 45 · 45 > 40 True: b = 45 - 7 = 38 · c = 38 · c = 38 + 0 = 38 · ...

The paper does not give its grammar, lengths or ranges; ours is a chain (every step uses the value of the step before, so
that no statement is dead and length is depth) of + - * // % min max abs with small constants, branches on comparisons
and parity, and loops over small ranges. Item i depends on (seed, i) only. A program is rejected when an intermediate value leaves
the bound, when it is constant, close to constant, or the identity.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from pbb.programs.program import TraceStep

SYMBOLS = ("+", "-", "*", "//", "%")
CALLS = ("min", "max")
OPERATIONS = (*SYMBOLS, *CALLS, "abs", "if", "for")
VARIABLES = "abcdefgh"
HOPELESS = 20_000


@dataclass(frozen=True, slots=True)
class Assign:
    """`target = left op right`; for abs the right operand is unused and 0."""

    target: str
    op: str
    left: str
    right: int | str


@dataclass(frozen=True, slots=True)
class Test:
    """`variable > 5`, `variable < 5`, or `variable % 2 == 0`."""

    kind: str
    variable: str
    constant: int


@dataclass(frozen=True, slots=True)
class Branch:
    """`if test: then else: otherwise`; both assign the same target."""

    test: Test
    then: Assign
    otherwise: Assign


@dataclass(frozen=True, slots=True)
class Loop:
    """`target = start`, then `count` times the body, whose left operand is the target; `i` counts from 0."""

    target: str
    start: str
    count: int
    body: Assign


Statement = Assign | Branch | Loop


@dataclass(frozen=True)
class Dials:
    """What the generator may draw: all ranges are inclusive, `input_range` and `bound` in the units of x."""

    length: tuple[int, int] = (1, 3)
    input_range: tuple[int, int] = (0, 49)
    bound: int = 199
    constants: tuple[int, int] = (1, 12)
    operations: tuple[str, ...] = OPERATIONS
    constant_share: float = 0.25
    weights: dict[str, float] = field(default_factory=lambda: {"if": 1.0, "for": 0.8, "abs": 0.4})


def expression(a: Assign) -> str:
    """The right-hand side as Python source."""
    if a.op == "abs":
        return f"abs({a.left})"
    return f"{a.op}({a.left}, {a.right})" if a.op in CALLS else f"{a.left} {a.op} {a.right}"


def condition(t: Test) -> str:
    """The test as Python source."""
    return f"{t.variable} % 2 == 0" if t.kind == "even" else f"{t.variable} {t.kind} {t.constant}"


def lines(s: Statement) -> list[str]:
    """The statement as source lines without the function's indentation."""
    match s:
        case Assign():
            return [f"{s.target} = {expression(s)}"]
        case Branch():
            return [
                f"if {condition(s.test)}:",
                f"    {s.then.target} = {expression(s.then)}",
                "else:",
                f"    {s.otherwise.target} = {expression(s.otherwise)}",
            ]
        case Loop():
            return [
                f"{s.target} = {s.start}",
                f"for i in range({s.count}):",
                f"    {s.target} = {expression(s.body)}",
            ]


def paths(s: Statement) -> list[str]:
    """The ways through a statement as trace lines, with variables in place of values: `x > 40 False: b = min(x, 12)`."""
    match s:
        case Assign():
            return [f"{s.target} = {expression(s)}"]
        case Branch():
            test = condition(s.test)
            return [
                f"{test} {outcome}: {a.target} = {expression(a)}"
                for outcome, a in ((True, s.then), (False, s.otherwise))
            ]
        case Loop():
            rounds = [
                expression(Assign(s.target, s.body.op, s.target, i if s.body.right == "i" else s.body.right))
                for i in range(s.count)
            ]
            return ["\n".join(f"{s.target} = {r}" for r in (s.start, *rounds))]


def source(name: str, body: Sequence[Statement]) -> str:
    """The function as Python source, ending in a newline."""
    rows = [row for s in body for row in lines(s)] + [f"return {target(body[-1])}"]
    return "\n".join([f"def {name}(x):", *("    " + row for row in rows)]) + "\n"


def target(s: Statement) -> str:
    """The variable that the statement defines."""
    return s.then.target if isinstance(s, Branch) else s.target


def _compute(op: str, left: int, right: int) -> int:
    match op:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "//":
            return left // right
        case "%":
            return left % right
        case "min":
            return min(left, right)
        case "max":
            return max(left, right)
        case _:
            return abs(left)


def _assign(
    a: Assign, env: dict[str, int], line: int, trace: list[TraceStep] | None, test: tuple[str, bool] | None
) -> int:
    left = env[a.left]
    right = env[a.right] if isinstance(a.right, str) else a.right
    value = _compute(a.op, left, right)
    env[a.target] = value
    if trace is not None:
        shown = expression(Assign(a.target, a.op, str(left), right))
        trace.append(
            TraceStep.model_construct(
                line=line,
                target=a.target,
                expression=shown,
                value=value,
                test=test[0] if test else None,
                outcome=test[1] if test else None,
            )
        )
    return value


def run(body: Sequence[Statement], x: int, trace: list[TraceStep] | None = None) -> tuple[int, int]:
    """Evaluate by the meaning of the statements, not through Python's `exec`: (result, largest absolute value met).

    The tests hold this against real execution of the source in the sandbox. Appends to `trace` when one is given.

    Raises:
        ZeroDivisionError: the program divides by zero on this input.
    """
    env = {"x": x}
    value, peak = x, abs(x)
    for line, s in enumerate(body, 1):
        match s:
            case Assign():
                value = _assign(s, env, line, trace, None)
            case Branch():
                held = env[s.test.variable]
                t = s.test
                outcome = (
                    held % 2 == 0
                    if t.kind == "even"
                    else held > t.constant
                    if t.kind == ">"
                    else held < t.constant
                )
                shown = condition(Test(t.kind, str(held), t.constant)) if trace is not None else ""
                value = _assign(s.then if outcome else s.otherwise, env, line, trace, (shown, outcome))
            case Loop():
                value = env[s.target] = env[s.start]
                if trace is not None:
                    trace.append(
                        TraceStep.model_construct(
                            line=line,
                            target=s.target,
                            expression=str(value),
                            value=value,
                            test=None,
                            outcome=None,
                        )
                    )
                for i in range(s.count):
                    env["i"] = i
                    value = _assign(s.body, env, line, trace, None)
                    peak = max(peak, abs(value))
        peak = max(peak, abs(value))
    return value, peak


def _constant(rng: random.Random, op: str, dials: Dials, depth: int) -> int:
    low, high = dials.constants
    if op in ("*", "//", "%"):
        low = max(2, low)
        high = max(low, min(9 if op != "*" else 5, high))
    elif op in CALLS:
        low = max(low, 3)
        high = max(low, high, dials.input_range[1] * (1 + depth) // 2)
    return rng.randint(low, high)


def _simple(
    rng: random.Random, target: str, left: str, dials: Dials, depth: int, ops: Sequence[str]
) -> Assign:
    op = rng.choice(ops)
    if op == "abs":
        return Assign(target, op, left, 0)
    if op in ("+", "-") and left != "x" and rng.random() < 0.08:
        return Assign(target, op, left, "x")
    return Assign(target, op, left, _constant(rng, op, dials, depth))


def draw(rng: random.Random, length: int, dials: Dials) -> list[Statement]:
    """A random body of `length` statements; it may still be rejected (see `acceptable`)."""
    plain = [o for o in dials.operations if o not in ("if", "for", "abs")]
    rounds = [o for o in ("+", "-", "*") if o in plain]
    kinds = list(dials.operations)
    weights = [dials.weights.get(k, 1.0) for k in kinds]
    body: list[Statement] = []
    previous = "x"
    for depth in range(length):
        name = VARIABLES[depth]
        op = rng.choices(kinds, weights)[0]
        if op == "if":
            kind = rng.choice(("even", ">", "<"))
            low, high = dials.input_range
            test = Test(kind, previous, 0 if kind == "even" else rng.randint(low + 3, max(low + 4, high - 5)))
            then = _simple(rng, name, previous, dials, depth, plain)
            body.append(Branch(test, then, _simple(rng, name, previous, dials, depth, plain)))
        elif op == "for":
            body_op = rng.choice(rounds) if rng.random() < 0.8 or "+" not in rounds else "i"
            step = Assign(name, "+", name, "i") if body_op == "i" else Assign(
                name, body_op, name, 2 if body_op == "*" else rng.randint(*dials.constants)
            )  # fmt: skip
            body.append(Loop(name, previous, rng.randint(2, 3), step))
        else:
            body.append(_simple(rng, name, previous, dials, depth, [op]))
        previous = name
    return body


def outputs(body: Sequence[Statement], inputs: Sequence[int], bound: int) -> tuple[int, ...] | None:
    """The results on all inputs, or None where the program crashes or a value leaves the bound."""
    results = []
    for x in inputs:
        try:
            value, peak = run(body, x)
        except ZeroDivisionError:
            return None
        if peak > bound:
            return None
        results.append(value)
    return tuple(results)


def acceptable(results: tuple[int, ...], inputs: Sequence[int], dials: Dials) -> bool:
    """Neither the identity nor close to a constant: a constant answer may earn at most `constant_share`."""
    if results == tuple(inputs):
        return False
    return max(Counter(results).values()) <= max(1, dials.constant_share * len(results))


def candidates(
    seed: int, dials: Dials, start: int = 0
) -> Iterator[tuple[int, list[Statement], tuple[int, ...]]]:
    """Acceptable bodies from draw `start` on: (index, body, outputs over the whole input range). Item i depends on (seed, i) only.

    Ends when `HOPELESS` draws in a row were rejected, else never.
    """
    inputs = range(dials.input_range[0], dials.input_range[1] + 1)
    last = start
    for index in count(start):
        rng = random.Random(f"arithmetic:{seed}:{index}")
        body = draw(rng, rng.randint(*dials.length), dials)
        results = outputs(body, inputs, dials.bound)
        if results is not None and acceptable(results, inputs, dials):
            last = index
            yield index, body, results
        elif index - last > HOPELESS:
            return


def operations(body: Sequence[Statement]) -> list[str]:
    """The distinct operations of a body in order of first use."""
    found: list[str] = []
    for s in body:
        parts = (
            [s.op]
            if isinstance(s, Assign)
            else ["if", s.then.op, s.otherwise.op]
            if isinstance(s, Branch)
            else ["for", s.body.op]
        )
        found += [p for p in parts if p not in found]
    return found
