"""Calls that give one of their arguments back, as `f(7) == 7`: what a model earns that answers with what it was asked about.

An untrained model does so (the embedded base in four of five direct answers), and functions with branches, `min` and `max` often do. So an
accuracy has beside it what giving back an argument would earn at most (`echo`), and that on the other calls (`unechoed`).

Contract: text of a call and of its output in, a truth value out; nothing is executed, nothing raises.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from pbb.programs.equality import equal


def given_back(call: Any, output: Any) -> bool:
    """Whether a call's output is one of its arguments, those of calls within it too; False where either cannot be read."""
    try:
        value = ast.literal_eval(output)
        return any(
            equal(argument, value, lenient=False)
            for argument in _arguments(ast.parse(call, mode="eval").body)
        )
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False


def _arguments(node: ast.expr) -> Iterator[Any]:
    if not isinstance(node, ast.Call):
        return
    for part in [*node.args, *(keyword.value for keyword in node.keywords)]:
        if isinstance(part, ast.Call):
            yield from _arguments(part)
        else:
            yield ast.literal_eval(part)
