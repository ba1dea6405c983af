"""The lines of working of a harvested function's calls: what each executed line sets or changes.

    def f(xs):                     f([4, 4])       total = 0
        total = 0                                  x = 4
        for x in xs:                               total = 4
            total += x                             x = 4
        return total                               total = 8

A line stands there however often it is executed, also where it sets what was there before. Floats are rounded as outputs are, so that working and
answer do not contradict each other.

Contract: either all that the function does to its variables is there, or nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from pbb.programs.family import Report
from pbb.programs.isolation import Isolated
from pbb.programs.package_effects import binds
from pbb.programs.program import Program
from pbb.programs.sandbox import Traced

LINES, WIDTH = 12, 60  # of a trace that can be written down
Bound = tuple[list[str], range | None]
"""Names that a line sets, and the lines of which one has to follow for it to have done so; None where it always does."""


def with_working(
    programs: Sequence[Program], worker: Isolated, seconds: float, report: Report
) -> list[Program]:
    """With the lines of working of every example, for programs on which all of them are short, and none has no line."""
    result = []
    for done, p in enumerate(programs, 1):
        traces: list[list[str]] = []
        jobs = ((p.source, p.entry, e.args) for e in p.examples)
        for traced in worker.trace_many(jobs, max_steps=4 * LINES, seconds=seconds):
            lines = working(traced, p.source, p.entry)
            if not lines:
                break
            traces.append(lines)
        if len(traces) == len(p.examples):
            examples = [e.model_copy(update={"trace": t}) for e, t in zip(p.examples, traces, strict=True)]
            p = p.model_copy(update={"examples": examples})
        result.append(p)
        report(done, len(programs), "traced")
    return result


def working(traced: Traced, source: str, entry: str) -> list[str] | None:
    """`name = value` for each variable that a line of the entry sets or changes; None where that is not all there is, or too long."""
    if traced.error or sum(line.returned is not None for line in traced.lines) != 1:  # it calls itself
        return None
    sets, perhaps, deletes = _lines(source, entry)
    following = [line.lineno for line in traced.lines[1:]] + [0]
    rows: list[str] = []
    for line, then in zip(traced.lines, following, strict=True):
        if line.function != entry:
            return None
        names = dict.fromkeys(
            name
            for bound, inside in sets.get(line.lineno, [])
            if inside is None or then in inside
            for name in bound
        )
        gone = {name for name in line.before if name not in line.after} - deletes.get(line.lineno, set())
        if gone or any(name not in line.after for name in [*names, *perhaps.get(line.lineno, [])]):
            # they hold no literal, and cannot be shown
            return None
        names |= dict.fromkeys(
            k for k, v in line.after.items() if k not in line.before or repr(line.before[k]) != repr(v)
        )
        rows += [f"{name} = {rounded(line.after[name])!r}" for name in names]
    return rows if len(rows) <= LINES and all(len(row) <= WIDTH for row in rows) else None


@lru_cache(maxsize=4)
def _lines(
    source: str, entry: str
) -> tuple[dict[int, list[Bound]], dict[int, list[str]], dict[int, set[str]]]:
    """By line, the names that it sets, those that it may set (:=), and those that it deletes; `ast.unparse` writes a statement a line."""
    function = next(n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef) and n.name == entry)
    sets: dict[int, list[Bound]] = {}
    perhaps: dict[int, list[str]] = {}
    deletes: dict[int, set[str]] = {}
    waiting: list[ast.AST] = [*function.body]
    while waiting:
        node = waiting.pop()
        for at, bound in _set_by(node):
            sets.setdefault(at, []).append(bound)
        match node:
            case ast.NamedExpr(target=target):
                perhaps.setdefault(node.lineno, []).append(target.id)
            case ast.Delete(targets=targets):
                deletes[node.lineno] = {t.id for t in targets if isinstance(t, ast.Name)}
            case ast.FunctionDef() | ast.ClassDef() | ast.Lambda():
                continue  # what they set is their own
        waiting += ast.iter_child_nodes(node)
    return sets, perhaps, deletes


def _set_by(node: ast.AST) -> Iterator[tuple[int, Bound]]:
    """What a statement sets, with the line on which it does."""
    match node:
        case ast.For(target=target, body=body):
            yield node.lineno, (_stored(target), _span(body))
        case ast.ExceptHandler(name=str(name), body=body):
            yield node.lineno, ([name], _span(body))
        case ast.match_case(pattern=pattern, body=body):
            yield pattern.lineno, ([name for n in ast.walk(pattern) for name in binds(n)], _span(body))
        case ast.With(items=items):
            yield (
                node.lineno,
                ([name for i in items if i.optional_vars for name in _stored(i.optional_vars)], None),
            )
        case ast.Assign(targets=targets):
            yield node.lineno, ([name for target in targets for name in _stored(target)], None)
        case ast.AugAssign(target=target):
            yield node.lineno, (_stored(target), None)
        case ast.FunctionDef() | ast.ClassDef() | ast.Import() | ast.ImportFrom():
            yield node.lineno, (binds(node), None)


def _stored(target: ast.expr) -> list[str]:
    return [n.id for n in ast.walk(target) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]


def _span(body: Sequence[ast.stmt]) -> range:
    return range(body[0].lineno, (body[-1].end_lineno or body[-1].lineno) + 1)


def rounded(value: Any) -> Any:
    """Floats to 7 digits, as an answer is compared to 6; -0.0 as 0.0."""
    if isinstance(value, float):
        return float(f"{value:.7g}") + 0.0
    if isinstance(value, list | tuple):
        return type(value)(rounded(item) for item in value)
    if isinstance(value, dict):
        return {rounded(k): rounded(v) for k, v in value.items()}
    return value
