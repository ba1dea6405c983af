"""A small recipe of every program family, as test_data_hashes makes its data: everything written out, nothing taken from the shipped recipes.

What Python's versions do otherwise is in here where a family can meet it: LeetCode solutions with comprehensions, swaps and f-strings, and
programs of a file with tuples, dicts and keyword arguments.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pbb.programs.program import Example, Facts, Program, write_programs
from pbb.recipe import Recipe

sys.path.insert(0, str(Path(__file__).parents[1] / "programs"))

import problems  # noqa: E402

DECLARE: dict[str, Any] = {"kind": "declaration", "per_program": 3}
EXECUTE: dict[str, Any] = {"kind": "execution", "group": "io", "per_program": 1.5}
READ = [{"kind": "declaration", "group": "io", "per_program": 0.5}, EXECUTE | {"ask": "recite"}]
SIZES = {"io": 12, "source_only": 6, "train_inputs": 8, "test_inputs": 6}
ARITHMETIC: dict[str, Any] = SIZES | {
    "length": [1, 3],
    "input_range": [0, 29],
    "bound": 99,
    "constants": [1, 9],
    "constant_share": 0.25,
    "operations": ["+", "-", "*", "//", "%", "min", "max", "abs", "if", "for"],
}
CIPHERS = SIZES | {
    "family": "ciphers",
    "kinds": ["caesar", "atbash", "affine", "vigenere", "keyword", "rail fence"]
    + ["progressive", "alternating", "previous"],
    "direction": "both",
    "alphabet": 10,
    "letters": [3, 5],
    "strings": "both",
}
GRAMMARS = SIZES | {
    "family": "grammars",
    "nonterminals": [1, 2],
    "alternatives": 3,
    "terminals": 4,
    "right": 3,
    "steps": [1, 5],
    "longest": 10,
}
STAGES: dict[str, Any] = {
    "learn": {
        "mix": [DECLARE | {"group": "io"}, DECLARE | {"group": "io", "form": "part"}]
        + [DECLARE | {"group": "io", "form": "path"}]
        + [EXECUTE | {"ask": ask} for ask in ("direct", "trace", "recite")]
    },
    "read": {"mix": [DECLARE | {"group": "source_only"}, *READ]},
    "read-wrong": {"mix": [DECLARE | {"group": "source_only", "wrong": True}, *READ]},
    "prose": {"mix": [DECLARE | {"group": "source_only", "represent": "prose"}]},
    "together": {"of": ["learn", "read"]},
}
COMPOSED = {
    "learn": {
        "mix": [DECLARE | {"group": "io_composed"}]
        + [EXECUTE | {"group": "io_composed", "ask": ask} for ask in ("direct", "trace", "recite")]
    },
    "read": {"mix": [DECLARE | {"group": "source_only"}, DECLARE | {"group": "source_only_composed"}]},
}
NAMED = {
    "learn": {"mix": [DECLARE | {"group": "io"}, *COMPOSED["learn"]["mix"][1:]]},
    "read": {"mix": [DECLARE | {"group": "source_only"}]},
}
BROUGHT = {
    "learn": {"mix": [DECLARE | {"group": "io"}, *(EXECUTE | {"ask": ask} for ask in ("direct", "recite"))]},
    "read": {"mix": [DECLARE | {"group": "source_only"}, *READ]},
    "read-wrong": {"mix": [DECLARE | {"group": "source_only", "wrong": True}, *READ]},
}
SOLVED = {
    "learn": {"mix": [DECLARE | {"group": "io"}, EXECUTE | {"ask": "direct"}, EXECUTE | {"ask": "trace"}]},
    "read": {"mix": [DECLARE | {"group": "source_only"}, *READ]},
}
SOLUTIONS = [
    *problems.FINE,
    ("evens", problems.method(
        "evens", "nums: List[int]", "rest = [n * 2 for n in nums if n > 1]", "at = {n: i for i, n in enumerate(rest)}",
        "return sum(at.values()) + len(rest)"), [("nums = [1,5,2]", "3"), ("nums = [4,4]", "3"), ("nums = [0]", "0")]),
    ("divided", problems.method(
        "divided", "small: int, large: int", "while small:", "    large, small = small, large % small", "return large"),
     [("small = 12, large = 18", "6"), ("small = 7, large = 21", "7"), ("small = 4, large = 9", "1")]),
    ("labelled", problems.method(
        "labelled", "word: str, width: int", "shown = f\"{word[:2]!r}{width:>3}\"", "return shown + word"),
     [('word = "abc", width = 5', "\"'ab'  5abc\""), ('word = "z", width = 12', "\"'z' 12z\"")]),
]  # fmt: skip
MADE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "arithmetic": (ARITHMETIC, STAGES),
    "composition": (
        ARITHMETIC | {"compose": {"io": 4, "source_only": 4}, "io": 14, "source_only": 8},
        COMPOSED,
    ),
    "composition, only named": (
        ARITHMETIC | {"compose": {"io": 4, "source_only": 4, "form": "named"}, "io": 14, "source_only": 8},
        NAMED,
    ),
    "ciphers": (CIPHERS, STAGES),
    "ciphers, shift given": (
        CIPHERS
        | {"shift": "argument", "shifts": "c4", "kinds": ["caesar", "affine", "progressive", "alternating"]},
        STAGES,
    ),
    "grammars": (GRAMMARS, STAGES),
    "file": (SIZES | {"family": "file"}, BROUGHT),
    "leetcode": (
        {"family": "leetcode", "io": 3, "source_only": 3, "train_inputs": 8, "test_inputs": 4}
        | {"max_trace": 24, "rename": "all", "allow_code": True},
        SOLVED,
    ),
}
"""By family (or a way of it), its data and its stages."""


def brought(number: int) -> Program:
    """A program of a file: values that JSON keeps and values that it would change."""
    k = number + 2
    examples = [
        Example(
            args=[x, (x, [k])],
            kwargs={"by": {1: x}} if x % 2 else {},
            output={"sum": x * k, x: (x, None, x / 4, f"it's {x}")},
            split="train" if i % 2 else "test",
        )
        for i, x in enumerate(range(-3, 15))
    ]
    return Program(
        name=f"twist{number}",
        entry=f"twist{number}",
        source=f"def twist{number}(x, pair, by=None):\n    return {{'sum': x * {k}, x: (x, None, x / 4, f\"it's {{x}}\")}}\n",
        prose=f"Times {k}.",
        family="python",
        group="io",
        examples=examples,
        facts=Facts(length=1),
    )


def recipe(family: str, folder: Path) -> Recipe:
    """The recipe of a family; what it brings from outside is written into `folder`."""
    data, stages = MADE[family]
    if data.get("family") == "file":
        write_programs([brought(n) for n in range(20)], folder / "programs.jsonl")
        data = data | {"path": str(folder / "programs.jsonl")}
    if data.get("family") == "leetcode":
        rows = [problems.row(name, name, code, pairs, later=True) for name, code, pairs in SOLUTIONS]
        data = data | {"path": str(problems.write(folder / "problems.jsonl", rows))}
    made: dict[str, Any] = {
        "name": "golden",
        "title": "Data that must not change unnoticed",
        "seeds": [11],
        "data": data,
        "templates": {"prompt": 20, "response": 20},
        "evaluation": {"calls": 3, "direct_calls": 4}
        if family == "leetcode"
        else {"calls": 5, "direct_calls": 6},
        "stages": stages,
        "arms": {name: {"stages": [name]} for name in stages},  # documents are made for stages that arms use
    }
    return Recipe.model_validate(made)
