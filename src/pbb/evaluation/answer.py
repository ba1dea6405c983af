"""From what a model wrote to a value, and when two values are the same answer.

A direct answer is the first thing generated; a chain of thought ends in a marked one:

    17 is what Zibble(7) gives.                     -> 17     (direct)
    a = 7 * 2 = 14, then a + 3 = 17.  Answer: 17    -> 17     (chain of thought: the last mark wins)

Whole published tables of 0 % came from parsers, so the reason of a failure is kept, and failures are
reported beside every accuracy. A direct question is never given the benefit of a chain: a value that only
follows lines of working does not count there, or reasoning in text would be sold as evaluation inside the
forward pass.

Contract: text in, a literal value or a reason out. Nothing that a model wrote is ever executed, and nothing
raises.
"""

import ast
import json
import re
import warnings
from dataclasses import dataclass
from typing import Any

from pbb.programs.equality import MAX_DIGITS
from pbb.programs.equality import equal as equal  # where tasks that were exported look for it

MAX_CHARS = 2_000
"""Longest answer that is read: a bound on the work, far above any output of a program that fits a prompt."""
MAX_NESTING = 20
"""Deepest nesting of brackets that is read, so that no parser below can exhaust the stack."""
MAX_SOURCE_CHARS = 100_000
"""Longest source that `same_source` parses; longer ones are compared as text."""

_HUGE = 10**MAX_DIGITS

# Marks that say "this is the answer" whatever follows, and words that only do so where a value follows them:
# "Answer: 17, which is what Zibble returns." is answered by 17. Repeats are bounded: matching stays linear.
_MARK = re.compile(
    r"(?P<plain>\banswer\s{0,8}(?::|is\b\s{0,8}:?)|\#\#\#\#|\\boxed\s{0,8}\{)"
    r"|(?P<loose>=>|\breturns\b[ \t]{0,8}:?)",
    re.IGNORECASE,
)
_DRESSING = re.compile(r"[\s*`$]*")  # emphasis, code and formula marks around an answer
_DRESSING_ON_THE_LINE = re.compile(r"[ \t*`$]*")
_STRING = re.compile(r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"", re.DOTALL)
_IN_BRACKETS = re.compile(_STRING.pattern + r"|[\[\](){}'\"]", re.DOTALL)
_CLOSING_MARKS = re.compile(r"[*`$]*")
_NON_FINITE = re.compile(r"[-+]?(?:nan|NaN|inf|Infinity)\b")
_WORD = re.compile(rf"set\(\)|True|False|None|true|false|null|{_NON_FINITE.pattern}")
_NUMBER = re.compile(
    r"[-+]?(?:0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+"
    r"|(?:\d[\d_]*(?:\.\d[\d_]*)?|\.\d[\d_]*)(?:[eE][-+]?\d+)?)"
)
_CLOSES = {"]": "[", ")": "(", "}": "{"}
# What may not stand behind a value: the rest of a longer token, an operator with its operand, a second value.
_GLUED = re.compile(r"[\w%'\"\[(]|\.\w|[:/]\d")
_OPERATOR = re.compile(
    r"[ \t]*(?:(?:\*\*|//|<<|>>|==|!=|<=|>=|[-+*/%^&|@<>])[ \t]*[\d\[({'\"]|[+*/%][ \t]*[A-Za-z_])"
)
_SECOND = re.compile(r"[ \t]*(?:,|\b(?:or|and|to)\b)[ \t]*[-+]?[\d\[({'\"]")
_ITEM = re.compile(
    r"[\s*`$]*1[.)][*`$]*[ \t]+[^\s\d]"
)  # "1. First, multiply": how an LLM begins to think aloud


@dataclass(frozen=True)
class Parsed:
    """An answer: `value` and its `text` as the model wrote it, or, with `text` None, the `reason` why there
    is none."""

    value: Any
    text: str | None
    reason: str | None = None

    @property
    def ok(self) -> bool:
        """Whether there is a value (which may be None: a program can return that)."""
        return self.reason is None


def _unparsed(reason: str) -> Parsed:
    return Parsed(None, None, reason)


_NOTHING = _unparsed("no value where the answer should stand")


def parse(generation: str, *, cot: bool) -> Parsed:
    """Read the answer of a generation (without EOS); never raises.

    With `cot` (a chain of thought) the last marked answer wins: after "Answer:", "answer is", "####",
    "\\boxed{", or a value after "=>" or "returns"; a mark inside an answer that is a string is part of that
    string. Without a mark there is no answer. Without `cot` the answer is the literal that the generation
    begins with or, where it begins with words, the first marked one of its first line ("Zibble(7) returns
    17."). What begins as a numbered list has none. Literals are read as Python, then as JSON; `1_000` and `+5` are Python, `007` and `1,000` are
    neither.
    """
    return _last_marked(generation) if cot else _leading(generation)


