"""Given pairs are read as literals only; mutants are like what was given, and never the same twice."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbb.programs.leetcode_inputs import LONGEST, Domain, Mutation, agrees, literal, read_input


@pytest.mark.parametrize(
    ("text", "names", "needed", "args"),
    [
        ("nums = [2,7], target = 9", ["nums", "target"], 2, [[2, 7], 9]),
        ("target = -9, nums = []", ["nums", "target"], 2, [[], -9]),
        ("a = null, b = [true,[false]]", ["a", "b"], 2, [None, [True, [False]]]),
        ('s = "null, true"', ["s"], 1, ["null, true"]),
        ("[1], 2", ["a", "b"], 2, [[1], 2]),
        ("a = 1", ["a", "b"], 1, [1]),
        ("a = {'x': true}", ["a"], 1, [{"x": True}]),
    ],
)
def test_pairs_are_read_in_the_order_of_the_parameters(
    text: str, names: list[str], needed: int, args: list[Any]
) -> None:
    assert read_input(text, names, needed) == args


@pytest.mark.parametrize(
    "text",
    [
        "a = f()", "a = b", "a = 1, c = 2", "a = 1, a = 2", "1, 2, 3", "", "a = [1", "a = {1}", "a = 1+2j", "a = b'x'",
        "a = __import__('os')", "a = 1) + g(2", "**{'a': 1}", "a = '" + "x" * LONGEST + "'", "a = " + "[" * 900 + "]" * 900, "a = '\\ud800'",
    ],
)  # fmt: skip
def test_anything_else_is_refused_and_nothing_is_evaluated(text: str) -> None:
    with pytest.raises(ValueError):
        read_input(text, ["a", "b"], 1)


@pytest.mark.parametrize(
    ("expected", "value", "right"),
    [
        ("[0, 1]", [0, 1], True), ("[0,1]", (0, 1), True), ("true", True, True), ("true", 1, False), ("1", True, False),
        ('"ab"', "ab", True), ("ab", "ab", True), ("", "", True), ("12", "12", True), ("2.00000", 2, True), ("0.333333", 1 / 3, True),
        ("0.34", 1 / 3, False), ("[1,2]", [2, 1], False), ("null", None, True), ("None", None, True), ("{1}", 1, False),
    ],
)  # fmt: skip
def test_given_outputs_are_held_against_values(expected: str, value: object, right: bool) -> None:
    assert agrees(expected, value) is right


literals = st.recursive(
    st.integers(-99, 99)
    | st.booleans()
    | st.none()
    | st.text("abc", max_size=4)
    | st.floats(-9, 9).map(lambda x: round(x, 2)),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)


def kind(value: Any) -> Any:
    return [kind(v) for v in value] if isinstance(value, list) else type(value)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(literals, literals).map(list), min_size=1, max_size=4), st.integers(0, 99))
def test_mutants_are_new_short_literals_drawn_by_the_seed_alone(inputs: list[list[Any]], seed: int) -> None:
    before = repr(inputs)
    drawn = list(Mutation(inputs, random.Random(seed)).draw(20, 4, 60))
    assert repr(inputs) == before
    texts = [repr(args) for args in drawn]
    assert len(set(texts)) == len(texts) and not set(texts) & {repr(args) for args in inputs}
    assert all(len(text) <= 62 and literal(text) == args for text, args in zip(texts, drawn, strict=True))
    assert texts == [repr(args) for args in Mutation(inputs, random.Random(seed)).draw(20, 4, 60)]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.lists(st.integers(0, 50), min_size=2, max_size=6), min_size=2, max_size=4), st.integers(0, 99)
)
def test_numbers_and_lengths_keep_to_what_was_seen(lists: list[list[int]], seed: int) -> None:
    seen = [x for v in lists for x in v]
    for (mutant,) in Mutation([[v] for v in lists], random.Random(seed)).draw(20, 0, 200):
        assert all(type(x) is int and min(seen) <= x <= max(seen) for x in mutant)
        assert 1 <= len(mutant) <= max(map(len, lists))


@pytest.mark.parametrize(
    ("inputs", "holds"),
    [
        ([[[1, 4, 9]], [[2, 3]], [[5, 7, 8, 8]]], lambda a: a[0] == sorted(a[0])),
        ([[[4, 1, 9]], [[2, 3]], [[5, 8, 7]]], lambda a: len(set(a[0])) == len(a[0])),
        ([[[[1, 2], [3, 4]]], [[[5, 6, 7], [8, 9, 1]]]], lambda a: len({len(row) for row in a[0]}) <= 1),
        ([[3, [1, 2, 2]], [2, [5, 5]], [4, [1, 1, 1, 0]]], lambda a: a[0] == len(a[1])),
        ([[[1, 2], [3, 3]], [[4, 4, 1], [2, 2, 2]]], lambda a: len(a[0]) == len(a[1])),
        ([["aab"], ["ba"]], lambda a: set(a[0]) <= set("ab")),
        ([[True, 0.25], [False, 0.75]], lambda a: type(a[0]) is bool and 0.25 <= a[1] <= 0.75),
    ],
)  # fmt: skip
def test_what_all_given_inputs_have_in_common_is_kept(inputs: list[list[Any]], holds: Any) -> None:
    drawn = list(Mutation(inputs, random.Random(1)).draw(40, 0, 200))
    assert len(drawn) >= 8 and all(holds(args) for args in drawn)


def test_slack_goes_beyond_what_was_seen() -> None:
    inputs = [[3], [5]]
    assert {a for (a,) in Mutation(inputs, random.Random(0)).draw(99, 0, 9)} == {4}
    assert max(a for (a,) in Mutation(inputs, random.Random(0)).draw(99, 20, 9)) > 10


def test_values_of_mixed_kinds_are_left_as_they_are() -> None:
    assert Domain([1, "a", [2]]).mutant("a", random.Random(0), 0) == "a"
