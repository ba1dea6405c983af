"""What is wrong with a file of programs, line by line: `pbb data check FILE`.

Without running anything: schema, keys, names, syntax, entries, literals, calls with two outputs, and calls that stand in both splits. With
`--allow-code`, isolated: outputs that execution contradicts, and behavioural twins among all programs; without it, only twins that the file
itself shows. Twins that `origin.twins` names, as `pbb harvest` does, are no fault: the recipe `own` never takes one as a w/o IO program.

Contract: a fault names its line and what to do; a file without faults can be trained on by the recipe `own`.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pbb.errors import PbbError
from pbb.programs.brought import defines
from pbb.programs.equality import equal
from pbb.programs.family import Report
from pbb.programs.isolation import Isolated
from pbb.programs.observed import MODULES
from pbb.programs.own_lines import astray, composed, contradictions, foreign, in_both, keys, loaded, told
from pbb.programs.program import Program
from pbb.programs.twins import ASKED, twins

MOST = 10_000
SAID = 3  # faults of one kind that a line reports


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
    runnable = [
        (n, p) for n, p in known if not any(f.line == n and f.rule in ("syntax", "entry") for f in faults)
    ]
    if allow_code:
        with Isolated(True, MODULES, what=str(path)) as worker:
            faults += _contradicted(runnable, worker, report)
            alike = twins([p for _, p in runnable], worker=worker, report=report)
    else:
        alike = twins(programs)
    named = {p.name: set(p.twins()) for p in programs}
    for name, others in alike.items():
        if unnamed := [other for other in others if other not in named[name]]:
            text = f"gives the same outputs as {', '.join(unnamed[:SAID])} on its first {ASKED} held-out calls: name it in origin.twins"
            faults.append(Fault(at[name], name, "twin", text))
    return programs, sorted(faults, key=lambda f: f.line)


def _line(number: int, line: bytes, known: list[tuple[int, Program]]) -> Iterator[Fault]:
    """The faults that one line shows by itself or beside those above it; adds its program to `known`."""
    record: Any
    try:
        text = line.decode()
        record, twice = loaded(text)
    except (ValueError, RecursionError) as error:
        yield Fault(number, "", "JSON", f"no JSON: {' '.join(str(error).split())[:120]}")
        return
    name = str(record.get("name", "")) if isinstance(record, dict) else ""
    try:
        p = Program.model_validate_json(text)
    except ValidationError as error:
        for e in error.errors()[:SAID]:
            where = ".".join(str(part) for part in e["loc"]) or "line"
            yield Fault(number, name, "schema", f"{where}: {e['msg']}")
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
        at = f"line {error.lineno} of the source: " if isinstance(error, SyntaxError) else ""
        yield Fault(number, name, "syntax", f"{at}{error.msg if isinstance(error, SyntaxError) else error}")
    else:
        if not defines(p.source, p.entry) and not p.needs:
            yield Fault(number, name, "entry", f"the source defines no function {p.entry!r} at its top level")
    yield from _examples(number, p)


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
    for call in told(p)[:SAID]:
        yield Fault(
            number, p.name, "leak", f"{call[:80]} stands in a docstring, a comment or its prose: take it out"
        )
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
