"""Composition: programs that call two others, which are declared separately (finding 8 of the paper).

A real instance, of arithmetic. The parts are single programs of the set, and no declaration shows one beside the other::

    def Zub(x):                     Zub(7) == 17, by the trace
        a = Zibdax(x)                   Zibdax(7):
        b = Flurb(a)                    a = 7 * 3 = 21
        return b                        Flurb(21):
                                        b = 21 - 4 = 17

`declared`: the composite has this source and a name, and is declared as any program is. `named`: it has neither, and the question is the
nested call `Flurb(Zibdax(7))`; its record's name, `Zibdax_Flurb`, is for files alone. The paper says of composition only that it works in
part; ours is the strict case: a w/o IO composite is made of w/o IO parts, so nothing of it or of its parts is ever executed in training.

Contract: what the first part gives is an input of the second; train calls of a w/ IO composite hold no held-out call of its parts; no
composite gives the outputs of another program of the set on the calls that either is evaluated on. Composite i of a group depends on
(seed, i) and the singles.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pbb.errors import PbbError
from pbb.programs.family import MOST
from pbb.programs.names import names
from pbb.programs.program import Example, Facts, Group, Program, Single, Split, TraceStep

PATIENCE = 2000
SHARE = 0.25
"""Of a composite's calls at most so many may give one and the same value, or back what they were given."""

Trace = list[TraceStep | str]
Run = Callable[[Program, Any, Trace | None], Any]
"""What a single program gives for an input; appends the executed statements to the trace, if there is one."""
Inputs = Callable[[Program, Program, random.Random], list[Any]]
"""Distinct inputs of the first program whose outputs are inputs of the second, in random order; none where the two do not fit."""

Length = Callable[[list[int]], int]
"""The length of a composite from those of its parts: steps add up, the letters of a text do not."""

GROUPS: tuple[tuple[Group, Single], ...] = (
    ("source_only_composed", "source_only"),
    ("io_composed", "io"),
)
"""The groups of composites, each with the group of its parts."""


class Compose(BaseModel):
    """How many composites of w/ IO and of w/o IO programs, and whether they are declared or only named."""

    model_config = ConfigDict(extra="forbid")
    io: int = Field(200, ge=0, le=MOST)
    source_only: int = Field(100, ge=1, le=MOST)
    form: Literal["declared", "named"] = "declared"

    @model_validator(mode="before")
    @classmethod
    def _mapping(cls, given: Any) -> Any:
        if not isinstance(given, (dict, Compose)):
            raise ValueError("give a mapping, such as {io: 200, source_only: 100, form: declared}")
        return given


def composite(
    first: Program, second: Program, group: Group, name: str | None = None, length: Length = sum
) -> Program:
    """`second` after `first`, declared under a name or, without one, only named; as yet without examples."""
    head = first.head()
    given = head[head.index("(") :]
    calls = [f"{first.entry}{given}", f"{second.entry}(a)"]
    entry = name or f"{first.entry}_{second.entry}"
    statements = [f"{target} = {call}" for target, call in zip("ab", calls, strict=True)] if name else []
    source = "\n    ".join([f"def {name}{given}:", *statements, "return b\n"]) if name else ""
    prose = f"Apply {first.entry} to {given[1:-1]} to get a. Apply {second.entry} to a to get b. Return b."
    facts = [first.facts, second.facts]
    return Program(
        name=entry,
        entry=entry,
        source=source,
        prose=prose if name else None,
        statements=statements,
        paths=[[f"{call}:"] for call in calls] if name else [],
        needs=[first.name, second.name],
        parts=[first, second],
        family=first.family,
        group=group,
        examples=[],
        facts=Facts(
            length=length([f.length for f in facts]),
            ops=list(dict.fromkeys(op for f in facts for op in f.ops)),
            branches=sum(f.branches for f in facts),
            loops=sum(f.loops for f in facts),
        ),
        origin=first.origin,
    )


