"""Inputs of functions: what a literal of an example stands for, values of a type, changes that keep the type, and what says nothing."""

from __future__ import annotations

import ast
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbb.programs.package_calls import bound, positional
from pbb.programs.package_inputs import change, inputs, literal, more, seeds, value
from pbb.programs.package_modules import Module


def function(parameters: str) -> ast.FunctionDef:
    (node,) = ast.parse(f"def f({parameters}):\n    return 1\n").body
    assert isinstance(node, ast.FunctionDef)
    return node


def expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[1, (x, 'a')]", [1, (7, "a")]),
        ("{'k': [True], 2: None}", {"k": [True], 2: None}),
        ("-1.5", -1.5),
        ("range(2, 6, 2)", [2, 4]),
        ("iter([1, 2])", [1, 2]),
        ("tuple('ab')", ("a", "b")),
    ],
)
def test_a_literal_of_an_example_is_its_value(text: str, expected: object) -> None:
    found = value(expression(text), {"x": 7})
    assert repr(found) == repr(expected)


@pytest.mark.parametrize(
    "text",
    ["y", "{**x}", "{[1]: 2}", "range(1000)", "range(1, 9, 0)", "range('a')", "print(1)", "open('f')", "1j", "b'a'", "f(1)(2)",
     "list(5)", "1 + 1", "list(x for x in [1])", "{([],): 1}", "range(10**22)", "range(10000000000000000000000)", "1e999", "[-1e999]",
     r"'\ud800'"],
)  # fmt: skip
def test_what_is_no_plain_literal_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        value(expression(text), {"x": 7})


def all_of(kind: type, inside: Callable[[Any], bool] = lambda _: True) -> Callable[[Any], bool]:
    return lambda v: type(v) is kind and all(inside(i) for i in v)


def is_a(*kinds: type) -> Callable[[Any], bool]:
    return lambda v: type(v) in kinds


TYPES: list[tuple[str, Callable[[Any], bool]]] = [
    ("int", is_a(int)),
    ("str", is_a(str)),
    ("bool", is_a(bool)),
    ("float", is_a(float)),
    ("'list[int]'", all_of(list, is_a(int))),
    ("list", all_of(list, is_a(int))),
    ("tuple", all_of(tuple, is_a(int))),
    ("typing.Sequence[str]", all_of(list, is_a(str))),
    ("list[list[int]]", all_of(list, all_of(list, is_a(int)))),
    ("tuple[int, str]", lambda v: type(v) is tuple and [type(i) for i in v] == [int, str]),
    ("Tuple[float, ...]", all_of(tuple, is_a(float))),
    ("int | None", is_a(int, type(None))),
    ("Optional[int]", is_a(int)),
    ("Union[int, str]", is_a(int, str)),
    (
        "Dict[str, list[int]]",
        lambda v: all_of(dict, is_a(str))(v) and all(map(all_of(list, is_a(int)), v.values())),
    ),
]


@pytest.mark.parametrize(("annotation", "fits"), TYPES, ids=[a for a, _ in TYPES])
def test_values_are_of_the_annotated_type(annotation: str, fits: Callable[[Any], bool]) -> None:
    made = inputs(function(f"x: {annotation}"), [], 40, 40)
    assert len(made) > 1
    for args in made:
        assert len(args) == 1 and fits(args[0]), args


@pytest.mark.parametrize(
    "parameters",
    ["", "x", "x: Thing", "x: 'int +'", "x: 'a\\0b'", "x: dict[list[int], int]", "x: Callable[[int], int]", "x: set[int]", "*xs: int"],
)  # fmt: skip
def test_an_annotation_that_says_nothing_gives_nothing(parameters: str) -> None:
    assert inputs(function(parameters), [], 40, 40) == []


def test_a_default_tells_the_type_and_what_has_none_is_left_out() -> None:
    made = inputs(function("x: int, sep=', ', flag=False, rest=None, more=1"), [], 40, 40)
    assert {tuple(type(a) for a in args) for args in made} == {(int, str, bool)}


@pytest.mark.parametrize(
    ("parameters", "args", "kwargs", "expected"),
    [
        ("a, b", [1], {"b": 2}, (1, 2)),
        ("a, b=3", [1], {}, (1,)),
        ("a, b=3, c=4", [1], {"c": 5}, None),  # b would have to be spelled out
        ("a, b", [1], {}, None),
        ("a", [1, 2], {}, None),
        ("a, *rest", [1, 2], {}, (1, 2)),
        ("a, *rest", [1, 2], {"k": 3}, None),
        ("a, *, k", [1], {"k": 3}, None),
    ],
)
def test_calls_go_by_position(
    parameters: str, args: list[object], kwargs: dict[str, object], expected: object
) -> None:
    assert positional(function(parameters), args, kwargs) == expected


