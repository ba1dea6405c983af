"""Behavioural twins: programs that nobody could tell apart by the calls that are asked.

A right answer about a program that was only read proves nothing when another program, whose answers were trained on, gives the same. What
can be told without running anything: the same source but for annotations and the names of the function and its variables, or the same outputs where a
file shows both programs on the same calls. With a worker every program is run on the first asked call of all others, and on the rest of those whose
first output it gives. Outputs are the same if they would be judged as one answer; calls, if they give each place the same value.

Contract: a program's twins are those that give its outputs on its first `asked` held-out calls; in the order of the programs.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from pbb.programs.calls import NO_PYTHON, positional
from pbb.programs.equality import equal
from pbb.programs.family import Report
from pbb.programs.isolation import Isolated
from pbb.programs.observed import ENTRY, observed
from pbb.programs.own_lines import exactly
from pbb.programs.program import Program, with_keywords
from pbb.programs.renaming import rename, variables
from pbb.programs.sandbox import Job, Outcome

ASKED = 5
SECONDS = 5.0
AGAIN = 1.0
"""Seconds for the calls of one other program, where all together had no answer in `SECONDS`."""
STEPS = 5_000  # a twin takes about as many as the program itself; any other mostly fails at once

Call = tuple[list[Any], dict[str, Any]]


def twins(
    programs: Sequence[Program],
    asked: int = ASKED,
    worker: Isolated | None = None,
    report: Report = lambda done, total, what: None,
) -> dict[str, list[str]]:
    """By name, the twins of every program that has some; `worker` (with `observed.MODULES`) runs them, without it less is known."""
    shown = [[*zip(positional(p, p.examples), p.examples, strict=True)] for p in programs]
    known: list[dict[str, Any]] = [{exactly(call): e.output for call, e in calls} for calls in shown]
    questions = [[call for call, e in calls if e.split == "test"][:asked] for calls in shown]
    wanted = [
        [(key, outputs[key]) for key in map(exactly, q)] for q, outputs in zip(questions, known, strict=True)
    ]
    if worker:
        taken = [{_kind(call) for call, _ in calls} for calls in shown]
        typed = [[(_kind(call), call) for call in q] for q in questions]
        # few give another's first output, and the rest is asked of them alone
        for begin, end in ((0, 1), (1, asked)):
            tried = [
                [
                    [call for kind, call in typed[i][begin:end] if kind in kinds]
                    for i in range(len(programs))
                    if i != j and _gives(known[j], wanted[i][:begin])
                ]
                for j, kinds in enumerate(taken)
            ]
            for number, outputs in _run(programs, tried, worker, report):
                known[number] |= outputs
    sources = [_spelled_alike(p) for p in programs]
    found: dict[str, list[str]] = {}
    for i, p in enumerate(programs):
        same = [
            other.name
            for j, other in enumerate(programs)
            if i != j and (sources[i] == sources[j] or (wanted[i] and _gives(known[j], wanted[i])))
        ]
        if same:
            found[p.name] = same
    return found


def _gives(known: dict[str, Any], wanted: Sequence[tuple[str, Any]]) -> bool:
    return all(key in known and equal(known[key], output, lenient=False) for key, output in wanted)


def _kind(call: Call) -> str:
    args, kwargs = call
    named = [f"{name}={type(arg).__name__}" for name, arg in sorted(kwargs.items())]
    return " ".join([*(type(arg).__name__ for arg in args), *named])


def _spelled_alike(p: Program) -> str:
    """The source without docstrings and annotations, with numbers in place of the names of the function and its variables."""
    try:
        tree = _Bare().visit(ast.parse(p.source))
        function = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == p.entry)
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        tree.body = [node for node in tree.body if not _unused(node, used)]  # what only annotations had named
        rename(tree, _numbers(function) | {p.entry: "pbb_entry"})
        return ast.unparse(tree)
    except (*NO_PYTHON, StopIteration):
        return re.sub(rf"\b{re.escape(p.entry)}\b", "f", p.source)


def spelled(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """A function without its docstring, annotations and name, with numbers in place of the names of its variables."""
    alone = _Bare().visit(ast.parse(ast.unparse(function))).body[0]
    numbers: dict[str, str] = {}
    with suppress(SyntaxError):  # a variable may be that of a function round it
        numbers = _numbers(alone) if isinstance(alone, ast.FunctionDef) else {}
    rename(alone, numbers | {function.name: "pbb_entry"})
    return ast.unparse(alone)


def _numbers(function: ast.FunctionDef) -> dict[str, str]:
    return {name: f"pbb_{number}" for number, name in enumerate(variables(function))}


class _Bare(ast.NodeTransformer):
    """Takes away what is said of code and does nothing."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt:
        if node.value is None:  # it names the field of a class
            return ast.copy_location(ast.Expr(node.target), node)
        plain = ast.Assign(targets=[node.target], value=node.value)
        return self.visit_Assign(ast.copy_location(plain, node))

    def visit_Assign(self, node: ast.Assign) -> ast.stmt:
        self.generic_visit(node)
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        match node:
            case ast.FunctionDef(body=[ast.Expr(ast.Constant(str())), *rest]):
                node.body = rest or [ast.Pass()]
        return super().generic_visit(node)


def _unused(node: ast.stmt, used: set[str]) -> bool:
    """Whether it imports what no code uses."""
    if not isinstance(node, ast.Import | ast.ImportFrom):
        return False
    return not used & {(alias.asname or alias.name).partition(".")[0] for alias in node.names} | (
        {"*"} & {alias.name for alias in node.names}
    )


def _run(
    programs: Sequence[Program],
    tried: Sequence[Sequence[Sequence[Call]]],
    worker: Isolated,
    report: Report,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """By the place of a program, what it gives on the calls that it is tried on, which stand by whose they are; a call that fails is left out.

    Calls of other types than a program takes are not to be tried: what would mostly be an error is sometimes a loop without an end. A program that
    has no answer in time is asked again for each of the others by itself, so that a call that takes for ever hides no twin but its own.
    """
    together = [[*{exactly(call): call for calls in others for call in calls}.values()] for others in tried]
    asked = [number for number, calls in enumerate(together) if calls]
    jobs = (_job(programs[number], together[number]) for number in asked)
    late: list[int] = []
    for done, (number, outcomes) in enumerate(
        zip(asked, worker.execute_many(jobs, seconds=SECONDS), strict=True), 1
    ):
        if all(str(o.error).startswith(("Deadline", "Killed")) for o in outcomes):
            late.append(number)
        yield number, _given(together[number], outcomes)
        report(done, len(asked), "compared")
    for number in late:
        apart = [calls for calls in tried[number] if calls]
        answers = worker.execute_many((_job(programs[number], calls) for calls in apart), seconds=AGAIN)
        for calls, outcomes in zip(apart, answers, strict=True):
            yield number, _given(calls, outcomes)


def _given(calls: Sequence[Call], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """By call, the values that came; `observed` gives more than those."""
    return {
        exactly(call): o.value[0]
        for call, o in zip(calls, outcomes, strict=True)
        if isinstance(o.value, list)
    }


def _job(p: Program, calls: Sequence[Call]) -> Job:
    return (
        *with_keywords(observed(p.source, p.entry, STEPS), ENTRY),
        [[args, kwargs] for args, kwargs in calls],
    )
