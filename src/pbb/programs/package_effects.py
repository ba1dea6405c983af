"""What a piece of code changes by itself, as far as its text shows: which methods and functions change a value, and which variables are new.

Contract: text only; what cannot be told counts as a change.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Sequence

HARMLESS = {"__doc__", "__name__", "__qualname__", "__module__", "__wrapped__", "__annotations__"}
"""Attributes that no result follows from."""
CHANGING = re.compile(
    r"(add|append|clear|delete|discard|extend|insert|pop|push|put|register|remove|reverse|rotate|set|sort|subtract|update)(_\w+|left|item|default)?"
    r"|\w+_update|move_to_end|__(set|del)(item|attr)__"
)
"""What methods are called that change what they belong to."""
SHIFTING = {"next", "setattr", "delattr", "shuffle", "heapify", "heappush", "heappop", "heappushpop", "heapreplace", "insort", "insort_left",
            "insort_right", "setitem", "delitem", "iadd"}  # fmt: skip
"""Functions of the standard library that change an argument."""
PURE = {name for kind in (str, bytes, int, float, tuple, frozenset) for name in dir(kind)} | {"keys", "values", "items", "get", "most_common",
        "elements", "match", "search", "fullmatch", "sub", "findall", "finditer", "group", "groups"}  # fmt: skip
"""Methods that leave builtin values as they are."""
MAKING = {"__init__", "__new__", "__post_init__"}
PARTS = {"get", "setdefault", "pop", "popitem", "values", "items"}
"""Methods that give a part of what they belong to, and no new value."""


def binds(node: ast.AST) -> list[str]:
    """The names that a node itself binds."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [node.name]
        case ast.Import() | ast.ImportFrom():
            return [alias.asname or alias.name.partition(".")[0] for alias in node.names]
        case ast.Name(ctx=ast.Store()):
            return [node.id]
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            return [name]
    return []


def own(definition: ast.stmt) -> set[str]:
    """The variables of a function: its parameters and what it sets, but what it declares global."""
    if not isinstance(definition, ast.FunctionDef):
        return set()
    nodes = list(ast.walk(definition))
    shared = {name for n in nodes if isinstance(n, ast.Global) for name in n.names}
    own = {n.arg for n in nodes if isinstance(n, ast.arg)}
    return (own | {name for n in nodes for name in binds(n)} - {definition.name}) - shared


def made_by(definition: ast.ClassDef) -> ast.ClassDef:
    """A class with no more than what runs when an instance is made."""
    body = [s for s in definition.body if isinstance(s, ast.FunctionDef) and s.name in MAKING]
    return ast.ClassDef(definition.name, definition.bases, [], [*body, ast.Pass()], [])


def changes_others(definition: ast.stmt) -> bool:
    """Whether a definition changes, when it is called, what it has not made itself, by itself."""
    nodes = list(ast.walk(definition))
    made = _made(nodes) | ({"self"} if isinstance(definition, ast.ClassDef) else set())
    for node in nodes:
        changed: list[ast.AST] = []
        match node:
            case ast.Global():
                return True
            case ast.Attribute(ctx=ast.Store() | ast.Del(), attr=attr) if attr in HARMLESS:
                continue
            case ast.Attribute(ctx=ast.Store() | ast.Del()) | ast.Subscript(ctx=ast.Store() | ast.Del()):
                changed = [node]
            case ast.Call(func=ast.Attribute(attr=attr)) if CHANGING.fullmatch(attr):
                # dict.update(table, ...) changes what it is given
                changed = [*node.args[:1]] if root(node.func) in dir(builtins) else [node.func]
        if (
            isinstance(node, ast.Call)
            and getattr(node.func, "attr", getattr(node.func, "id", "")) in SHIFTING
        ):
            changed += node.args
        if any(name not in made for part in changed if (name := root(part))):
            return True
    return False


def constant(value: ast.expr) -> bool:
    """Whether nothing can change a value that is written so."""
    match value:
        case ast.Constant() | ast.JoinedStr():
            return True
        case ast.Tuple(elts=parts):
            return all(map(constant, parts))
        case ast.UnaryOp(operand=part):
            return constant(part)
        case ast.Call(func=ast.Name(id="frozenset" | "int" | "str" | "float")):
            return True
        case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr="compile")):
            return True
    return False


def root(node: ast.AST) -> str | None:
    """The name that an expression begins with."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call | ast.Starred):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None


def _made(nodes: Sequence[ast.AST]) -> set[str]:
    """Variables that hold nothing but new values."""
    fresh = {n.name for n in nodes[1:] if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    plain: set[int] = set()  # what is set by itself, and by no loop or the like
    other: set[str] = {n.arg for n in nodes if isinstance(n, ast.arg)}
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                (fresh if _new(value) else other).add(name)
                plain.add(id(node.targets[0]))
            case ast.AnnAssign(target=ast.Name(id=name), value=value):
                (fresh if value is None or _new(value) else other).add(name)
                plain.add(id(node.target))
    other |= {
        n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store) and id(n) not in plain
    }
    return fresh - other


def _new(value: ast.expr) -> bool:
    match value:
        case ast.Call(func=ast.Name(id=name)):
            return name in dir(builtins) or name[0].isupper()  # a class
        case ast.Call(func=ast.Attribute(attr=attr)):
            return attr not in PARTS
    return not isinstance(
        value, ast.Name | ast.Attribute | ast.Subscript | ast.IfExp | ast.BoolOp | ast.NamedExpr
    )
