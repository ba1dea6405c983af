"""Inputs that stand beside their outputs: what tells a program's answers though it is no call.

    3 -> 13            Input: 3 / Output: 13            for 3 it gives 13; for 6, 25            CASES = {3: 13, 6: 25}

In words a pair is told by one line that holds all arguments and the output of an example, each as a whole token; one pair does if the line names
the program, else it takes two, since a line of prose may hold any two numbers. In code only a table tells: a dict, or a list of pairs, that
maps the arguments of two examples to their outputs; constants that happen to stand there do not.

Contract: nothing is executed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from typing import Any

from pbb.programs.calls import NO_PYTHON, figures
from pbb.programs.equality import equal
from pbb.programs.program import Example, Program

BELOW = re.compile(
    r"\n[\s>*#-]{0,40}(?=(?:out(?:put)?|results?|returns?|gives|expected|answer)\b|[-=]>|→)", re.I
)
"""Where an output stands below its input."""
ENOUGH = 2


def in_words(p: Program, words: str, names: Sequence[str]) -> list[str]:
    """The calls of the examples that lines of a text give with their outputs, of which there are two, or which stand beside a name."""
    lines = [line for line in BELOW.sub(" ", figures(words)).split("\n") if line.strip()]
    named = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, names))})(?!\w)")
    beside = [line for line in lines if named.search(line)]
    found: dict[str, bool] = {}
    for e in p.examples:
        values = [*e.args, *e.kwargs.values()]
        shapes = sorted(map(_shape, [*values, e.output]), key=lambda shape: -len(shape.pattern))
        if values and any(_hold(line, shapes) for line in lines):
            found[e.call(p.entry)] = any(_hold(line, shapes) for line in beside)
    return [*found] if len(found) >= ENOUGH else [call for call, known in found.items() if known]


def _shape(value: Any) -> re.Pattern[str]:
    """What a value looks like as a token; a text with either sort of quotes, or if it is no single sign without any."""
    text = re.sub(r"(?:\\ )+", r"\\s*", re.escape(repr(value)))
    if isinstance(value, str):
        inner = re.escape(value)
        text = "|".join([text, f'"{inner}"', f"'{inner}'", *([inner] if len(value.strip()) > 1 else [])])
    less = r"(?<!-)" if type(value) in (int, float) else ""
    return re.compile(rf"(?<![\w.]){less}(?:{text})(?!\w|\.\d)")


def _hold(line: str, shapes: Sequence[re.Pattern[str]]) -> bool:
    """Whether a line holds all of some tokens, each in a place of its own."""
    for shape in shapes:
        if (found := shape.search(line)) is None:
            return False
        line = f"{line[: found.start()]}\n{line[found.end() :]}"
    return True


def in_tables(p: Program) -> list[str]:
    """The calls of the examples that a table in the code gives with their outputs, of which there are two in one table."""
    try:
        tree = ast.parse(p.source)
    except NO_PYTHON:
        return []
    for node in ast.walk(tree):
        rows = list(_rows(node))
        found = {e.call(p.entry): None for e in p.examples if any(_maps(row, e) for row in rows)}
        if len(found) >= ENOUGH:
            return [*found]
    return []


def _rows(node: ast.AST) -> Iterator[tuple[list[Any], Any]]:
    """What a dict or a list of pairs maps to what; only its literals."""
    if isinstance(node, ast.Dict):
        pairs = [([key], value) for key, value in zip(node.keys, node.values, strict=True) if key]
    elif isinstance(node, ast.List | ast.Tuple | ast.Set):
        inner = [e.elts for e in node.elts if isinstance(e, ast.List | ast.Tuple) and len(e.elts) > 1]
        pairs = [([*elts[:-1]], elts[-1]) for elts in inner]
    else:
        return
    for keys, value in pairs:
        try:
            yield [ast.literal_eval(key) for key in keys], ast.literal_eval(value)
        except (*NO_PYTHON, TypeError):
            continue


def _maps(row: tuple[list[Any], Any], e: Example) -> bool:
    """Whether a row's first part is what an example is asked with, and its second what it gives."""
    keys, value = row
    asked = [*e.args, *e.kwargs.values()]
    if len(keys) == 1 and isinstance(keys[0], tuple | list) and len(asked) != 1:
        keys = [*keys[0]]
    return bool(asked) and equal(keys, asked, lenient=True) and equal(value, e.output, lenient=True)
