"""Prose twins of Random Arithmetic programs: the same statements in English, and back again.

    Multiply x by 3 to get a. If a is above 40, subtract 7 from a to get b; otherwise, take the smaller of a and 12 to get b.
    Start c at b; then, for i from 0 to 1, add i to c. Return c.

Equivalence is proved by parsing: `parse(prose(body)) == body` for every body, held as a property test.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pbb.programs.arithmetic import Assign, Branch, Loop, Statement, Test, target

PHRASES = {
    "+": "add {r} to {l}",
    "-": "subtract {r} from {l}",
    "*": "multiply {l} by {r}",
    "//": "divide {l} by {r} rounding down",
    "%": "take the remainder of {l} divided by {r}",
    "min": "take the smaller of {l} and {r}",
    "max": "take the larger of {l} and {r}",
    "abs": "take the absolute value of {l}",
}
TESTS = {">": "{v} is above {c}", "<": "{v} is below {c}", "even": "{v} is even"}
_PATTERNS = {
    op: re.compile(re.escape(p).replace(r"\{l\}", r"(?P<l>\w+)").replace(r"\{r\}", r"(?P<r>\w+)"))
    for op, p in PHRASES.items()
}
_TESTS = {k: re.compile(p.format(v=r"(?P<v>\w+)", c=r"(?P<c>-?\d+)")) for k, p in TESTS.items()}


def _phrase(a: Assign) -> str:
    return PHRASES[a.op].format(l=a.left, r=a.right)


def sentence(s: Statement) -> str:
    """One statement as a sentence without its full stop, in lower case."""
    match s:
        case Assign():
            return f"{_phrase(s)} to get {s.target}"
        case Branch():
            test = TESTS[s.test.kind].format(v=s.test.variable, c=s.test.constant)
            return f"if {test}, {sentence(s.then)}; otherwise, {sentence(s.otherwise)}"
        case Loop():
            return f"start {s.target} at {s.start}; then, for i from 0 to {s.count - 1}, {_phrase(s.body)}"


def prose(body: Sequence[Statement]) -> str:
    """The whole body in English."""
    sentences = [sentence(s) for s in body] + [f"return {target(body[-1])}"]
    return " ".join(s[0].upper() + s[1:] + "." for s in sentences)


def parse(text: str) -> list[Statement]:
    """Read prose back into statements.

    Raises:
        ValueError: a sentence is not one that `prose` writes.
    """
    sentences = text.rstrip(".").split(". ")
    return [_statement(s[0].lower() + s[1:]) for s in sentences[:-1]]


def _assign(phrase: str, target: str | None = None) -> Assign:
    if target is None:
        phrase, _, target = phrase.rpartition(" to get ")
    for op, pattern in _PATTERNS.items():
        if m := pattern.fullmatch(phrase):
            right = m.groupdict().get("r", "0")
            return Assign(target, op, m["l"], int(right) if right.isdigit() else right)
    raise ValueError(f"no such phrase: {phrase!r}")


def _statement(s: str) -> Statement:
    if m := re.fullmatch(r"if (.+?), (.+); otherwise, (.+)", s):
        for kind, pattern in _TESTS.items():
            if t := pattern.fullmatch(m[1]):
                test = Test(kind, t["v"], int(t.groupdict().get("c") or 0))
                return Branch(test, _assign(m[2]), _assign(m[3]))
        raise ValueError(f"no such test: {m[1]!r}")
    if m := re.fullmatch(r"start (\w+) at (\w+); then, for i from 0 to (\d+), (.+)", s):
        return Loop(m[1], m[2], int(m[3]) + 1, _assign(m[4], m[1]))
    return _assign(s)
