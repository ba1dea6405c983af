"""The Random Arithmetic set of a recipe: programs w/ IO and w/o IO, each with train and held-out inputs, no twins.

Two programs are *twins* when nobody could tell them apart by what is asked: the same body up to renaming, or the same outputs on
the evaluation inputs. No w/o IO program has a twin anywhere in the set, so an answer learned for one program is never
right for another by construction. Bodies over all programs are behaviourally distinct on the whole input range, which
exhausts short programs first: the mix of lengths follows from what that leaves.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from pbb.errors import PbbError
from pbb.programs.arithmetic import (
    OPERATIONS,
    Dials,
    Statement,
    candidates,
    lines,
    operations,
    paths,
    run,
    source,
)
from pbb.programs.arithmetic_prose import parse, prose
from pbb.programs.compose import Compose, Trace, composites
from pbb.programs.family import Data, Report
from pbb.programs.names import Shelf, names
from pbb.programs.program import Example, Facts, Group, Program, Split, TraceStep
from pbb.programs.sandbox import Worker

PATIENCE = 400


LARGEST = 1_000_000_000
"""Of two such numbers the product still fits into 64 bits."""


class Arithmetic(Data):
    """Random Arithmetic in a recipe. Ranges are inclusive. compose: programs that call two of the set, beside them."""

    code = (
        "pbb.programs.arithmetic",
        "pbb.programs.arithmetic_prose",
        "pbb.programs.random_arithmetic",
        "pbb.programs.compose",
    )
    templates = "arithmetic"
    family: Literal["arithmetic"] = "arithmetic"
    length: tuple[int, int] = (1, 3)
    input_range: tuple[int, int] = (0, 29)
    bound: int = Field(99, ge=1, le=LARGEST)
    constants: tuple[int, int] = (1, 9)
    operations: list[str] = Field(default_factory=lambda: list(OPERATIONS))
    constant_share: float = Field(0.25, gt=0, le=1)
    compose: Compose | None = Field(None, exclude_if=lambda dials: dials is None)

    @model_validator(mode="after")
    def _ranges(self) -> Arithmetic:
        if not 1 <= self.length[0] <= self.length[1] <= 8:
            raise ValueError("length: give two numbers from 1 to 8, the smaller first")
        if self.input_range[0] >= self.input_range[1]:
            raise ValueError("input_range: give two numbers, the smaller first")
        if self.bound < max(abs(x) for x in self.input_range):
            raise ValueError("bound: must be at least as large as every input")
        if self.train_inputs + self.test_inputs > self.input_range[1] - self.input_range[0] + 1:
            raise ValueError(
                f"train_inputs, test_inputs: {self.train_inputs} and {self.test_inputs} do not fit into input_range: ask for fewer, or widen it"
            )
        if not 1 <= self.constants[0] <= self.constants[1] <= LARGEST:
            raise ValueError(f"constants: give two numbers from 1 to {LARGEST:,}, the smaller first")
        if unknown := [o for o in self.operations if o not in OPERATIONS]:
            raise ValueError(f"operations: no {unknown[0]!r}: choose from {' '.join(OPERATIONS)}")
        if not set(self.operations) - {"if", "for", "abs"}:
            raise ValueError("operations: at least one of + - * // % min max is needed")
        if "for" in self.operations and not {"+", "-", "*"} & set(self.operations):
            raise ValueError("operations: for needs one of + - * for its body")
        return self

    def programs(self, seed: int, asked: int, report: Report) -> list[Program]:
        """As drawn by `random_arithmetic`, then held against real execution."""
        drawn = random_arithmetic(
            seed=seed,
            io=self.io,
            source_only=self.source_only,
            dials=Dials(
                length=self.length,
                input_range=self.input_range,
                bound=self.bound,
                constants=self.constants,
                operations=tuple(self.operations),
                constant_share=self.constant_share,
            ),
            train_inputs=self.train_inputs,
            test_inputs=self.test_inputs,
            asked=asked,
        )
        if self.compose:
            drawn += self._composites(self.compose, drawn, seed, asked)
        verify(drawn, lambda done: report(done, len(drawn), "executed"))
        return drawn

    def _composites(self, dials: Compose, singles: list[Program], seed: int, asked: int) -> list[Program]:
        bodies = {p.name: parse(p.prose or "") for p in singles}
        low, high = self.input_range

        def value(p: Program, x: int, trace: Trace | None) -> int:
            steps: list[TraceStep] | None = None if trace is None else []
            result, _ = run(bodies[p.name], x, steps)
            if trace is not None:
                trace += steps or []
            return result

        def inputs(first: Program, second: Program, rng: random.Random) -> list[int]:
            # all values in between stay within the bound: the second program's do on every input of the range
            fitting = [x for x in range(low, high + 1) if low <= value(first, x, None) <= high]
            return rng.sample(fitting, len(fitting))

        return composites(
            singles,
            dials,
            run=value,
            inputs=inputs,
            seed=seed,
            train_inputs=self.train_inputs,
            test_inputs=self.test_inputs,
            asked=asked,
        )


def program(
    name: str,
    body: Sequence[Statement],
    group: Group,
    inputs: dict[Split, list[int]],
    origin: dict[str, object],
) -> Program:
    """The record of one body, with an example (output and trace) for each input."""
    examples = []
    for split, xs in inputs.items():
        for x in xs:
            trace: list[TraceStep] = []
            value, _ = run(body, x, trace)
            examples.append(
                Example.model_construct(args=[x], kwargs={}, output=value, split=split, trace=trace)
            )
    ops = operations(body)
    facts = Facts(length=len(body), ops=ops, branches=ops.count("if"), loops=ops.count("for"))
    return Program.model_construct(
        name=name,
        entry=name,
        source=source(name, body),
        prose=prose(body),
        statements=["\n".join(lines(s)) for s in body],
        paths=[paths(s) for s in body],
        family="arithmetic",
        group=group,
        examples=examples,
        facts=facts,
        origin=origin,
    )


def distinct(seed: int, count: int, dials: Dials) -> list[tuple[int, list[Statement], tuple[int, ...]]]:
    """The first `count` bodies that behave differently from all before them.

    Raises:
        PbbError: the dials leave too few different programs (none new among many draws).
    """
    found: dict[tuple[int, ...], tuple[int, list[Statement], tuple[int, ...]]] = {}
    last = 0
    for drawn, (index, body, results) in enumerate(candidates(seed, dials)):
        if results not in found:
            found[results] = (index, body, results)
            last = drawn
            if len(found) == count:
                return list(found.values())
        if drawn - last > PATIENCE:
            break
    raise PbbError(
        f"data: only {len(found)} of {count} different programs of length {dials.length[0]} to {dials.length[1]} exist "
        "within these dials: ask for fewer programs, or allow longer ones or more operations"
    )


def random_arithmetic(
    *,
    seed: int,
    io: int,
    source_only: int,
    dials: Dials,
    train_inputs: int,
    test_inputs: int,
    asked: int | None = None,
    shelf: Shelf = "recipe",
) -> list[Program]:
    """`io` + `source_only` programs in an order and with inputs that depend on the arguments alone.

    Every program has `train_inputs` + `test_inputs` distinct inputs, drawn for it alone. The evaluation asks the first `asked`
    of the held-out ones (by default all): a w/o IO program's are drawn until its outputs on those differ from every other
    program's. One that has no such inputs changes places with one w/ IO.

    Raises:
        PbbError: the dials leave too few programs or inputs.
    """
    low, high = dials.input_range
    if train_inputs + test_inputs > high - low + 1:
        raise PbbError(
            f"data: {train_inputs} train and {test_inputs} held-out inputs do not fit into {low}..{high}: "
            "ask for fewer (train_inputs, test_inputs) or widen input_range"
        )
    bodies = distinct(seed, io + source_only, dials)
    rng = random.Random(f"split:{seed}")
    rng.shuffle(bodies)
    table = np.array([results for *_, results in bodies], dtype=np.int64)
    spare = source_only

    def drawn(row: int) -> list[int] | None:
        """Inputs on whose evaluated part no other program gives what this one does, if it is one w/o IO."""
        for _ in range(PATIENCE):
            xs = rng.sample(range(low, high + 1), train_inputs + test_inputs)
            held = [x - low for x in xs[train_inputs:]][:asked]
            if row >= source_only or int((table[:, held] == table[row, held]).all(axis=1).sum()) == 1:
                return xs
        return None

    programs = []
    for row, name in enumerate(names(len(bodies), seed, shelf)):
        group: Group = "source_only" if row < source_only else "io"
        # among thousands some differ from others on too few inputs to tell them apart: these are shown w/ IO
        while (xs := drawn(row)) is None and spare < len(bodies):
            bodies[row], bodies[spare] = bodies[spare], bodies[row]
            table[[row, spare]] = table[[spare, row]]
            spare += 1
        if xs is None:
            raise PbbError(
                f"data: too few programs without a twin on {test_inputs if asked is None else asked} held-out inputs: "
                "ask for more of them (data.test_inputs, evaluation.calls), or for fewer programs"
            )
        index, body, _ = bodies[row]
        inputs: dict[Split, list[int]] = {
            "train": xs[:train_inputs],
            "test": xs[train_inputs:],
        }
        programs.append(program(name, body, group, inputs, {"seed": seed, "index": index}))
    return programs


def verify(programs: Sequence[Program], report: Callable[[int], None] = lambda done: None) -> None:
    """Hold every example against real execution of its source in the sandbox.

    Raises:
        PbbError: an example's output is not what the source gives.
    """
    with Worker() as worker:
        jobs = [(p.definitions(), p.entry, [e.args for e in p.examples]) for p in programs]
        for done, (p, outcomes) in enumerate(zip(programs, worker.execute_many(jobs), strict=True), 1):
            for e, outcome in zip(p.examples, outcomes, strict=True):
                if outcome.error or outcome.value != e.output:
                    raise PbbError(
                        f"programs: {p.call(e)} should give {e.output!r}, its source gives "
                        f"{outcome.error or repr(outcome.value)}: report this program: {p.origin}"
                    )
            report(done)
