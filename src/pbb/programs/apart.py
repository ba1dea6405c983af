"""What keeps a program that is to be known by its own source alone apart from the others of its set.

Names: its own, and those of the functions that its entry only wraps, as in `def chunked_list(xs, n): return list(chunked(xs, n))`. Bodies: every
function that its source defines, however its variables are called there. Neither may stand in what documents of another program say.

Contract: nothing is executed; of a program among others, whether it stands in one of them.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from pbb.programs.calls import NO_PYTHON
from pbb.programs.own_lines import lines, spoken
from pbb.programs.program import Program
from pbb.programs.twins import spelled

ESCAPE = re.compile(r"\\[abfnrtv]")
"""In the repr of a text a name may begin behind one."""


def apart(programs: Sequence[Program]) -> set[str]:
    """The names of the programs that no document of another of these can name or show."""
    texts = {p.name: _said(p) for p in programs}
    words = Counter(word for text in texts.values() for word in _words(text))
    bodies = {p.name: _bodies(p) for p in programs}
    shown = Counter(body for inner, _ in bodies.values() for body in inner)

    def named(p: Program) -> bool:
        if any(words[name] > 1 for name in known_as(p)):
            return True
        if re.fullmatch(r"[A-Za-z0-9_]+", p.name):
            return words[p.name] > 1
        return any(p.name in text for other, text in texts.items() if other != p.name)

    return {p.name for p in programs if not named(p) and all(shown[body] <= 1 for body in bodies[p.name][1])}


def known_as(p: Program) -> list[str]:
    """By what it is called: its entry, and what that wraps."""
    tops = {n.name: n for n in _parsed(p.source) if isinstance(n, ast.FunctionDef)}
    found = [p.entry]
    while (inner := _wrapped(tops.get(found[-1]), set(tops))) and inner not in found:
        found.append(inner)
    qualified = str(p.origin.get("qualified", "")).rpartition(".")[2]
    return [*found, *({qualified} & set(tops) - {*found})]


def _parsed(source: str) -> list[ast.stmt]:
    try:
        return ast.parse(source).body
    except NO_PYTHON:
        return []


def _wrapped(function: ast.FunctionDef | None, tops: set[str]) -> str | None:
    """The function that another one hands its work to: it gives back what that gives, perhaps as a list."""
    match function.body if function else []:
        case [ast.Return(ast.Call() as call)] | [ast.Expr(ast.Constant()), ast.Return(ast.Call() as call)]:
            while isinstance(call.func, ast.Name):
                if call.func.id in tops:
                    given = [*call.args, *(k.value for k in call.keywords)]
                    return call.func.id if not any(isinstance(arg, ast.Call) for arg in given) else None
                if len(call.args) != 1 or not isinstance(call.args[0], ast.Call):
                    return None
                call = call.args[0]
    return None


def _said(p: Program) -> str:
    """All that documents can say of a program: what it is, its calls and what they give, their working."""
    calls = [f"{e.call(p.entry)} {e.output!r}" for e in p.examples]
    traced = [
        s if isinstance(s, str) else f"{s.target} {s.expression} {s.value!r} {s.test}"
        for e in p.examples
        for s in e.trace or ()
    ]
    return "\n".join([p.name, p.entry, p.source, spoken(p), *lines(p), *calls, *traced])


def _words(text: str) -> set[str]:
    return {*re.findall(r"[A-Za-z0-9_]+", text), *re.findall(r"[A-Za-z0-9_]+", ESCAPE.sub(" ", text))}


def _bodies(p: Program) -> tuple[set[str], set[str]]:
    """The functions of a source, those inside others too, and those at its top level, which are the program."""
    every, top = set[str](), set[str]()
    for node in _parsed(p.source):
        for inner in _functions(node):
            try:
                body = spelled(inner)
            except (
                ValueError,
                RecursionError,
            ):  # a figure of more digits than Python writes, a depth that it does not
                body = ast.get_source_segment(p.source, inner) or ""
            every.add(body)
            if inner is node or isinstance(node, ast.ClassDef):
                top.add(body)
    return every, top


def _functions(node: ast.stmt) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    yield from (n for n in ast.walk(node) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
