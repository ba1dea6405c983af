"""Which programs no document of another one names or shows: by name, by a wrapped function's name, by the functions of a source."""

from __future__ import annotations

from typing import Any

import pytest

from pbb.programs.apart import apart, known_as
from pbb.programs.program import Example, Facts, Program


def program(name: str, source: str, call: Any = 3, output: Any = 4, **changes: Any) -> Program:
    examples = [Example(args=[call], output=output, split="train", trace=changes.pop("trace", None))]
    entry = changes.pop("entry", name)
    return Program(
        name=name,
        entry=entry,
        source=source,
        family="mine",
        group="io",
        examples=examples,
        facts=Facts(length=1),
        **changes,
    )


PAIRS = "def pairs(xs):\n    for i, x in enumerate(xs):\n        yield i, x\n"
LISTED = f"{PAIRS}\n\ndef pairs_list(xs):\n    return list(pairs(xs))\n"
USES = f"{PAIRS}\n\ndef total(xs):\n    return sum(i * x for i, x in pairs(xs))\n"


@pytest.mark.parametrize(
    ("source", "names"),
    [
        (LISTED, ["pairs_list", "pairs"]),
        (LISTED.replace("return list(pairs(xs))", '"""All."""\n    return sorted(list(pairs(xs, 3)))'), ["pairs_list", "pairs"]),
        (f"{PAIRS}\ndef inner(xs):\n    return pairs(xs)\ndef pairs_list(xs):\n    return inner(xs)\n", ["pairs_list", "inner", "pairs"]),
        (LISTED.replace("list(pairs(xs))", "list(pairs(list(xs)))"), ["pairs_list"]),  # it does something of its own
        (USES.replace("total", "pairs_list"), ["pairs_list"]),
        ("def pairs_list(xs):\n    return pairs_list(xs)\n", ["pairs_list"]),
        ("def pairs_list(:", ["pairs_list"]),
    ],
)  # fmt: skip
def test_a_wrapper_is_known_by_what_it_wraps(source: str, names: list[str]) -> None:
    assert known_as(program("pairs_list", source)) == names


def test_where_a_harvested_function_came_from_is_a_name_of_it_too() -> None:
    source = USES.replace("total", "pairs_list")
    assert known_as(program("pairs_list", source, origin={"qualified": "lib.more.pairs"})) == [
        "pairs_list",
        "pairs",
    ]
    assert known_as(program("pairs_list", source, origin={"qualified": "lib.more.others"})) == ["pairs_list"]


def other(**changes: Any) -> Program:
    return program("other", "def other(xs):\n    return xs\n", **changes)


@pytest.mark.parametrize(
    ("beside", "free"),
    [
        (other(), True),
        (program("total", USES), False),
        # however its variables and annotations are written, and wherever it stands
        (program("total", "def total(xs):\n    def g(ys: list):\n        for k, y in enumerate(ys):\n            yield k, y\n    return g\n"), False),
        (other(prose="As pairs does."), False),
        (other(call="pairs"), False),
        (other(output={"pairs_list": 1}), False),
        (other(output="a\npairs"), False),
        (other(trace=["pairs = 3"]), False),
        (other(statements=["pairs(xs)"]), False),
        (other(call="impairs"), True),
    ],
)  # fmt: skip
def test_what_another_names_or_shows_is_not_apart(beside: Program, free: bool) -> None:
    assert ("pairs_list" in apart([program("pairs_list", LISTED), beside])) == free


def test_a_helper_that_two_programs_share_is_a_part_of_both() -> None:
    double = program("double", "def twice(x):\n    return 2 * x\n\ndef double(x):\n    return twice(x) + 1\n")
    triple = program("triple", "def twice(y):\n    return 2 * y\n\ndef triple(x):\n    return twice(x) + x\n")
    alone = program("alone", "LIMIT = 9\n\ndef alone(x):\n    return 7 * x\n")
    assert apart([double, triple, alone]) == {"alone"}
    assert apart([double, alone]) == {"double", "alone"}


def test_a_name_of_several_words_is_looked_for_as_it_is() -> None:
    named = program("add one", "def f(x):\n    return x + 1\n", entry="f")
    assert "add one" in apart([named, other()])
    assert "add one" not in apart([named, other(prose="First add one.")])


def test_a_function_that_cannot_be_written_anew_is_compared_as_it_stands() -> None:
    huge = f"def f(x, y=0x{'f' * 5_000}):\n    return 3 * x\n"
    inner = "def g(x):\n    n = 1\n    def more():\n        nonlocal n\n        n += x\n        return n\n    return more()\n"
    assert apart([program("f", huge), program("g", inner)]) == {"f", "g"}
