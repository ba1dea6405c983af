"""Finds functions in Python files that stand by themselves, and writes each down with all that it needs: as text, never imported.

A candidate is a function at module level. What it names must be a builtin without input or output, an allowed module, or something of its
own package that holds the same in turn (a helper, a class, a constant), which is then put above it. Docstrings, comments and annotations
go: docstrings hold examples, and examples of a program that is only read must not be in what is read.

What its module changes after defining it (package_changes) is not what its definition says: a function that needs it is left out.

Contract: the sources follow from the files alone, in the order of modules and lines; no file is executed.
"""

from __future__ import annotations

import ast
import builtins
import symtable
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pbb.programs.isolation import STANDARD
from pbb.programs.package_changes import ALL, find_changes
from pbb.programs.package_modules import Module, absolute

LINES = 40
IMPURE = {"open", "input", "print", "breakpoint", "exec", "eval", "compile", "__import__", "globals", "locals",
          "vars", "id", "hash", "exit", "quit", "help", "memoryview"}  # fmt: skip
OUTSIDE = {
    "datetime",
    "contextlib",
    "warnings",
    "types",
    "queue",
    "typing_extensions",
}  # may look at the clock, or are no computing
ALLOWED = (set(STANDARD) | {"collections.abc", "__future__"}) - OUTSIDE
KNOWN = set(dir(builtins))

CHANGED = "needs what its module changes later"

Function = ast.FunctionDef


class Refused(Exception):
    """Why a function is left out: the name of a rule."""


@dataclass(frozen=True)
class Candidate:
    """A function that stands by itself. `source` defines `name` last; `node` is as the file has it, with its annotations."""

    name: str
    module: str
    node: Function
    source: str

    @property
    def qualified(self) -> str:
        """Its name with that of its module."""
        return f"{self.module}.{self.name}"


class Left(NamedTuple):
    """A function that is left out: its qualified name, and the rule that it falls at."""

    name: str
    rule: str


class _Bare(ast.NodeTransformer):
    """Without docstrings and annotations."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if getattr(node, "body", None) == []:
            node.body = [ast.Pass()]  # type: ignore[attr-defined]  # an annotation was all there was
        return node

    def _stripped(self, node: ast.FunctionDef | ast.ClassDef) -> ast.AST:
        first = node.body[0]
        if (
            isinstance(first, ast.Expr)
            and isinstance(first.value, ast.Constant)
            and isinstance(first.value.value, str)
        ):
            node.body = node.body[1:]
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self._stripped(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        bases = {ast.unparse(b).rpartition(".")[2] for b in [*node.bases, *node.decorator_list]}
        if any(b.startswith(("NamedTuple", "TypedDict", "dataclass")) for b in bases):
            raise Refused("needs its annotations")
        return self._stripped(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None:
            return None
        return self.generic_visit(ast.Assign([node.target], node.value, lineno=node.lineno))


def bare(statement: ast.stmt) -> str:
    """The statement as text, without docstrings, comments and annotations."""
    copy = ast.parse(ast.unparse(statement)).body[0]
    return ast.unparse(ast.fix_missing_locations(_Bare().visit(copy)))


def outer_names(text: str) -> list[str]:
    """What a definition takes from outside of itself, sorted. Raises Refused where it declares a name global."""
    found: set[str] = set()
    pending = [symtable.symtable(text, "<text>", "exec")]
    top = pending[0]
    while pending:
        table = pending.pop()
        for symbol in table.get_symbols():
            if symbol.is_declared_global():
                raise Refused("changes global state")
            if (table is top and symbol.is_referenced()) or (table is not top and symbol.is_global()):
                found.add(symbol.get_name())
        pending += table.get_children()
    return sorted(found)


def candidates(modules: Sequence[Module]) -> Iterator[Candidate | Left]:
    """All functions at module level of files that are no tests; for those left out the name of the rule."""
    find_changes(modules)
    by_name = {m.name: m for m in modules}
    for module in modules:
        if module.test:
            continue
        for node in module.tree.body:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            try:
                if isinstance(node, ast.AsyncFunctionDef):
                    raise Refused("is async")
                if module.defined[node.name] is not node:
                    raise Refused("is defined again below")
                yield Candidate(node.name, module.name, node, standalone(by_name, module, node))
            except Refused as refusal:
                yield Left(f"{module.name}.{node.name}", str(refusal))
            except RecursionError:
                yield Left(f"{module.name}.{node.name}", "is nested too deeply")


def standalone(modules: Mapping[str, Module], module: Module, node: Function) -> str:
    """The function as a source of its own. Raises Refused with the rule that it falls at."""
    a = node.args
    if node.name.startswith("_"):
        raise Refused("has a private name")
    if not (a.args or a.posonlyargs or a.vararg):
        raise Refused("takes keyword arguments only" if a.kwonlyargs or a.kwarg else "takes no arguments")
    if any(default is None for default in a.kw_defaults):
        raise Refused("must be given a keyword argument")  # calls go by position
    if len(bare(node).splitlines()) > LINES:
        raise Refused(f"is longer than {LINES} lines")
    headers: dict[str, str] = {}
    parts: dict[str, tuple[str, str]] = {}  # by name: where from, text; in order of need
    _collect(modules, module, node.name, headers, parts)
    texts = [text for _, text in parts.values()]
    if sum(len(text.splitlines()) for text in texts) > LINES:
        raise Refused(f"is longer than {LINES} lines with what it needs")
    imports = "".join(f"{line}\n" for line in sorted(set(headers.values())))
    return (imports + "\n" if imports else "") + "\n\n".join(texts) + "\n"


def _collect(
    modules: Mapping[str, Module],
    module: Module,
    name: str,
    headers: dict[str, str],
    parts: dict[str, tuple[str, str]],
    within: tuple[str, ...] = (),
) -> None:
    """Put a definition and before it all that it needs into `parts`, imports into `headers`."""
    if name in parts or name in within:
        if name in parts and parts[name][0] != module.name:
            raise Refused("needs two things of the same name")
        return
    if module.changed & {name, ALL}:
        raise Refused(CHANGED)
    text = bare(module.defined[name])
    for needed in outer_names(text):
        if needed in module.defined:
            _collect(modules, module, needed, headers, parts, (*within, name))
        elif needed in module.imports:
            _imported(modules, module, needed, headers, parts, (*within, name))
        elif needed in IMPURE:
            raise Refused("does input or output, or asks the interpreter")
        elif needed not in KNOWN:
            raise Refused("uses a name from elsewhere")
    parts[name] = (module.name, text)


def _imported(
    modules: Mapping[str, Module],
    module: Module,
    name: str,
    headers: dict[str, str],
    parts: dict[str, tuple[str, str]],
    within: tuple[str, ...],
) -> None:
    statement = module.imports[name]
    alias = statement.names[0]
    if isinstance(statement, ast.Import):
        if alias.name not in ALLOWED:
            raise Refused("imports what is not allowed")
        _unchanged(modules, alias.name)
        headers[name] = ast.unparse(statement)
        return
    if not statement.level and statement.module in ALLOWED:
        _unchanged(modules, statement.module)
        headers[name] = ast.unparse(statement)
        return
    origin = absolute(module, statement, modules)
    other = modules.get(origin)
    if other is None or alias.asname or alias.name not in other.defined:
        raise Refused("imports what is not allowed")
    _collect(modules, other, name, headers, parts, within)


def _unchanged(modules: Mapping[str, Module], imported: str) -> None:
    """Raise Refused where the package changes a module of the standard library for all, as decimal's context."""
    if any(imported in m.changed_elsewhere for m in modules.values()):
        raise Refused(CHANGED)
