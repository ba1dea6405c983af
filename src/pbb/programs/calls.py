"""Calls of a program that a text holds, code or not: what a declaration may not tell of a program that is to be known by its source alone.

The example `Zibdax("ab", n=2)` may stand in a docstring as `Zibdax('ab')`, where 2 is the default: calls are the same if they give the
parameters the same values, however they are written.

Where a program may be told by its source alone, a call is looked for as prose writes it too: in Markdown, in the figures of other scripts, handed
to another function (`map(Zibdax, [7])`), under another name (`f = Zibdax; f(7)`).

Contract: nothing is executed.
"""

from __future__ import annotations

import ast
import inspect
import io
import re
import tokenize
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

from pbb.programs.program import Example, Program

START = r"(?:(?<![A-Za-z0-9_])|(?<=\\[abfnrtv]))"
"""Where a name may begin: also behind an escape, as in the repr of a text."""
DEEPEST = 50
NO_PYTHON = (SyntaxError, ValueError, RecursionError, MemoryError)
CONTINUED = re.compile(r"\n[ \t]*(?:\.\.\.|#)")
ESCAPED = re.compile(r"""\\(['"])""")
DOCTEST = re.compile(r"^[ \t]*>>>[^\n]*(?:\n(?![ \t]*\n)[^\n]*)*", re.M)
SET = re.compile(r"(\w+)\s*(?:=(?!=)|:=|,|\bin\b)")
"""A name that a statement sets, or one of several."""
DRAWN = re.compile(r"[^\n]{0,80}?\bfor\s+(\w+)\s+in\s+(?:range\s*\(|[\[({'\"\d])")
"""Values that are gone through behind a call: `Zibdax(x) for x in (3, 4)`."""
MARKUP = re.compile(r"[`$]|\*\*|~~|</?\w+>|\\(?=[()\[\]{}])|(?<!\w)\*(?=\w)|(?<=\w)\*(?=\s*\()")
TOKEN = re.compile(r"""'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|[()\[\]{}]""")


@lru_cache(maxsize=4096)
def remarks(source: str) -> str:
    """The docstrings, other strings and comments of a source; all of it where it is no Python."""
    try:
        ast.parse(source)
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (*NO_PYTHON, tokenize.TokenError):
        return source
    strings = [_literal(_parsed(t.string)) for t in tokens if t.type == tokenize.STRING]
    comments = [t.string for t in tokens if t.type == tokenize.COMMENT]
    return "\n".join([*(s for s in strings if isinstance(s, str)), *comments])


@lru_cache(maxsize=4096)
def uncoded(source: str) -> str:
    """What of a source tells calls though no function makes them: its remarks, and the statements that stand in no function or class."""
    return "\n".join([remarks(source), *_outside(source)])


def uses(source: str, names: Sequence[str]) -> list[str]:
    """The statements outside of functions, such as tests below them, that use one of some functions together with a value."""
    return [
        text
        for text, node in _outside(source).items()
        if any(isinstance(n, ast.Name) and n.id in names for n in ast.walk(node))
        and any(isinstance(n, ast.Constant) for n in ast.walk(node))
    ]


def _outside(source: str) -> dict[str, ast.stmt]:
    """By their text; nothing of what is no Python."""
    try:
        body = ast.parse(source).body
    except NO_PYTHON:
        return {}
    defined = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom
    others = [node for node in body if not isinstance(node, defined)]
    return {ast.get_source_segment(source, node) or "": node for node in others}


def with_values(text: str, entry: str) -> list[str]:
    """The calls of a function in a text that give values for all arguments, and no variables but those that a doctest has set."""
    found: dict[str, None] = {}
    for shape in _read(text):
        calls = [written for written, call in _calls(shape, entry, told=True) if call.args or call.keywords]
        found |= dict.fromkeys([*calls, *_handed(shape, entry)])
        for alias in re.findall(rf"(?<![\w.])(\w+)[ \t]*=[ \t]*{re.escape(entry)}\b(?!\s*[(.=])", shape):
            if alias != entry:
                found |= dict.fromkeys(
                    written for written, call in _calls(shape, alias, told=True) if call.args
                )
    return [*found]


def _read(text: str) -> Iterator[str]:
    """A text as it stands; as it is read, with letters and figures of one script; and without the signs of Markdown."""
    plain = text
    if not text.isascii():
        letters = (c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")
        plain = figures("".join(letters))
    yield from dict.fromkeys([text, plain, MARKUP.sub("", plain)])


def figures(text: str) -> str:
    """A text with the decimal digits of all scripts as 0 to 9."""
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text)


def _handed(text: str, entry: str) -> Iterator[str]:
    """The calls of other functions that are given this one and values, as `map` is."""
    for found in re.finditer(rf"\b\w+\s*\(\s*{re.escape(entry)}\s*,", text):
        end = _closed(text, text.index("(", found.start()) + 1)
        if end is None or re.search(r"\bdef\s+$", text[max(0, found.start() - 20) : found.start()]):
            continue
        with suppress(*NO_PYTHON):
            call = _parsed(text[found.start() : end])
            if isinstance(call, ast.Call) and _open(call) <= {entry}:
                yield " ".join(text[found.start() : end].split())


