"""Variables under other names: every output stays, and nothing outside of the function is touched."""

from __future__ import annotations

import ast
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbb.programs.renaming import called_otherwise, fresh, rename, variables

SOURCE = """
def walk(items, depth=2):
    from math import gcd as common
    class Node:
        size = 3
        def grow(self, by):
            return self.size + by
    def inner(x, *rest, flag=False):
        nonlocal total
        total += x
        return [item * flag for item in items if item > x] + list(rest)
    total = 0
    try:
        total += Node().grow(by=1)
        found = sorted(inner(1, 2, flag=True), key=lambda value: -value)
    except ValueError as problem:
        raise RuntimeError from problem
    match found:
        case [head, *others]:
            total += head + len(others)
        case {"a": one, **left}:
            total += one
    if (count := len(items)) > 1:
        total += common(count, depth)
    return total, found, {key: max(item, 0) for key, item in enumerate(items)}
"""


def value(source: str, name: str, *args: object) -> object:
    space: dict[str, object] = {}
    exec(source, space)  # the tests' own source, written above
    return space[name](*args)  # type: ignore[operator]


def function() -> ast.FunctionDef:
    (node,) = ast.parse(SOURCE).body
    assert isinstance(node, ast.FunctionDef)
    return node


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.lists(st.integers(-9, 9), max_size=6))
def test_any_fresh_spelling_of_all_variables_keeps_the_outputs(seed: int, items: list[int]) -> None:
    node = function()
    old = variables(node)
    new = [f"v{i}" for i in range(len(old))]
    random.Random(seed).shuffle(new)
    rename(node, dict(zip(old, new, strict=True)) | {"walk": "Zib"})
    text = ast.unparse(node)
    assert value(text, "Zib", items) == value(SOURCE, "walk", items)
    assert not {"items", "total", "found", "inner", "head", "left"} & set(
        ast.unparse(node).replace("(", " ").split()
    )


def test_what_reaches_outside_keeps_its_name() -> None:
    kept = {"walk", "max", "sorted", "size", "grow", "common", "flag", "key", "by", "self"} - {"self"}
    assert not kept & set(variables(function()))
    assert variables(function()) == variables(function())


@pytest.mark.parametrize(("taken", "name"), [(set(), "x"), ({"x"}, "x_"), ({"x", "x_"}, "x__")])
def test_fresh_names_are_new_and_taken_from_then_on(taken: set[str], name: str) -> None:
    assert fresh("x", taken) == name
    assert name in taken
    assert fresh("max", set()) == "max_"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def count(x):\n    return count(x - 1)  # count down\n", "def turn(x):\n    return turn(x - 1)  # turn down\n"),
        (
            "def count(xs, y):\n    \"\"\"Like xs.count, but count starts at 1.\"\"\"\n    return xs.count(y) + 1\n",
            "def turn(xs, y):\n    \"\"\"Like xs.count, but turn starts at 1.\"\"\"\n    return xs.count(y) + 1\n",
        ),
        ("def key(xs):\n    é = 'ä', sorted(xs, key=key)\n    return é\n", "def turn(xs):\n    é = 'ä', sorted(xs, key=turn)\n    return é\n"),
        ("def count(x):\n\n    x = (x.count,\n         count)\n", "def turn(x):\n\n    x = (x.count,\n         turn)\n"),
        ("count .count( and", "turn .turn( and"),  # no Python
    ],
)  # fmt: skip
def test_a_function_is_called_otherwise_and_nothing_else_is(source: str, expected: str) -> None:
    old = "key" if source.startswith("def key") else "count"
    assert called_otherwise(source, old, "turn") == expected
