"""The set of grammars of a recipe: programs w/ IO and w/o IO, whose inputs are the choices of a leftmost derivation, no twins.

No two grammars of a set answer alike on a common set of probes, and no w/o IO one gives the outputs of any other on the calls that it is
evaluated on. A call's choices always end in a string of the language: they are drawn from all derivations within the dials.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from itertools import count
from typing import Any, Literal

from pydantic import Field, model_validator

from pbb.errors import PbbError
from pbb.programs.family import Data, Report
from pbb.programs.grammar import (
    NONTERMINALS,
    TERMINALS,
    Rules,
    bnf,
    derivations,
    derive,
    draw,
    paths,
    source,
)
from pbb.programs.names import Shelf, names
from pbb.programs.program import Example, Facts, Group, Program, Split
from pbb.programs.random_arithmetic import verify

PATIENCE = 5000
REDRAWS = 200
PROBES = 24
COMMON = 0.25
"""The most calls of a program, as a share, that may give one and the same string."""

Choices = list[int]


class Grammars(Data):
    """Grammars in a recipe. Ranges are inclusive.

    nonterminals: how many a grammar has. alternatives: of every nonterminal. terminals: strings are of the first so many letters. right: the most
    symbols of a right-hand side. steps: of the derivations asked for. longest: the longest string.
    """

    code = ("pbb.programs.grammar", "pbb.programs.grammars", "pbb.programs.random_arithmetic")
    templates = "grammars"
    family: Literal["grammars"] = "grammars"
    nonterminals: tuple[int, int] = (1, 2)
    alternatives: int = Field(3, ge=2, le=6)
    terminals: int = Field(4, ge=2, le=len(TERMINALS))
    right: int = Field(3, ge=2, le=6)
    steps: tuple[int, int] = (1, 5)
    longest: int = Field(10, ge=2, le=40)

    @model_validator(mode="after")
    def _ranges(self) -> Grammars:
        if not 1 <= self.nonterminals[0] <= self.nonterminals[1] <= len(NONTERMINALS):
            raise ValueError(
                f"nonterminals: give two numbers from 1 to {len(NONTERMINALS)}, the smaller first"
            )
        if not 1 <= self.steps[0] <= self.steps[1] <= 8:
            raise ValueError("steps: give two numbers from 1 to 8, the smaller first")
        return self

    def programs(self, seed: int, asked: int, report: Report) -> list[Program]:
        """As drawn by `grammars`, then held against real execution."""
        drawn = grammars(self, seed, asked)
        verify(drawn, lambda done: report(done, len(drawn), "executed"))
        return drawn


def program(
    name: str, rules: Rules, group: Group, calls: dict[Split, list[Choices]], origin: dict[str, Any]
) -> Program:
    """The record of one grammar, with an example (a string and its leftmost derivation) for each list of choices."""
    examples = []
    for split, given in calls.items():
        for choices in given:
            trace: list[str] = []
            output = derive(rules, choices, trace)
            examples.append(Example(args=[choices], output=output, split=split, trace=trace))
    text = source(name, rules)
    body = text.splitlines()[1:-1]
    return Program(
        name=name,
        entry=name,
        source=text,
        prose=bnf(rules),
        statements=[body[0].strip(), body[1].strip(), "\n".join(row[4:] for row in body[2:])],
        paths=paths(rules),
        family="grammars",
        group=group,
        examples=examples,
        facts=Facts(length=len(rules), ops=_traits(rules), loops=1),
        origin=origin,
    )


def _traits(rules: Rules) -> list[str]:
    """Where nonterminals come back to themselves: at the left edge, at the right edge, or in between."""
    found = []
    for name, inside in (
        ("left-recursive", lambda left, right: right[0] == left),
        ("right-recursive", lambda left, right: right[-1] == left),
        ("nested", lambda left, right: left in right[1:-1]),
    ):
        if any(inside(left, right) for left, rights in rules.items() for right in rights):
            found.append(name)
    return found or ["flat"]


def distinct(data: Grammars, seed: int) -> list[tuple[Rules, list[Choices]]]:
    """`io` + `source_only` grammars that answer differently, each with the choices of all its derivations within the dials.

    Draw i depends on (seed, i) only.

    Raises:
        PbbError: the dials leave too few.
    """
    wanted, needed = data.io + data.source_only, data.train_inputs + data.test_inputs
    rng = random.Random("probes")
    probes = [[rng.randrange(data.alternatives) for _ in range(data.steps[1])] for _ in range(PROBES)]
    found: dict[tuple[str, ...], tuple[Rules, list[Choices]]] = {}
    last = 0
    for index in count():
        if index - last > PATIENCE:
            break
        rng = random.Random(f"grammars:{seed}:{index}")
        size = rng.randint(*data.nonterminals)
        rules = draw(rng, size, data.alternatives, data.terminals, data.right)
        if rules is None:
            continue
        strings = list(derivations(rules, data.steps, data.longest))
        if len(strings) < needed:
            continue
        common = max(Counter(text for _, text in strings).values())
        behaviour = tuple(derive(rules, choices) for choices in probes)
        if common <= COMMON * len(strings) and behaviour not in found:
            found[behaviour] = (rules, [choices for choices, _ in strings])
            last = index
        if len(found) == wanted:
            return list(found.values())
    raise PbbError(
        f"data: only {len(found)} of {wanted} different grammars with {needed} derivations of {data.steps[0]} to {data.steps[1]} steps "
        "were found: ask for fewer programs or inputs, or allow more steps, nonterminals or terminals"
    )


def grammars(data: Grammars, seed: int, asked: int | None = None, shelf: Shelf = "recipe") -> list[Program]:
    """The programs of a set, w/o IO ones first.

    The evaluation asks the first `asked` held-out calls (by default all): a w/o IO program's are drawn until its outputs on those
    differ from every other program's.

    Raises:
        PbbError: the dials leave too few grammars, or one has a twin on all calls.
    """
    drawn = distinct(data, seed)
    random.Random(f"split:{seed}").shuffle(drawn)
    everybody = [rules for rules, _ in drawn]
    programs = []
    for row, (name, (rules, known)) in enumerate(zip(names(len(drawn), seed, shelf), drawn, strict=True)):
        group: Group = "source_only" if row < data.source_only else "io"
        rng = random.Random(f"calls:{seed}:{row}")
        for _ in range(REDRAWS):
            chosen = rng.sample(known, data.train_inputs + data.test_inputs)
            held = chosen[data.train_inputs :][:asked]
            if group == "io" or not any(_twins(rules, r, held) for r in everybody if r is not rules):
                break
        else:
            raise PbbError(
                f"data: a grammar has a twin on any {len(held)} held-out calls: ask for more of them, or for longer derivations"
            )
        calls: dict[Split, list[Choices]] = {
            "train": chosen[: data.train_inputs],
            "test": chosen[data.train_inputs :],
        }
        programs.append(program(name, rules, group, calls, {"seed": seed, "index": row}))
    return programs


def _twins(rules: Rules, other: Rules, calls: Sequence[Choices]) -> bool:
    return all(derive(rules, choices) == derive(other, choices) for choices in calls)