class Asked:
    """The calls of some of a program's examples, to be found in texts."""

    def __init__(self, p: Program, examples: Sequence[Example]) -> None:
        self.entry = p.parts[-1].entry if p.only_named else p.entry
        self.signature = _signature(p)
        self.nested = (
            {ast.dump(ast.parse(p.call(e), mode="eval").body) for e in examples} if p.only_named else set()
        )
        self.values = [] if p.only_named else [_bound(self.signature, e.args, e.kwargs) for e in examples]

    def told(self, text: str) -> list[str]:
        """Those of the calls that stand in a text, as written there; one of a function without parameters tells nothing."""
        return [
            written
            for written, call in _calls(text, self.entry)
            if (self.nested and ast.dump(call) in self.nested)
            or ((given := _given(self.signature, call)) and given in self.values)
        ]


def positional(p: Program, examples: Sequence[Example]) -> list[tuple[list[Any], dict[str, Any]]]:
    """The arguments of each call, those that have a place in that place; as they are where they do not fit."""
    signature = _signature(p)
    found = []
    for e in examples:
        args, kwargs = list(e.args), e.kwargs
        with suppress(TypeError):
            bound = signature.bind(*args, **kwargs) if signature else None
            args, kwargs = (list(bound.args), bound.kwargs) if bound else (args, kwargs)
        found.append((args, kwargs))
    return found


def _calls(text: str, entry: str, told: bool = False) -> Iterator[tuple[str, ast.Call]]:
    """Every call of a function in a text without a variable among its arguments, as written and as read; a definition is none.

    told: variables that a doctest sets above the call are none either, nor those that go through values behind it.
    """
    text = CONTINUED.sub("\n", text)
    name = re.escape(entry)
    written_so = re.compile(rf"{START}{name}(?:\s*\.\s*__call__)?\s*\(|\(\s*{name}\s*\)\s*\(")
    for shape in dict.fromkeys([text, ESCAPED.sub(r"\1", text)]):  # a call may stand in the repr of a text
        sessions = [found.span() for found in DOCTEST.finditer(shape)] if told else []
        for found in written_so.finditer(shape):
            at, end = found.start(), _closed(shape, found.end())
            if end is None or re.search(r"\bdef\s+$", shape[max(0, at - 20) : at]):
                continue
            try:
                call = _parsed(f"{entry}({shape[found.end() : end]}")  # the name may stand in a line above
            except NO_PYTHON:
                continue
            if not isinstance(call, ast.Call):
                continue
            above = next((shape[start:at] for start, stop in sessions if start <= at < stop), "")
            drawn = DRAWN.match(shape, end) if told else None
            if _open(call) <= {*SET.findall(above), *([drawn[1]] if drawn else [])}:
                yield " ".join(shape[at:end].split()), call


def _parsed(text: str) -> ast.expr:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes, in a text that may be prose
        return ast.parse(text, mode="eval").body


def _closed(text: str, start: int) -> int | None:
    """The place behind the bracket that closes the one before `start`."""
    depth = 1
    for token in TOKEN.finditer(text, start):
        depth += 1 if token[0] in "([{" else -1 if token[0] in ")]}" else 0
        if depth == 0:
            return token.end()
        if depth > DEEPEST:
            return None
    return None


def _open(call: ast.Call) -> set[str]:
    """The variables that the arguments hold and do not set themselves, and the three dots of prose."""
    nodes = list(ast.walk(call))
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    names = [node for node in nodes if isinstance(node, ast.Name) and id(node) not in called]
    dots = {"..." for node in nodes if isinstance(node, ast.Constant) and node.value is ...}
    return dots | (
        {node.id for node in names} - {node.id for node in names if isinstance(node.ctx, ast.Store)}
    )


def _signature(p: Program) -> inspect.Signature | None:
    try:
        tree = ast.parse(p.source)
    except NO_PYTHON:
        return None
    a = next((n.args for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == p.entry), None)
    if a is None:
        return None
    kind, none = inspect.Parameter, inspect.Parameter.empty
    rows: list[tuple[ast.arg, Any, ast.expr | None]] = []
    rows += [(x, kind.POSITIONAL_ONLY, None) for x in a.posonlyargs]
    rows += [(x, kind.POSITIONAL_OR_KEYWORD, None) for x in a.args]
    without = len(rows) - len(a.defaults)
    rows[without:] = [(x, how, d) for (x, how, _), d in zip(rows[without:], a.defaults, strict=True)]
    rows += [(a.vararg, kind.VAR_POSITIONAL, None)] if a.vararg else []
    rows += [(x, kind.KEYWORD_ONLY, d) for x, d in zip(a.kwonlyargs, a.kw_defaults, strict=True)]
    rows += [(a.kwarg, kind.VAR_KEYWORD, None)] if a.kwarg else []
    try:
        return inspect.Signature(
            [kind(x.arg, how, default=none if d is None else _literal(d)) for x, how, d in rows]
        )
    except ValueError:  # a parameter twice, which only the compiler refuses
        return None


def _given(signature: inspect.Signature | None, call: ast.Call) -> dict[str, Any] | None:
    """What a call as text gives the parameters; nothing where it gives no literals, or does not fit."""
    args = [_literal(arg) for arg in call.args]
    kwargs = {str(k.arg): _literal(k.value) for k in call.keywords}
    if any(isinstance(value, ast.expr) for value in [*args, *kwargs.values()]):
        return None
    return _bound(signature, args, kwargs)


def _bound(
    signature: inspect.Signature | None, args: Sequence[Any], kwargs: dict[str, Any]
) -> dict[str, Any] | None:
    """By parameter, the values of a call, those left out by default; None where it does not fit. Without a signature, as it is called."""
    if signature is None:
        return {"args": list(args), "kwargs": kwargs}
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError:
        return None
    bound.apply_defaults()
    return dict(bound.arguments)


def _literal(node: ast.expr) -> Any:
    """The value of a literal; anything else as it is."""
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return node
