"""Solutions as plain functions: what `Solution().method` gives, the function gives."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

import problems  # noqa: E402

from pbb.programs.leetcode_unwrap import ENTRY, LeftOut, unwrap  # noqa: E402


def both(code: str, method: str, *args: object) -> tuple[object, object]:
    """What the method gives, and what the unwrapped function gives. The sources are the tests' own."""
    space: dict[str, object] = {}
    exec(problems.PROMPT + code, space)
    expected = getattr(space["Solution"](), method)(*args)  # type: ignore[operator]
    plain: dict[str, object] = {}
    exec(ast.unparse(unwrap(code, method, problems.PROMPT)), plain)
    return expected, plain[ENTRY](*args)  # type: ignore[operator]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(-9, 9), min_size=1, max_size=6), st.integers(0, 9))
def test_methods_attributes_helpers_and_classes_move_in(nums: list[int], extra: int) -> None:
    expected, got = both(problems.COUNTED, "counted", nums, extra)
    assert got == expected


def test_one_plain_function_is_left() -> None:
    function = unwrap(problems.COUNTED, "counted", problems.PROMPT)
    text = ast.unparse(function)
    assert text.startswith(f"def {ENTRY}(nums, extra):\n    from collections import Counter\n")
    for gone in ("self.seen", "Solution", "List", "->", "docstring", "unused"):
        assert gone not in text
    assert "nonlocal seen" in text


NAMES = ("n", "m", "max", "helper", "go", "LIMIT")


@settings(deadline=None, max_examples=40)
@given(st.permutations(NAMES), st.integers(0, 9))
def test_names_that_meet_keep_their_meanings(names: list[str], value: int) -> None:
    a, b, c, d, e, f = names
    code = f"""
{f} = 7

class Solution:
    {a} = 2

    def helper_of(self, {b}):
        {c} = {b} + {f} if '{f}' != '{c}' else {b}
        self.{d} = self.{d} + 1
        return {c} * self.{a}

    def main(self, {e}_in):
        self.{d} = 10
        {b} = {e}_in + 1
        {a} = self.helper_of({b})
        if {e}_in > 3:
            return self.main({e}_in - 1) + {a}
        return [{a}, {b}, self.{d}, self.{a}, abs(-{b})][{e}_in % 5]
"""
    expected, got = both(code, "main", value)
    assert got == expected


def test_constructor_static_method_and_recursion() -> None:
    code = """
class Solution:
    def __init__(self):
        self.memo = {}

    @staticmethod
    def twice(n):
        return 2 * n

    def fib(self, n):
        if n < 2:
            return self.twice(n)
        if n not in self.memo:
            self.memo[n] = self.fib(n - 1) + Solution().fib(n - 2)
        return self.memo[n]
"""
    expected, got = both(code, "fib", 9)
    assert got == expected == 68


def test_a_builtin_stays_one_though_a_star_shadows_it() -> None:
    code = problems.method("power", "n: int", "return pow(n, 3, 5) + isqrt(n)")
    space: dict[str, object] = {}
    exec(ast.unparse(unwrap(code, "power", problems.PROMPT)), space)
    assert space[ENTRY](9) == 4 + 3  # type: ignore[operator]


def test_what_an_import_renames_or_the_prompt_does_not_bring_is_imported() -> None:
    code = "import math as m\nfrom heapq import heappush as push\n" + problems.method(
        "f",
        "n: int",
        "heap = []",
        "push(heap, m.gcd(n, 4))",
        "return heap + list(accumulate(heap)) + [inf > 1]",
    )
    text = ast.unparse(unwrap(code, "f"))
    assert "import math as m" in text and "from heapq import heappush as push" in text
    assert "from itertools import accumulate" in text and "from math import inf" in text


@pytest.mark.parametrize(
    ("code", "method", "reason"),
    [
        (problems.TREE, "depth", "trees"),
        (problems.CHAIN, "last", "linked lists"),
        (problems.CHANCE, "pick", "randomness"),
        (problems.PLACE, "turn", "answers in place"),
        (problems.DESIGN, "push", "class design"),
        (problems.SCALE, "other", "class design"),
        (problems.FOREIGN, "first", "other modules"),
        (problems.BROKEN, "broken", "syntax error"),
        ("class Solution:\0", "f", "syntax error"),
        ("(" * 5000, "f", "syntax error"),
        ("class Solution:\n    def f(self, self, x):\n        return x", "f", "syntax error"),
        (problems.NAMELESS, "nameless", "undefined names"),
        (problems.method("f", "n: int", "return help_me(self)"), "f", "not one function"),
        (problems.method("f", "n: int", "return self.nothing + n"), "f", "not one function"),
        (problems.method("f", "n: int, *rest", "return n"), "f", "not one function"),
        (problems.method("f", "n: int", "import os", "return os.getpid()"), "f", "other modules"),
    ],
)
def test_what_is_left_out_and_why(code: str, method: str, reason: str) -> None:
    with pytest.raises(LeftOut) as caught:
        unwrap(code, method, problems.PROMPT)
    assert caught.value.reason == reason
