"""What is wrong with a file of programs, line by line: `pbb data check FILE`.

Without running anything: schema, keys, names, syntax, entries, literals, calls with two outputs, calls that stand in both splits, and what a
program tells of its own answers, for which the recipe `own` never takes it as a w/o IO program. With
`--allow-code`, isolated: outputs that execution contradicts, and behavioural twins among all programs; without it, only twins that the file
itself shows. Twins that `origin.twins` names, as `pbb harvest` does, are no fault: the recipe `own` never takes one as a w/o IO program.

Contract: a fault names its line and what to do; a file without faults can be trained on by the recipe `own`.
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pbb.errors import PbbError
from pbb.programs.brought import MARK, defines, tells
from pbb.programs.equality import equal
from pbb.programs.family import Report
from pbb.programs.isolation import Isolated
from pbb.programs.observed import MODULES
from pbb.programs.own_lines import astray, composed, contradictions, foreign, in_both, keys, loaded
from pbb.programs.program import Program
from pbb.programs.twins import ASKED, twins

MOST = 10_000
SAID = 3  # faults of one kind that a line reports
EXPECTED = {
    **dict.fromkeys(("name", "entry", "source", "prose", "statement", "family"), "a text"),
    "group": "'io' or 'source_only'",
    "split": "'train' or 'test'",
    "examples": 'a list of objects, such as {"args": [2], "output": 6, "split": "train"}',
    "args": "a list with one value for each argument, such as [2]",
    "kwargs": 'an object of values by the names of arguments, such as {"n": 2}',
    "output": "what the call gives",
    "facts": 'an object, such as {"length": 1}',
    "length": "a whole number",
    **dict.fromkeys(("statements", "needs", "ops"), "a list of texts"),
    "paths": "a list of lists of texts",
    "trace": "a list of lines of working, which are texts",
    "origin": 'an object, such as {"license": "MIT"}',
}
"""By key, what is to stand there."""
MEANT = {
    **dict.fromkeys(("input", "inputs", "arguments", "arg", "call"), "args"),
    **dict.fromkeys(("outputs", "result", "expected", "answer", "returns"), "output"),
    "keywords": "kwargs",
}
"""By another word, the key of an example."""


@dataclass(frozen=True)
class Fault:
    """`line` is 1-based; `rule` is what the counts are kept by."""

    line: int
    name: str
    rule: str
    text: str


def check(path: Path, allow_code: bool, report: Report) -> tuple[list[Program], list[Fault]]:
    """The programs that could be read, and all faults in order of lines.

    Raises:
        PbbError: the file cannot be read; it is Python, which is harvested first; or `allow_code` where nothing can be isolated.
    """
    if path.is_dir() or path.suffix == ".py":
        raise PbbError(
            f"data check: {path} is Python: `pbb harvest {path} --out programs.jsonl --allow-code` makes programs of it, then check those"
        )
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as e:
        raise PbbError(f"data check: cannot read {path}: {e.strerror}: give a programs.jsonl") from e
    if form := _spread(b"\n".join(lines)):
        text = f"one JSON object a line is expected, and this is {form}: write every program in a line of its own"
        return [], [Fault(1, "", "JSON", text)]
    faults: list[Fault] = []
    known: list[tuple[int, Program]] = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            faults += _line(number, line, known)
    if not known and not faults:
        faults.append(
            Fault(1, "", "empty", "there are no programs in the file: one JSON object a line is expected")
        )
    programs = [p for _, p in known]
    at = {p.name: number for number, p in reversed(known)}
    first = [(n, p) for n, p in known if at[p.name] == n]  # a name that is there twice is no twin of itself
    runnable = [
        (n, p) for n, p in first if not any(f.line == n and f.rule in ("syntax", "entry") for f in faults)
    ]
    if allow_code:
        with Isolated(True, MODULES, what=str(path)) as worker:
            faults += _contradicted(runnable, worker, report)
            alike = twins([p for _, p in runnable], worker=worker, report=report)
    else:
        alike = twins([p for _, p in first])
    named = {p.name: set(p.twins()) for p in programs}
    for name, others in alike.items():
        if unnamed := [other for other in others if other not in named[name]]:
            text = f"gives the same outputs as {', '.join(unnamed[:SAID])} on its first {ASKED} held-out calls: name it in origin.twins"
            faults.append(Fault(at[name], name, "twin", text))
    return programs, sorted(faults, key=lambda f: f.line)


def _spread(data: bytes) -> str | None:
    """What a file holds whose first value of JSON goes over several lines, so that no line of it is a program."""
    try:
        text = data.decode().strip()
        value, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return None
    if "\n" not in text[:end]:
        return None
    return "an array" if isinstance(value, list) else "an object over many lines"


def _line(number: int, line: bytes, known: list[tuple[int, Program]]) -> Iterator[Fault]:
    """The faults that one line shows by itself or beside those above it; adds its program to `known`."""
    record: Any
    try:
        if line.startswith(MARK):
            yield Fault(
                number, "", "JSON", "begins with a byte order mark: save the file as UTF-8 without one"
            )
            return
        text = line.decode()
        record, twice = loaded(text)
    except (ValueError, RecursionError) as error:
        yield Fault(
            number,
            "",
            "JSON",
            f"no JSON: {' '.join(str(error).split())[:120]}: one object a line is expected",
        )
        return
    name = str(record.get("name", "")) if isinstance(record, dict) else ""
    try:
        p = Program.model_validate_json(text)
    except ValidationError as error:
        for e in error.errors()[:SAID]:
            yield Fault(number, name, "schema", _expected(e))
        return
    yield from (Fault(number, name, "key", fault) for fault in [*keys(record, twice)][:SAID])
    yield from (Fault(number, name, "needs", fault) for fault in composed(p))
    for word, values in (("name", [q.name for _, q in known]), ("entry", [q.entry for _, q in known])):
        if getattr(p, word) in values:
            yield Fault(
                number,
                name,
                "duplicate",
                f"{word} {getattr(p, word)!r} stands in line {known[values.index(getattr(p, word))][0]} already",
            )
    known.append((number, p))
    try:
        ast.parse(p.source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        at = f"line {error.lineno} of the source: " if isinstance(error, SyntaxError) and error.lineno else ""
        what = error.msg if isinstance(error, SyntaxError) else str(error)
        what = "the source holds a null byte: take it out" if "\0" in p.source else what
        yield Fault(number, name, "syntax", f"{at}{what}")
    else:
        if not defines(p.source, p.entry) and not p.needs:
            yield Fault(number, name, "entry", f"the source defines no function {p.entry!r} at its top level")
    yield from _examples(number, p)


def _expected(e: ErrorDetails) -> str:
    """What is wrong with a value, and what is to stand there."""
    parts = [str(part) for part in e["loc"]]
    where, key = ".".join(parts) or "line", parts[-1] if parts else ""
    if e["type"] == "extra_forbidden":
        meant = f"write {MEANT[key]!r}" if key in MEANT else "put it under origin, or take it out"
        return f"{where}: is no key that is read: {meant}"
    if e["type"] == "value_error":  # in words of our own
        return f"{where}: {e['msg'].removeprefix('Value error, ')}"
    wanted = EXPECTED.get(key) or EXPECTED.get(parts[-2] if key.isdecimal() and parts[1:] else "")
    if not parts or (key.isdecimal() and parts[-2] == "examples"):
        wanted = "a JSON object"
    if wanted is None:
        return f"{where}: {e['msg']}"
    if e["type"] == "missing":
        return f"{where}: is missing: give {wanted}"
    return f"{where}: expected {wanted}, not {' '.join(repr(e['input']).split())[:40]}"


def _examples(number: int, p: Program) -> Iterator[Fault]:
    for split in ("train", "test"):
        if not any(e.split == split for e in p.examples):
            yield Fault(number, p.name, "examples", f"has no {split} examples")
    odd = [
        e.call(p.entry)[:80]
        for e in p.examples
        if not (_literal(e.output) and _literal([e.args, e.kwargs])) or foreign([e.args, e.kwargs, e.output])
    ]
    for call in odd[:SAID]:
        yield Fault(
            number,
            p.name,
            "literal",
            f"{call}: arguments or output are no short literals (finite, no sets, at most {MOST} characters)",
        )
    yield from (Fault(number, p.name, "literal", fault) for fault in astray(p))
    for fault in [*contradictions(p)][:SAID]:
        yield Fault(number, p.name, "contradiction", fault)
    yield from (Fault(number, p.name, "leak", text) for text in tells(p)[:SAID])
    for e in in_both(p)[:SAID]:
        yield Fault(
            number, p.name, "leak", f"{e.call(p.entry)[:80]} stands in both splits: take it out of one"
        )


def _literal(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return len(value) <= MOST and not (
            value.startswith("<") and " at 0x" in value
        )  # as an object without a literal prints
    if isinstance(value, list | tuple):
        return len(value) <= MOST and all(map(_literal, value))
    if isinstance(value, dict):
        return len(value) <= MOST and all(_literal(k) and _literal(v) for k, v in value.items())
    return True


def _contradicted(known: list[tuple[int, Program]], worker: Isolated, report: Report) -> Iterator[Fault]:
    """Examples whose output is not what the source gives."""
    jobs = [p.job(p.examples) for _, p in known]
    for done, ((number, p), outcomes) in enumerate(
        zip(known, worker.execute_many(jobs, seconds=10), strict=True), 1
    ):
        wrong = [
            f"{e.call(p.entry)[:80]} gives {(o.error or repr(o.value))[:120]}, the file says {repr(e.output)[:120]}"
            for e, o in zip(p.examples, outcomes, strict=True)
            if o.error or not equal(o.value, e.output, lenient=False)
        ]
        yield from (Fault(number, p.name, "output", text) for text in wrong[:SAID])
        if len(wrong) > SAID:
            yield Fault(number, p.name, "output", f"and {len(wrong) - SAID} more")
        report(done, len(known), "executed")
