"""What a line of one's own programs.jsonl may not say, though it reads as a program: `pbb data check` names it, a recipe refuses it.

    keys that no program has or that stand twice, values that are no JSON, one call with two outputs, one call in both splits

Contract: text or a program in, faults out in words that end a sentence about that program; nothing is executed.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel

from pbb.programs.calls import Asked, remarks
from pbb.programs.equality import equal
from pbb.programs.program import Example, Facts, Program, TraceStep

SHOWN = 80  # characters of a call
KEYS = set(Program.model_fields) - {"parts"}  # which `link` puts in, and no file holds
EXAMPLE = {*Example.model_fields, "exact"}


def loaded(line: str) -> tuple[Any, list[str]]:
    """The value of a line of JSON, and the keys that one of its objects holds more than once.

    Raises:
        ValueError: it is no JSON; NaN and Infinity are read as Python does.
        RecursionError: it is nested beyond what Python reads.
    """
    twice: list[str] = []

    def kept(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        twice.extend(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        return dict(pairs)

    return json.loads(line, object_pairs_hook=kept), twice


def keys(record: dict[str, Any], twice: Sequence[str]) -> Iterator[str]:
    """Keys that would be dropped without a word; those of an example are for its model, which takes no others."""
    yield from (f"the key {key[:SHOWN]!r} stands twice in one object: keep one" for key in twice)
    yield from _unknown("", record, KEYS)
    yield from _unknown("facts.", record.get("facts"), _names(Facts))
    examples = record.get("examples")
    for number, example in enumerate(examples if isinstance(examples, list) else []):
        trace = example.get("trace") if isinstance(example, dict) else None
        for place, step in enumerate(trace if isinstance(trace, list) else []):
            yield from _unknown(f"examples.{number}.trace.{place}.", step, _names(TraceStep))


def _names(model: type[BaseModel]) -> set[str]:
    return set(model.model_fields)


def _unknown(where: str, record: object, known: set[str]) -> Iterator[str]:
    for key in record if isinstance(record, dict) else ():
        if key not in known:
            # what belongs into an example is often put beside them
            close = difflib.get_close_matches(
                key, [*sorted(known), *([] if where else sorted(EXAMPLE - known))], 1
            )
            hint = f"write {close[0]!r}" if close else "put it under origin"
            if close and close[0] not in known:
                hint = f"put it into an example, as {close[0]!r}"
            yield f"{(where + key)[:SHOWN]!r} is no key that is read: {hint}, or take it out"


def foreign(value: object) -> str | None:
    """The first value inside one that JSON cannot hold and that a tuple or a dict's keys do not account for; None if there is none."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list | tuple):
            waiting += reversed(item)
        elif isinstance(item, dict):
            waiting += [*item.keys(), *item.values()]
        elif isinstance(item, float) and not math.isfinite(item):
            return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(item, "NaN")
        elif item is not None and not isinstance(item, bool | int | float | str):
            return f"a {type(item).__name__}"
    return None


def composed(p: Program) -> Iterator[str]:
    """What a set that is drawn program by program cannot hold."""
    if p.needs:
        yield f"needs {', '.join(p.needs)[:SHOWN]}: programs of a file are drawn each by itself: write out in its source what it calls"


def unwritable(p: Program) -> Iterator[str]:
    """Examples, and an origin, that hold what JSON cannot."""
    for e in p.examples:
        if found := foreign([e.args, e.kwargs]):
            yield f"{e.call(p.entry)[:SHOWN]} is asked with {found}, which is no JSON: take that example out"
        elif found := foreign(e.output):
            yield f"{e.call(p.entry)[:SHOWN]} gives {found}, which is no JSON: take that example out"
    yield from astray(p)


def astray(p: Program) -> Iterator[str]:
    """What JSON cannot hold, beside arguments and outputs."""
    if found := foreign(p.origin):
        yield f"origin holds {found}, which is no JSON: take it out"
    steps = [s for e in p.examples for s in e.trace or () if isinstance(s, TraceStep)]
    if found := foreign([s.value for s in steps]):
        yield f"a trace holds {found}, which is no JSON: take that example out"


def contradictions(p: Program) -> Iterator[str]:
    """The calls that stand there with several outputs, in one split or both."""
    first_of: dict[str, Example] = {}
    told: set[str] = set()
    for given, second in zip(_calls(p), p.examples, strict=True):
        call = exactly(given)
        first = first_of.setdefault(call, second)
        if call not in told and not equal(first.output, second.output, lenient=False):
            told.add(call)
            yield (
                f"{first.call(p.entry)[:SHOWN]} stands there with two outputs, {first.output!r:.40} and {second.output!r:.40}: "
                "take the wrong one out"
            )


def in_both(p: Program) -> list[Example]:
    """The train examples whose call is held out too, however its arguments are passed; 1, 1.0 and True are one, as for the leak proof."""
    calls = [*zip(_calls(p), p.examples, strict=True)]
    held = [given for given, e in calls if e.split == "test"]
    return [e for given, e in calls if e.split == "train" and given in held]


def told(p: Program) -> list[str]:
    """The calls of a program's examples that stand in its own words, its lines or its code."""
    if p.only_named and not p.parts:  # what it is asked for cannot be said before `link`
        return []
    code = re.sub(
        rf"\.\s*{re.escape(p.entry)}\b", "._", "\n".join([p.source, *lines(p)])
    )  # a method is another's
    return Asked(p, p.examples).told(f"{spoken(p)}\n{code}")


def spoken(p: Program) -> str:
    """What is said of a program in words: its docstrings, other strings and comments, its prose, and what it is for."""
    return "\n".join([remarks(p.source), p.prose or "", p.statement])


def lines(p: Program) -> list[str]:
    """Its statements and the ways through them, which documents show apart from its source."""
    return [*p.statements, *(way for ways in p.paths for way in ways)]


def _calls(p: Program) -> list[Any]:
    """What each example gives the parameters; of what fits no signature, or has none, the call as it is."""
    bound: Sequence[Any] = [None] * len(p.examples) if p.only_named else Asked(p, p.examples).values
    return [
        [e.args, e.kwargs] if given is None else given for given, e in zip(bound, p.examples, strict=True)
    ]


def exactly(value: object) -> str:
    """A text that two values share if they are the same, types included, whatever the order of keys."""
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}({', '.join(map(exactly, value))})"
    if isinstance(value, dict):
        return f"{{{', '.join(sorted(f'{exactly(k)}: {exactly(v)}' for k, v in value.items()))}}}"
    return (
        f"int {value:x}" if type(value) is int else repr(value)
    )  # a default may have more digits than repr writes
