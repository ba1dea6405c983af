"""The leak proof: what documents may say of programs that are to be known by their source alone, read off the lines of documents.jsonl.

Contract: knows programs, not how documents are made. A line is at fault if it calls a w/o IO program with anything but its own parameters,
is more than a declaration of one, holds a row of one of its traces or an answer as a value, names one beside another program, or calls a
w/ IO program on a held-out input.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Sequence

from pbb.documents.render import trace_text
from pbb.programs.program import Program

ANSWER = re.compile(
    r"(?:answer(?: is|:)|returns)[ \t]+([-+]?\d[\w.]*|['\"\[({].*|True|False|None)\.?[ \t]*$", re.I | re.M
)


def leaks(programs: Sequence[Program], lines: Iterable[bytes]) -> Iterator[tuple[int, str]]:
    """(line number, what is wrong with it) for every line at fault."""
    known = {p.name: p for p in programs}
    rows = {p.name: _trace_rows(p) for p in programs if p.group.startswith("source_only")}
    # not \b in front: a name may stand behind an escape in raw JSON
    pattern = re.compile(
        rf"({'|'.join(map(re.escape, sorted(known, key=len, reverse=True)))})(?![A-Za-z0-9_])"
    )
    for number, line in enumerate(lines, 1):
        for fault in _faults(line, known, rows, pattern):
            yield number, fault


def _trace_rows(p: Program) -> set[str]:
    """The rows of a program's traces that hold values, which no declaration has."""
    shown = set("\n".join([p.source, *p.statements, *(way for ways in p.paths for way in ways)]).split("\n"))
    rows = {row for e in p.examples for row in trace_text(e.trace or []).split("\n")}
    return {row for row in rows if row and row not in shown}


def _faults(
    line: bytes, known: dict[str, Program], rows: dict[str, set[str]], pattern: re.Pattern[str]
) -> Iterator[str]:
    try:
        record = json.loads(line)
        text = f"{record['prompt']}\n{record['completion']}"
        if record.get("kind") == "chat":
            if named := pattern.findall(text):
                yield f"is a chat that names {min(named)}"
            return
        p = known[record["program"]]
    except (ValueError, KeyError, TypeError):
        yield "is no document of these programs"
        return
    spoken = set(pattern.findall(text)) | set(pattern.findall(line.decode("utf-8", "replace")))
    hidden = {name for name in spoken if known[name].group.startswith("source_only")} - {p.name, *p.needs}
    if hidden:
        yield f"is filed under {p.name} and names {', '.join(sorted(hidden))}"
    if record.get("group") != p.group:
        yield f"says that {p.name} is of another group than it is"
    calls = _calls(text, p.needs[-1] if p.only_named else p.name)
    if p.group.startswith("io"):
        held_out = {_plain(p.call(e)) for e in p.calls("test")} - {
            _plain(p.call(e)) for e in p.calls("train")
        }
        if found := held_out.intersection(map(_plain, calls)):
            yield f"holds the held-out call {min(found)}"
        return
    if record.get("kind") != "declaration":
        yield f"is no declaration, and of {p.name} nothing else may be trained on"
    if found := {call for call in calls if _plain(call) != _plain(p.head())}:
        yield f"calls {p.name}, which is to be known by its source alone: {min(found)}"
    told = record["completion"].split("\n")
    if found := rows[p.name].intersection(told):
        yield f"holds a row of a trace of {p.name}: {min(found)}"
    if values := [said for said in ANSWER.findall(record["completion"]) if _literal(said.rstrip(". \t"))]:
        yield f"gives an answer of {p.name}: {values[-1]}"


def _calls(text: str, name: str) -> Iterator[str]:
    """Every call of a name, up to the bracket that closes it (or the end of its line)."""
    for found in re.finditer(rf"{re.escape(name)}\s*\(", text):
        depth, end = 1, found.end()
        while end < len(text) and depth and text[end] != "\n":
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        yield text[found.start() : end]


def _plain(call: str) -> str:
    return re.sub(r"\s+", "", call)


def _literal(text: str) -> bool:
    """Whether it is a value, and no expression such as `''.join(rails)`, which a declaration may end in."""
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False
    return True
