"""Inputs beside their outputs, in words and in tables; constants and figures that happen to stand there are none."""

from __future__ import annotations

from typing import Any

import pytest

from pbb.programs.pairs import in_tables, in_words
from pbb.programs.program import Example, Facts, Program

CALLS: list[tuple[list[Any], Any]] = [([3], 13), ([4], 17), ([6], 25)]


def program(
    source: str = "def f(x):\n    return 4 * x + 1\n", calls: list[tuple[list[Any], Any]] = CALLS
) -> Program:
    examples = [Example(args=args, output=output, split="test") for args, output in calls]
    given: dict[str, Any] = {"family": "mine", "group": "io", "facts": Facts(length=1)}
    return Program(name="f", entry="f", source=source, examples=examples, **given)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("Examples:\n    3 -> 13\n    4 -> 17", ["f(3)", "f(4)"]),
        ("Input: 3\nOutput: 13\n\nInput: 4\nOutput: 17", ["f(3)", "f(4)"]),
        ("in 3\n  -> 13\nin 6\n  => 25", ["f(3)", "f(6)"]),
        ("For 3 it gives 13; for 6 it returns 25.", ["f(3)", "f(6)"]),
        ("| \u0663 | \u0661\u0663 |\n| 4 | 17 |", ["f(3)", "f(4)"]),
        ("f of 3 is 13", ["f(3)"]),  # one does where its name stands
        ("f(x) at x=3 is 13", ["f(3)"]),
        ("3 -> 13", []),
        ("f of 3 is 14", []),
        ("Between 3 and 130, or -3 and 13; 4.17", []),
        ("Times 4 and 1 more.\nfrom 3\nto 13 by 4\nto 17", []),
        ("", []),
    ],
)
def test_a_line_that_holds_arguments_and_output_tells(words: str, told: list[str]) -> None:
    assert in_words(program(), words, ["f"]) == told


def test_any_sort_of_value_is_a_token_of_its_own() -> None:
    calls: list[tuple[list[Any], Any]] = [([[1, 2], "ab"], True), (["c d", 2.5], None), ([2], 2)]
    p = program(calls=calls)
    assert len(in_words(p, "[1,  2] with \"ab\": True\n'c d' and 2.5: None", ["f"])) == 2
    assert len(in_words(p, "[1, 2], ab, True; c d, 2.5, None", ["f"])) == 2
    assert in_words(p, "f of 2", ["f"]) == [] and in_words(p, "f of 2 is 2", ["f"]) == ["f(2)"]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("CASES = {3: 13, 4: 17}", ["f(3)", "f(4)"]),
        ("CASES = [(3, 13), (4, 17), (5, 0)]", ["f(3)", "f(4)"]),
        ("def test():\n    for x, y in ([4, 17], [6, 25]):\n        assert f(x) == y", ["f(4)", "f(6)"]),
        ("CASES = {(3,): 13, 9: 8}", []),
        ("CASES = {3: 13, 4: 18}\nMORE = {6: 25}", []),
        ("PRIMES = (3, 13, 4, 17, 6, 25)\nA, B = 3, 13\nROWS = [[3], [13]]\nM = {'a': [3, 13], **{}}", []),
        ("CASES = {x: 13, 4: y}", []),
        ("CASES = {3: 13", []),
    ],
)
def test_a_table_that_maps_arguments_to_outputs_tells(code: str, told: list[str]) -> None:
    assert in_tables(program(f"def f(x):\n    return 4 * x + 1\n\n{code}\n")) == told


def test_a_table_may_hold_several_arguments() -> None:
    p = program("def f(x, y):\n    return x + y\n\nT = {(1, 2): 3, (2, 2): 4}\n", [([1, 2], 3), ([2, 2], 4)])
    assert in_tables(p) == ["f(1, 2)", "f(2, 2)"]
    rows = p.model_copy(update={"source": "T = [(1, 2, 3), (2, 2, 4)]\n"})
    assert in_tables(rows) == ["f(1, 2)", "f(2, 2)"]
