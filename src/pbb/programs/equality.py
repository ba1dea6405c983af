"""When two values are the same answer: of a model and a program, or of two programs on one call.

Contract: literal values in, a truth value out; nothing raises.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import repeat
from typing import Any

MAX_DIGITS = 1_000
"""Longest integer that is read as an answer, or as a key that JSON has made a string."""
_HUGE = 10**MAX_DIGITS


def equal(a: Any, b: Any, *, lenient: bool) -> bool:
    """Whether two literal values are the same answer; symmetric, and strict equality implies the lenient one.

    Strict: same types at every depth (True is not 1, 1 is not 1.0, (1,) is not [1]); floats to a relative
    1e-6 or an absolute 1e-9; nan equals nan. Lenient also lets tuple = list, int = float of the same
    number, and a mapping's key = its JSON string. Sets and mappings are matched in sorted order. Values
    nested beyond Python's recursion limit equal nothing.
    """
    try:
        return _same(a, b, False) or (lenient and _same(a, b, True))
    except RecursionError:
        return False


def _same(a: Any, b: Any, lenient: bool) -> bool:
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return (lenient or type(a) is type(b)) and _all_same(a, b, lenient)
    if lenient and {type(a), type(b)} == {int, float}:
        return bool(a == b)
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9) or (math.isnan(a) and math.isnan(b))
    if isinstance(a, set):
        return _all_same(sorted(a, key=_order), sorted(b, key=_order), lenient)
    if isinstance(a, dict):
        first, second = _sorted_keys(a, lenient), _sorted_keys(b, lenient)
        return all(map(_same_key, first, second, repeat(lenient))) and _all_same(
            [a[x] for x in first], [b[y] for y in second], lenient
        )
    return bool(a == b)


def _all_same(a: Sequence[Any], b: Sequence[Any], lenient: bool) -> bool:
    return len(a) == len(b) and all(map(_same, a, b, repeat(lenient)))


def _sorted_keys(mapping: dict[Any, Any], lenient: bool) -> list[Any]:
    if lenient:
        return sorted(mapping, key=lambda key: (_order(_json_key(key)), type(key).__name__))
    return sorted(mapping, key=_order)


def _same_key(a: Any, b: Any, lenient: bool) -> bool:
    return _same(a, b, False) or (lenient and _same(_json_key(a), _json_key(b), True))


def _json_key(key: Any) -> Any:
    """The string that JSON would make of a key; an integral float as its integer, since 1 = 1.0 here."""
    if isinstance(key, float) and key.is_integer():
        key = int(key)
    if key is None or isinstance(key, (bool, float)) or (isinstance(key, int) and abs(key) < _HUGE):
        return json.dumps(key)
    return key


def _order(value: Any) -> tuple[Any, ...]:
    """A key that sorts literals of all types together, numbers by their value, nan behind all others."""
    if isinstance(value, tuple):
        return ("tuple", len(value), *map(_order, value))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return ("", value != value, value)
    return (type(value).__name__, repr(value))
