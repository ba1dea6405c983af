"""What the embedded base model is pretrained on: fresh programs with the source in context, and a library read by name.

The base plays the part of a pretrained LLM: it can read code and prose, execute what stands in its context (directly or step
by step), do small arithmetic, and remember sources it has read. What it has never seen is the thing that PBB teaches:
*running a program that it knows only by name*. So no document here executes a named program without its source in the prompt, and
no name here is ever a recipe's (see `pbb.programs.names.shelf`).

| share | document |
|---|---|
| in context | code or prose above the question; answered directly, by trace, by reciting, or one step of it |
| library | declarations of a fixed library by name: whole source, prose, or one step; never executed |
| drill | one statement executed: `What is 7 * 3? Only the answer.` |

Item i depends on (seed, i) only.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from pbb.documents.render import (
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
from pbb.programs.names import names
from pbb.programs.program import Program
from pbb.programs.random_arithmetic import program, random_arithmetic

PHASES: tuple[dict[str, float], ...] = (
    # Reading first: a quarter of the documents are the library's, and much is answered directly.
    {
        "in-context trace": 0.16,
        "in-context direct": 0.30,
        "in-context recite": 0.06,
        "in-context part": 0.04,
        "in-context source": 0.04,
        "drill": 0.14,
        "library": 0.13,
        "library part": 0.13,
    },
    # Then execution: what the first phase leaves inexact is copying and arithmetic.
    {
        "in-context trace": 0.30,
        "in-context direct": 0.22,
        "in-context recite": 0.10,
        "in-context part": 0.06,
        "in-context source": 0.02,
        "drill": 0.20,
        "library": 0.06,
        "library part": 0.04,
    },
)
PROSE = (0.25, 0.12)
# The numbers of the second phase are those of the default recipe, so that its arithmetic can be exact.
DIALS = (Dials(length=(1, 3)), Dials(length=(1, 3), input_range=(0, 29), bound=99, constants=(1, 9)))
LIBRARY = 1000


def library(seed: int) -> list[Program]:
    """The named programs that pretraining declares and never runs."""
    return random_arithmetic(
        seed=seed, io=0, source_only=LIBRARY, dials=DIALS[0], train_inputs=0, test_inputs=25, shelf="library"
    )


def fresh(rng: random.Random, name: str, dials: Dials) -> Program:
    """A program that is made up on the spot, with one example; shorter ones are likelier."""
    while True:
        length = rng.choices((1, 2, 3), (3, 4, 3))[0]
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
                return Document(
                    prompt=prompt(t, rng, shown, "direct"),
                    completion=str(value) + rng.choice(t.tails),
                    program="",
                    group="io",
                    kind="execution",
                    ask="direct",
                )


def pretraining_document(
    seed: int, index: int, shelf: list[Program], passing: list[str], phase: int = 0
) -> Document:
    """Document `index` of a phase of the pretraining corpus."""
    rng = random.Random(
        f"pretraining:{seed}:{index}" if phase == 0 else f"pretraining:{seed}:{phase}:{index}"
    )
    shares, prose, dials = PHASES[phase], PROSE[phase], DIALS[phase]
    t = templates("arithmetic")
    kind = rng.choices(list(shares), list(shares.values()))[0]
    if kind == "drill":
        return drill(rng, t, dials)
    if kind == "library":
        return declaration(rng.choice(shelf), t, rng, "prose" if rng.random() < prose else "source")
    if kind == "library part":
        return part(rng.choice(shelf), t, rng)
    p = fresh(rng, rng.choice(passing), dials)
    context: Representation = "prose" if rng.random() < prose else "source"
    e = p.examples[0]
    ask = kind.removeprefix("in-context ")
    if ask == "part":
        d = part(p, t, rng)
        return d.model_copy(update={"prompt": declared(p, "source") + "\n" + d.prompt})
    if ask == "source":
        other: Representation = "source" if context == "prose" else "prose"
        d = declaration(p, t, rng, other)
        return d.model_copy(update={"prompt": declared(p, context) + "\n" + d.prompt})
    d = execution(p, e, ask, t, rng, context)  # type: ignore[arg-type]
    return d.model_copy(update={"prompt": declared(p, context) + "\n" + d.prompt})


def pretraining_corpus(seed: int, count: int, phase: int = 0) -> Iterator[Document]:
    """The first `count` documents of a phase."""
    shelf, passing = library(seed), names(1000, seed, "passing")
    for index in range(count):
        yield pretraining_document(seed, index, shelf, passing, phase)