def example(p: Program, given: Any, split: Split, run: Run) -> Example:
    """One call of a composite, whose trace tells the call of each part above the part's own trace."""
    trace: Trace = []
    value = given
    for q in p.parts:
        trace.append(f"{q.entry}({value!r}):")
        value = run(q, value, trace)
    return Example.model_construct(args=[given], kwargs={}, output=value, split=split, trace=trace)


def composites(
    singles: Sequence[Program],
    dials: Compose,
    *,
    run: Run,
    inputs: Inputs,
    seed: int,
    train_inputs: int,
    test_inputs: int,
    asked: int,
    length: Length = sum,
) -> list[Program]:
    """The composites of a set, w/o IO ones first.

    Each has `test_inputs` held-out calls, of which the first `asked` tell it from every other program; w/ IO ones have up to `train_inputs`
    calls to train on, a quarter of that at least. w/o IO ones have none.

    Raises:
        PbbError: too few pairs of programs fit one another.
    """
    fresh = names(len(singles) + dials.io + dials.source_only, seed)[len(singles) :]
    counts: Mapping[str, int] = {"io_composed": dials.io, "source_only_composed": dials.source_only}
    drawn: list[Program] = []
    used: set[tuple[str, str]] = set()
    for group, of in GROUPS:
        parts = [p for p in singles if p.group == of]
        index = 0
        for done in range(counts[group]):
            for _ in range(PATIENCE if len(parts) > 1 else 0):
                rng = random.Random(f"compose:{seed}:{group}:{index}")
                index += 1
                first, second = rng.sample(parts, 2)
                if (first.name, second.name) in used:
                    continue
                name = fresh[len(drawn)] if dials.form == "declared" else None
                bare = composite(first, second, group, name, length)
                found = _with_calls(bare, run, inputs(first, second, rng), train_inputs, test_inputs)
                if found is not None and not _has_twin(found, [*singles, *drawn], run, asked):
                    used.add((first.name, second.name))
                    drawn.append(found)
                    break
            else:
                raise PbbError(
                    f"data.compose: only {done} of {counts[group]} composites of the {len(parts)} {of} programs could be made: ask for "
                    "fewer composites or fewer inputs, or for more programs"
                )
    return drawn


def _with_calls(
    p: Program, run: Run, inputs: Sequence[Any], train_inputs: int, test_inputs: int
) -> Program | None:
    """The composite with its examples, or None where too few inputs fit it or its outputs are hardly its own."""
    if len(inputs) < test_inputs:
        return None
    outputs = [_value(p, x, run) for x in inputs]
    most = max(1, SHARE * len(inputs))
    unchanged = sum(x == y for x, y in zip(inputs, outputs, strict=True))
    if max(Counter(outputs).values()) > most or unchanged > most:
        return None
    train: list[Any] = []
    if p.group == "io_composed":
        first, second = ([e.args[0] for e in q.calls("test")] for q in p.parts)
        free = [x for x in inputs if x not in first and run(p.parts[0], x, None) not in second]
        train = free[: min(train_inputs, len(inputs) - test_inputs)]
        if 4 * len(train) < train_inputs:
            return None
    test = [x for x in inputs if x not in train][:test_inputs]
    calls: list[tuple[Any, Split]] = [*((x, "train") for x in train), *((x, "test") for x in test)]
    return p.model_copy(update={"examples": [example(p, x, split, run) for x, split in calls]})


def _value(p: Program, x: Any, run: Run) -> Any:
    for q in p.parts or [p]:
        x = run(q, x, None)
    return x


def _has_twin(p: Program, others: Sequence[Program], run: Run, asked: int) -> bool:
    """Whether it and another program agree on all asked calls of either; those of w/ IO singles are not evaluated without source."""
    own = p.calls("test")[:asked]
    for q in others:
        if all(_value(q, e.args[0], run) == e.output for e in own):
            return True
        if q.group != "io" and all(_value(p, e.args[0], run) == e.output for e in q.calls("test")[:asked]):
            return True
    return False
