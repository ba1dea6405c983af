"""Calls of harvested functions, by position: which arguments they give, and when two of them are the same.

Contract: nothing is executed.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

from pbb.programs.package_source import Function

Args = tuple[object, ...]


def positional(node: Function, args: Sequence[object], kwargs: Mapping[str, object]) -> Args | None:
    """A call's arguments by position; None where they do not fit the function, or go by keyword only."""
    a = node.args
    names = [p.arg for p in [*a.posonlyargs, *a.args]]
    if len(args) > len(names):
        return tuple(args) if a.vararg and not kwargs else None
    given = list(args)
    rest = dict(kwargs)
    for place in range(len(args), len(names)):
        if names[place] not in rest:
            break
        given.append(rest.pop(names[place]))
    required = len(names) - len(a.defaults)
    if rest or len(given) < required:
        return None
    return tuple(given)


def bound(node: Function, args: Args) -> str:
    """A text that two calls share if they give the parameters the same values, defaults included; 1, 1.0 and True are one, as in `pbb data check`."""
    a = node.args
    missing = len(a.posonlyargs) + len(a.args) - len(args)
    given = [_unwritten(arg) for arg in args]
    for default in a.defaults[-missing:] if missing > 0 else ():
        try:
            given.append(_unwritten(ast.literal_eval(default)))
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            given.append(f"default {len(given)}")
    return ", ".join(given)


def bare_first(args: Args) -> bool:
    """Whether a call begins with an empty value, on which most functions do next to nothing."""
    return bool(args) and isinstance(args[0], str | list | tuple | dict) and not args[0]


def _unwritten(value: object) -> str:
    """A literal as a text that equal ones share; a default may have more digits than repr writes."""
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}({', '.join(map(_unwritten, value))})"
    if isinstance(value, dict):
        return f"{{{', '.join(sorted(f'{_unwritten(k)}: {_unwritten(v)}' for k, v in value.items()))}}}"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return f"{int(value):x}"
    return repr(value)