def _leading(generation: str) -> Parsed:
    text = generation.lstrip()
    if _ITEM.match(text):
        return _unparsed("a numbered list")
    found, _ = _literal_at(text, 0, _DRESSING)
    if found != _NOTHING:
        return found
    for mark in _MARK.finditer(text.partition("\n")[0]):
        found, _ = _literal_at(text, mark.end(), _DRESSING)
        if found != _NOTHING or mark["plain"]:
            return found
    return found


def _last_marked(generation: str) -> Parsed:
    answer = _unparsed("no marked answer")
    position = 0
    while mark := _MARK.search(generation, position):
        plain = mark["plain"] is not None
        found, end = _literal_at(generation, mark.end(), _DRESSING if plain else _DRESSING_ON_THE_LINE)
        if plain or found != _NOTHING:
            answer = found
        position = end if found.ok else mark.end()
    return answer


def _literal_at(text: str, start: int, dressing: re.Pattern[str]) -> tuple[Parsed, int]:
    """The literal that begins at `start`, behind any dressing, and where it ends."""
    begin = _behind(dressing, text, start)
    window = text[begin : begin + MAX_CHARS + 1]
    length = _extent(window)
    if isinstance(length, str):
        return _unparsed(length), begin
    if length > MAX_CHARS:
        return _unparsed(f"longer than {MAX_CHARS} characters"), begin
    tail = end = begin + length
    if text[start:begin].strip():  # "**17**": the closing marks are no operator
        tail = _behind(_CLOSING_MARKS, text, end)
    if _SECOND.match(text, tail):
        return _unparsed("more than one value"), end
    if _OPERATOR.match(text, tail):
        return _unparsed("an expression, not a value"), end
    if _GLUED.match(text, tail):
        return _unparsed("a value that runs on into something else"), end
    return _evaluate(window[:length]), end


def _behind(marks: re.Pattern[str], text: str, start: int) -> int:
    found = marks.match(text, start)
    assert found  # no marks at all are a match too
    return found.end()


def _extent(window: str) -> int | str:
    """How many characters the literal at the beginning takes, or the reason why there is none."""
    first = window[:1]
    if first in _CLOSES.values():
        return _bracketed(window)
    quoted = first in ("'", '"')
    match = (_STRING if quoted else _NUMBER).match(window) or _WORD.match(window)
    if match:
        return match.end()
    if quoted and len(window) > MAX_CHARS:
        return f"longer than {MAX_CHARS} characters"
    return "a string without an end" if quoted else str(_NOTHING.reason)


def _bracketed(window: str) -> int | str:
    opened: list[str] = []
    for token in _IN_BRACKETS.finditer(window):
        character = token.group()
        if character in _CLOSES.values():
            opened.append(character)
            if len(opened) > MAX_NESTING:
                return f"nested deeper than {MAX_NESTING}"
        elif character in _CLOSES:
            if opened.pop() != _CLOSES[character]:
                return "brackets that do not match"
            if not opened:
                return token.end()
        elif len(character) == 1:  # a quote that nothing closes: going on would cost quadratic time
            return "a string without an end"
    return f"longer than {MAX_CHARS} characters" if len(window) > MAX_CHARS else "a bracket without an end"


def _evaluate(text: str) -> Parsed:
    if _NON_FINITE.match(text):
        return Parsed(float(text), text)
    value: Any
    try:
        with (
            warnings.catch_warnings()
        ):  # '\d' in a string of the model's is its affair, not a warning to the user
            warnings.simplefilter("ignore")
            value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        try:
            value = json.loads(text)
        except (ValueError, MemoryError, RecursionError):
            return _unparsed("neither a Python nor a JSON literal")
    reason = _not_an_output(value)
    return _unparsed(reason) if reason else Parsed(value, text)


def _not_an_output(value: Any) -> str | None:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, (list, tuple, set)):
            waiting.extend(item)
        elif isinstance(item, dict):
            waiting.extend(item.keys())
            waiting.extend(item.values())
        elif isinstance(item, int) and abs(item) >= _HUGE:
            return f"an integer of more than {MAX_DIGITS} digits"
        elif item is not None and not isinstance(item, (bool, int, float, str)):
            return f"a value of type {type(item).__name__}, which no program returns"
    return None


def same_source(a: str, b: str) -> bool:
    """Whether two sources are one program up to layout, comments and docstrings.

    Both are parsed, never run; names, order and every constant count. Text that is no Python equals only
    itself (but for the white space around it). Never raises.
    """
    if a.strip() == b.strip():
        return True
    first = _shape(a)
    return first is not None and first == _shape(b)


def _shape(source: str) -> str | None:
    if len(source) > MAX_SOURCE_CHARS:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                match node.body:
                    case [ast.Expr(ast.Constant(str())), *rest]:
                        node.body = rest or [ast.Pass()]
        return ast.dump(tree)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
