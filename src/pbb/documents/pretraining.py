"""What the embedded base model is pretrained on: fresh programs with the source in context, and a library read by name.

The base plays the part of a pretrained LLM: it can read code and prose, execute what stands in its context (directly or step
by step), do small arithmetic, and remember sources it has read. What it has never seen is the thing that PBB teaches:
*running a program that it knows only by name*. So no document here executes a named program without its source in the prompt, and
no name here is ever a recipe's (see `pbb.programs.names.shelf`).

| share | document |
|---|---|
| in context | code or prose above the question; answered directly, by trace, by reciting, or in part: a line, a step of a call, a test |
| pair | two programs above a call of one on what the other gives: what was just named has to be named again |
| library | declarations of a fixed library by name: whole source, prose, or one step; never executed |
| order | the names of a call within calls, in the order in which they run: nothing but copying |
| drill | one statement executed: `What is 7 * 3? Only the answer.` |
| strings | ciphers and grammars in context, see `pbb.documents.pretraining_strings` |

Item i depends on (seed, i) only.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from pbb.documents.pretraining_phases import EXACT, NAMES, PHASES
from pbb.documents.pretraining_strings import below, drilled, strings_document
from pbb.documents.render import (
    Ask,
    Document,
    Representation,
    Templates,
    declaration,
    declared,
    execution,
    part,
    prompt,
    templates,
)
from pbb.programs.arithmetic import Assign, Dials, draw, expression, run
from pbb.programs.arithmetic_prose import parse as read_prose
from pbb.programs.compose import Trace, composite, example
from pbb.programs.names import names, unruled
from pbb.programs.program import Example, Program, TraceStep
from pbb.programs.random_arithmetic import program, random_arithmetic

LIBRARY = 1000
PAIRED = (3, 1)
"""How likely lengths 1 and 2 are for either program of a pair."""
DECLARED = 0.3
"""How many of the pairs have a name and a source of their own."""


def library(seed: int) -> list[Program]:
    """The named programs that pretraining declares and never runs."""
    return random_arithmetic(
        seed=seed,
        io=0,
        source_only=LIBRARY,
        dials=PHASES[0].dials,
        train_inputs=0,
        test_inputs=25,
        shelf="library",
    )


def fresh(rng: random.Random, name: str, dials: Dials, lengths: tuple[int, ...]) -> Program:
    """A program that is made up on the spot, with one example; `lengths` weighs lengths 1, 2 and so on."""
    while True:
        length = rng.choices(range(1, len(lengths) + 1), lengths)[0]
        body = draw(rng, length, dials)
        x = rng.randint(*dials.input_range)
        try:
            value, peak = run(body, x)
        except ZeroDivisionError:
            continue
        if peak <= dials.bound:
            return program(name, body, "io", {"train": [x]}, {})


def drill(rng: random.Random, t: Templates, dials: Dials) -> Document:
    """One operation on a random value, as in the middle of a program."""
    while True:
        (s,) = draw(rng, 1, dials)
        if isinstance(s, Assign):
            x = rng.randint(-20, dials.bound)
            value, peak = run([s], x)
            if peak <= dials.bound:
                shown = expression(Assign(s.target, s.op, str(x), s.right))
                return drilled(t, rng, shown, str(value))


def _steps(e: Example) -> list[TraceStep]:
    return [s for s in e.trace or [] if isinstance(s, TraceStep)]


def step(p: Program, e: Example, t: Templates, rng: random.Random) -> Document:
    """One step of a call, the steps before it done in the head: `Zibdax(7)`, step 2 => `21 - 4 = 17`.

    Between a trace and a direct answer: which branch is taken and what came before has to be worked out within the forward pass, the
    operation still stands on paper (after stepwise internalisation, Deng et al., arXiv 2405.14838).
    """
    k = rng.randint(1, len(p.statements))
    last = [s for s in _steps(e) if s.line == k][-1]
    return Document(
        prompt=prompt(t, rng, e.call(p.entry), "part", k=k),
        completion=f"{last.expression} = {last.value}",
        program=p.name,
        group="io",
        kind="execution",
        ask="step",
    )


def outcome(p: Program, e: Example, t: Templates, rng: random.Random) -> Document:
    """Which way a branch goes, the steps before it done in the head: `Zibdax(7)`, test of step 2 => `False`."""
    tested = rng.choice([s for s in _steps(e) if s.test is not None])
    return Document(
        prompt=prompt(t, rng, e.call(p.entry), "test", k=tested.line),
        completion=str(tested.outcome),
        program=p.name,
        group="io",
        kind="execution",
        ask="outcome",
    )


def _unruled(rng: random.Random, count: int) -> list[str]:
    """So many different names that keep no rule."""
    drawn: dict[str, None] = {}
    while len(drawn) < count:
        drawn[unruled(rng)] = None
    return list(drawn)


def pair(rng: random.Random, named: list[str], dials: Dials, ask: Ask, t: Templates) -> Document:
    """Two programs made up on the spot, in any order, above a question for the one on what the other gives (see `pbb.programs.compose`).

    `named`: names for either, and for the pair, which `DECLARED` of them use.
    """
    one, other, both = named
    low, high = dials.input_range
    while True:
        first, second = (fresh(rng, name, dials, PAIRED) for name in (one, other))
        between = first.examples[0].output
        if not low <= between <= high:
            continue
        bodies = {p.name: read_prose(p.prose or "") for p in (first, second)}
        if run(bodies[second.name], between)[1] <= dials.bound:
            break
    p = composite(first, second, "io", both if rng.random() < DECLARED else None)

    def value(part: Program, x: int, trace: Trace | None) -> int:
        steps: list[TraceStep] = []
        result, _ = run(bodies[part.name], x, steps)
        if trace is not None:
            trace += steps
        return result

    e = example(p, first.examples[0].args[0], "train", value)
    above = [declared(q, "source") for q in (*p.parts, *([] if p.only_named else [p]))]
    rng.shuffle(above)
    return below(execution(p, e, ask, t, rng), "\n".join(above))


def order(rng: random.Random) -> Document:
    """`Zibdaxlum(Daxlum(7))` => `Daxlum, Zibdaxlum`: of a pair's documents too few tokens are names for copying them to be learned there."""
    called = _unruled(rng, rng.choices((1, 2, 3), (1, 2, 1))[0])
    nested = str(rng.randint(*EXACT.input_range))
    for name in called:
        nested = f"{name}({nested})"
    return Document(
        prompt=f"Which are called in {nested}, in order?",
        completion=", ".join(called),
        program="",
        group="io",
        kind="execution",
        ask="order",
    )


