"""Hypothesis strategies for Random Arithmetic: bodies as the generator draws them, and any the grammar allows."""

from __future__ import annotations

import random

from hypothesis import strategies as st

from pbb.programs.arithmetic import (
    CALLS,
    SYMBOLS,
    VARIABLES,
    Assign,
    Branch,
    Dials,
    Loop,
    Statement,
    Test,
    draw,
)

drawn = st.builds(
    lambda seed, length: draw(random.Random(seed), length, Dials()),
    st.integers(0, 2**32),
    st.integers(1, len(VARIABLES)),
)
"""What `draw` gives, of every length that there are variables for."""


@st.composite
def assigns(
    draw: st.DrawFn, target: str, left: str, operands: tuple[str, ...], most: int | None = 60
) -> Assign:
    op = draw(st.sampled_from((*SYMBOLS, *CALLS, "abs")))
    constants = st.integers(0, most)
    right = 0 if op == "abs" else draw(constants | st.sampled_from(operands))
    return Assign(target, op, left, right)


@st.composite
def grammatical(draw: st.DrawFn) -> list[Statement]:
    """A chain of any statements, also ones that `draw` never gives: division by 0, abs in a branch, x // i in a loop."""
    body: list[Statement] = []
    previous = "x"
    for name in VARIABLES[: draw(st.integers(1, 5))]:
        form = draw(st.sampled_from(("assign", "branch", "loop")))
        operands = tuple({"x", previous})
        if form == "assign":
            body.append(draw(assigns(name, previous, operands)))
        elif form == "branch":
            kind = draw(st.sampled_from(("even", ">", "<")))
            test = Test(kind, previous, 0 if kind == "even" else draw(st.integers(0, 60)))
            arms = [draw(assigns(name, previous, operands)) for _ in range(2)]
            body.append(Branch(test, *arms))
        else:
            step = draw(assigns(name, name, (*operands, "i"), 5))
            body.append(Loop(name, previous, draw(st.integers(1, 3)), step))
        previous = name
    return body


bodies = drawn | grammatical()
