"""The source that is executed to verify a solution: the solution with a limit on its steps, and a function that watches its inputs.

A deadline in seconds would keep an input on a fast machine and drop it on a slow one; steps are the same everywhere. Every round of a loop
or a comprehension and every entry of a function is one.

Contract: `probed` gives a source whose `pbb_probe` returns (value, whether the inputs are as they were) as the function itself would, or
raises TooManySteps.
"""

from __future__ import annotations

import ast
import copy
from typing import Any

from pbb.programs.sandbox import Outcome

STEPS = 20_000
PROBE = "pbb_probe"
HARNESS = """
class TooManySteps(BaseException):
    pass

def pbb_step():
    global pbb_left
    pbb_left -= 1
    if pbb_left < 0:
        raise TooManySteps
    return True

def pbb_probe(*args):
    global pbb_left
    pbb_left = {steps}
    before = repr(args)
    value = {name}(*args)
    return value, repr(args) == before
"""


def probed(function: ast.FunctionDef, steps: int = STEPS) -> str:
    """The source of function and probe."""
    counted = copy.deepcopy(function)
    for node in ast.walk(counted):
        if isinstance(node, (ast.For, ast.While, ast.FunctionDef)):
            at = 0
            while at < len(node.body) and isinstance(node.body[at], (ast.Nonlocal, ast.Global)):
                at += 1
            node.body.insert(at, ast.Expr(_step()))
        elif isinstance(node, ast.Lambda):
            node.body = ast.BoolOp(ast.And(), [_step(), node.body])
        elif isinstance(node, ast.comprehension):
            node.ifs.insert(0, _step())
    return ast.unparse(ast.fix_missing_locations(counted)) + HARNESS.format(steps=steps, name=function.name)


def watched(outcome: Outcome) -> tuple[object, bool]:
    """The value of a probe that has come to its end, and whether the inputs are as they were."""
    if (
        not isinstance(outcome.value, tuple) or len(outcome.value) != 2
    ):  # whoever wrote the solution meddles with the probe
        return None, False
    return outcome.value[0], outcome.value[1] is True


def _step() -> ast.Call:
    return ast.Call(ast.Name("pbb_step", ast.Load()), [], [])


def with_copies(function: ast.FunctionDef, args: list[Any]) -> ast.FunctionDef:
    """The function, beginning with a copy of every list that it is given, so that it may change them; args tell which are lists."""
    copied = copy.deepcopy(function)
    first = []
    for parameter, value in zip(copied.args.args, args, strict=False):
        if isinstance(value, list):
            name = parameter.arg
            deep = any(isinstance(item, list) for item in value)
            first.append(
                ast.parse(f"{name} = [row[:] for row in {name}]" if deep else f"{name} = {name}[:]").body[0]
            )
    copied.body = [*first, *copied.body]
    return copied
