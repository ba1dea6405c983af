"""What the author of a function says that it gives: the doctests of its docstring, where the call and its value are literals.

    >>> number_word(4)            Expected(args=(4,), wrap="", value='four')
    'four'
    >>> list(pairs([3, 1, 2]))    Expected(args=([3, 1, 2],), wrap="list", value=[(3, 1), (1, 2)])
    [(3, 1), (1, 2)]

A source that gives something else is not the function as its package has it, or not as it was meant.

Contract: nothing is executed; an example that needs more than its own line says nothing.
"""

from __future__ import annotations

import ast
import doctest
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from pbb.programs.equality import equal
from pbb.programs.package_calls import Args, bound, positional
from pbb.programs.package_source import Function
from pbb.programs.sandbox import Outcome

WRAPS: dict[str, Callable[[Any], Any]] = {
    "": lambda value: value,
    "list": list,
    "tuple": tuple,
    "sorted": sorted,
    "set": set,
    "dict": dict,
}
LIMITS = ("NotALiteral", "_pbb_TooManySteps", "Deadline", "Killed", "MemoryError", "ImportError")
"""How errors begin that say more of the isolation than of the function."""
NO_LITERAL = (ValueError, TypeError, SyntaxError, MemoryError, RecursionError)


class Expected(NamedTuple):
    """A call by position, what is done with what it gives, and what that is."""

    args: Args
    wrap: str
    value: Any


def expected(node: Function) -> Iterator[Expected]:
    """What the doctests of a function say."""
    try:
        examples = doctest.DocTestParser().get_examples(ast.get_docstring(node) or "")
    except ValueError:
        return
    for example in examples:
        if "..." in example.want or example.options.get(doctest.SKIP):
            continue
        try:
            call = ast.parse(example.source.strip(), mode="eval").body
            value = ast.literal_eval(example.want.strip())
            wrap = ""
            match call:
                case ast.Call(func=ast.Name(id=name), args=[inner], keywords=[]) if name in WRAPS:
                    call, wrap = inner, name
            if not isinstance(call, ast.Call) or getattr(call.func, "id", None) != node.name:
                continue
            args = [ast.literal_eval(arg) for arg in call.args]
            kwargs = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
        except NO_LITERAL:
            continue
        given = positional(node, args, kwargs)
        if given is not None:
            yield Expected(given, wrap, value)


def contradicted(node: Function, outcomes: Mapping[str, Outcome], most: int) -> bool:
    """Whether a doctest says otherwise than what came out. outcomes: by the `bound` of the call, as `observed` gives them; of an iterator no more
    than `most` items are known."""
    for say in expected(node):
        outcome = outcomes.get(bound(node, say.args))
        if outcome is None:
            continue
        if outcome.error:
            if not outcome.error.startswith(LIMITS):
                return True
            continue
        seen: Any = outcome.value
        value, listed = seen[0], seen[2]
        if listed and (not say.wrap or len(value) > most):
            continue
        try:
            value = WRAPS[say.wrap](value)
        except (ValueError, TypeError):
            return True
        if not equal(value, say.value, lenient=False):
            return True
    return False