def pretraining_document(
    seed: int, index: int, shelf: list[Program], passing: list[str], phase: int = 0
) -> Document:
    """Document `index` of a phase of the pretraining corpus."""
    rng = random.Random(
        f"pretraining:{seed}:{index}" if phase == 0 else f"pretraining:{seed}:{phase}:{index}"
    )
    of = PHASES[phase]
    shares, prose, dials = of.shares, of.prose, of.dials
    t = templates("arithmetic")
    kind = rng.choices(list(shares), list(shares.values()))[0]
    if kind == "strings":
        return strings_document(seed, index, passing)
    if kind == "drill":
        return drill(rng, t, dials)
    if kind == "order":
        return order(rng)
    if kind == "library":
        return declaration(rng.choice(shelf), t, rng, "prose" if rng.random() < prose else "source")
    if kind == "library part":
        return part(rng.choice(shelf), t, rng)
    if kind.startswith("pair "):
        named = _unruled(rng, 3) if phase >= NAMES else rng.sample(passing, 3)
        return pair(rng, named, dials, kind.removeprefix("pair "), t)  # type: ignore[arg-type]
    name = unruled(rng) if phase >= NAMES else rng.choice(passing)
    p = fresh(rng, name, dials, of.lengths)
    context: Representation = "prose" if rng.random() < prose else "source"
    e = p.examples[0]
    ask = kind.removeprefix("in-context ")
    if ask == "part":
        return below(part(p, t, rng), declared(p, "source"))
    if ask == "outcome":
        while not p.facts.branches:
            p = fresh(rng, p.name, dials, of.lengths)
        return below(outcome(p, p.examples[0], t, rng), declared(p, context))
    if ask == "step":
        return below(step(p, e, t, rng), declared(p, context))
    if ask == "source":
        other: Representation = "source" if context == "prose" else "prose"
        return below(declaration(p, t, rng, other), declared(p, context))
    return execution(p, e, ask, t, rng, context, context)  # type: ignore[arg-type]


def pretraining_corpus(seed: int, count: int, phase: int = 0) -> Iterator[Document]:
    """The first `count` documents of a phase."""
    shelf, passing = library(seed), names(1000, seed, "passing")
    for index in range(count):
        yield pretraining_document(seed, index, shelf, passing, phase)
