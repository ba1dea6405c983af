"""Other names for the variables of a Python function, by its syntax tree; what it computes stays the same.

A spelling is replaced everywhere it stands for a variable, in all scopes alike. An injective change of spellings keeps which name
is bound where, so no analysis of single scopes is needed; spellings that reach outside of the function (builtins, imports, attributes of
classes, keywords of calls) keep out of it.

Contract: `rename` with fresh spellings for names of `variables` never changes an output.
"""

from __future__ import annotations

import ast
import builtins
import io
import re
import symtable
import tokenize
from collections.abc import Iterator, Mapping

BUILTINS = frozenset(dir(builtins))


def rename(tree: ast.AST, spelling: Mapping[str, str]) -> None:
    """Spell every variable, parameter, function and class of these names anew, in place."""
    for node in ast.walk(tree):
        for field in ("id", "name", "arg", "rest", "asname"):
            old = getattr(node, field, None)
            # an alias has a name too, that of a module, and a keyword an arg, that of a parameter
            module = isinstance(node, ast.alias) and field == "name"
            if isinstance(old, str) and old in spelling and not module and not isinstance(node, ast.keyword):
                setattr(node, field, spelling[old])
        if isinstance(node, ast.alias) and node.asname is None and node.name in spelling:
            node.asname = spelling[node.name]
        if isinstance(node, (ast.Global, ast.Nonlocal)):
            node.names = [spelling.get(name, name) for name in node.names]


def called_otherwise(source: str, old: str, new: str) -> str:
    """The source with another name for its function: where its code means the function, and in its words; layout and comments stay.

    Attributes of that name, and keywords of calls, are something else's and stay too. Text that is no Python is changed throughout.
    """
    word = re.compile(rf"\b{re.escape(old)}\b")
    if not re.search(rf"\.\s*{re.escape(old)}\b|\b{re.escape(old)}\s*=", source):
        return word.sub(new, source)
    try:
        tree = ast.parse(source)
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError):
        return word.sub(new, source)
    lines = source.splitlines(keepends=True)
    keywords = {
        (k.lineno, len(lines[k.lineno - 1].encode()[: k.col_offset].decode()))
        for k in ast.walk(tree)
        if isinstance(k, ast.keyword) and k.arg == old
    }
    in_words = re.compile(rf"(?<![\w.]){re.escape(old)}\b")
    parts: list[str] = []
    at, before = (1, 0), ""
    for token in tokens:
        parts.append(_between(lines, at, token.start))
        if token.type == tokenize.NAME:
            its = token.string == old and before != "." and token.start not in keywords
            parts.append(new if its else token.string)
        else:
            parts.append(in_words.sub(new, token.string))
        at, before = token.end, token.string
    return "".join(parts)


def _between(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    """The text between two places, each a line from 1 and a column."""
    (first, left), (last, right) = start, end
    if first == last:
        return lines[first - 1][left:right] if first <= len(lines) else ""
    whole = "".join(lines[first : last - 1])
    return lines[first - 1][left:] + whole + (lines[last - 1][:right] if last <= len(lines) else "")


def spellings(tree: ast.AST) -> set[str]:
    """Everything that stands for a variable, a parameter, a function, a class, an import or a keyword of a call."""
    found: set[str] = set()
    for node in ast.walk(tree):
        found |= {
            value
            for field in ("id", "name", "arg", "rest", "asname")
            if isinstance(value := getattr(node, field, None), str)
        }
        if isinstance(node, (ast.Global, ast.Nonlocal)):
            found.update(node.names)
    return found


def fresh(name: str, taken: set[str]) -> str:
    """The name, lengthened until nothing else is called so; it is taken from then on."""
    while name in taken or name in BUILTINS:
        name += "_"
    taken.add(name)
    return name


def tables(source: str) -> Iterator[symtable.SymbolTable]:
    """The scopes of a source, the module's first."""
    waiting = [symtable.symtable(source, "<program>", "exec")]
    while waiting:
        table = waiting.pop(0)
        yield table
        waiting += table.get_children()


def outer(statements: list[ast.stmt]) -> set[str]:
    """The names that statements bind or look up outside of their own functions."""
    module, *inner = tables(ast.unparse(ast.Module(statements, [])))
    return set(module.get_identifiers()) | {
        s.get_name() for t in inner for s in t.get_symbols() if s.is_global()
    }


def own(function: ast.FunctionDef) -> set[str]:
    """The names that a function binds in its own scope, parameters included."""
    table = symtable.symtable(ast.unparse(function), "<program>", "exec").get_children()[0]
    return {s.get_name() for s in table.get_symbols() if s.is_local()}


def variables(function: ast.FunctionDef) -> list[str]:
    """What may be spelled anew in a function that stands alone, in a fixed order: parameters, variables, inner functions."""
    kept = {function.name}
    for table in list(tables(ast.unparse(function)))[1:]:
        for symbol in table.get_symbols():
            if (
                symbol.is_global()
                or symbol.is_imported()
                or (table.get_type() == "class" and symbol.is_local())
            ):
                kept.add(symbol.get_name())
    names: dict[str, None] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.keyword) and node.arg:
            kept.add(node.arg)
        for field in ("id", "name", "arg", "rest"):
            if isinstance(name := getattr(node, field, None), str):
                names[name] = None
    return [name for name in names if name not in kept and not name.startswith("_")]