@pytest.mark.parametrize(
    ("parameters", "one", "other", "same"),
    [
        ("x, k=3", (2,), (2, 3), True),
        ("x, k=3", (2,), (2, 4), False),
        ("x, k=-3, /, s='a'", (2, -3), (2, -3, "a"), True),
        ("x, k=SOME", (2,), (2, 3), False),
        ("x, *rest", (2,), (2, 3), False),
        ("x", (1,), (True,), True),
        ("x", ([1, {2: 0.0}],), ([1.0, {2.0: 0}],), True),
        ("x", ({1: 2, 3: 4},), ({3: 4, 1: 2},), True),
        ("x", ([1],), ((1,),), False),
        ("x", ("1",), (1,), False),
    ],
)
def test_calls_are_the_same_that_give_the_parameters_the_same(
    parameters: str, one: tuple[object, ...], other: tuple[object, ...], same: bool
) -> None:
    node = function(parameters)
    assert (bound(node, one) == bound(node, other)) is same
    assert len(inputs(node, [(list(one), {}), (list(other), {})], 0, 9)) == (1 if same else 2)


def test_more_inputs_are_no_old_ones_spelled_otherwise() -> None:
    node = function("n, k=1")
    good: list[tuple[object, ...]] = [(n,) for n in range(4)] + [(9, 1)]
    calls = [(*args, 1)[:2] for args in more(node, good, 50)]
    assert calls and len({*calls, *((*args, 1)[:2] for args in good)}) == len(calls) + len(good)


plain = st.recursive(
    st.booleans() | st.integers(-99, 99) | st.floats(-99, 99) | st.text("ab1 z", max_size=5) | st.none(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text("xyz", max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(plain, st.integers(0, 10**6))
@settings(max_examples=200, deadline=None)
def test_a_change_keeps_the_type_and_leaves_the_old_value(old: Any, seed: int) -> None:
    before = repr(old)
    new = change(old, random.Random(seed))
    assert type(new) is type(old) and repr(old) == before


@given(
    st.integers(1, 3).flatmap(
        lambda n: st.lists(st.lists(st.integers(), min_size=n, max_size=n), min_size=2)
    ),
    st.integers(0, 10**6),
)
@settings(max_examples=100, deadline=None)
def test_a_matrix_stays_one(matrix: list[list[int]], seed: int) -> None:
    changed = change(matrix, random.Random(seed))
    assert len({len(row) for row in changed}) == 1 and len(changed) == len(matrix)


def test_calls_are_found_in_doctests_and_code_with_the_names_as_they_were_last_set() -> None:
    text = f'''
def f(x):
    """
    >>> f(1)
    >>> f(
    """
def g(x):
    """
    >>> y = [2]
    >>> g(y), f(x=3)
    """
n = 4
f(n)
n = unknown
f(n)
self.g(*[1])
self.g("a" * 3)
f(**{{"x": 1}})
f("{"x" * 300}")
'''
    module = Module("m", ast.parse(text), test=False)
    assert seeds([module]) == {"g": [([[2]], {})], "f": [([4], {}), ([], {"x": 3})]}


def test_calls_with_what_no_file_holds_are_left_out() -> None:
    text = f"f({{([],): 1}})\nx = {{[]: 1}}\nf(range({10**22}))\nx = range({10**22})\nf(1e999)\nf('\\ud800')\nf({'0x' + 'f' * 9000})\nf(2)\n"
    module = Module("m", ast.parse(text), test=False)
    assert seeds([module])["f"] == [([2], {})]


@pytest.mark.parametrize("old", ["\x00\x00", "\U0010ffff", 1e308, -1.7e308])
def test_values_at_the_end_of_their_type_change_to_some_that_can_be_written(old: object) -> None:
    for seed in range(200):
        new = change(old, random.Random(seed))
        assert type(new) is type(old) and ast.literal_eval(repr(new)) == new
    for made in (
        inputs(function("x"), [([old], {}), ([old], {})], 40, 40),
        more(function("x"), [(old,)], 40),
    ):
        assert made and all(ast.literal_eval(repr(args)) == args for args in made)


def test_an_output_is_short_and_of_whole_characters() -> None:
    assert literal("aé") and literal([1.5]) and not literal("a" * 300)
    assert not literal("\ud800") and not literal({"a": ["\udfff"]})


def test_more_inputs_are_new_ones() -> None:
    good: list[tuple[object, ...]] = [(1, "ab"), (2, "cd")]
    found = more(function("n, s"), good, 10)
    assert len(found) == 10 and not set(found) & set(good)
    assert {(type(n), type(s)) for n, s in found} == {(int, str)}
    assert more(function("n"), [], 10) == []
