"""Prose says all that the body does: reading it back gives the body."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings

from pbb.programs.arithmetic import (
    OPERATIONS,
    VARIABLES,
    Assign,
    Branch,
    Dials,
    Loop,
    Statement,
    draw,
    operations,
)
from pbb.programs.arithmetic import Test as Condition
from pbb.programs.arithmetic_prose import parse, prose

sys.path.insert(0, str(Path(__file__).parent))

from bodies import bodies  # noqa: E402


def test_the_docstrings_program() -> None:
    body = [
        Assign("a", "*", "x", 3),
        Branch(Condition(">", "a", 40), Assign("b", "-", "a", 7), Assign("b", "min", "a", 12)),
        Loop("c", "b", 2, Assign("c", "+", "c", "i")),
    ]
    assert prose(body) == (
        "Multiply x by 3 to get a. If a is above 40, subtract 7 from a to get b; otherwise, take the smaller of a "
        "and 12 to get b. Start c at b; then, for i from 0 to 1, add i to c. Return c."
    )


@pytest.mark.parametrize("length", range(1, len(VARIABLES) + 1))
def test_drawn_bodies_of_every_length_and_operation_come_back(length: int) -> None:
    seen: set[str] = set()
    for seed in range(200):
        body = draw(random.Random(f"prose:{seed}"), length, Dials())
        assert parse(prose(body)) == body
        seen.update(operations(body))
    assert seen == set(OPERATIONS)


def test_bodies_over_negative_inputs_come_back() -> None:
    for seed in range(100):
        body = draw(random.Random(seed), 3, Dials(input_range=(-50, -10)))
        assert parse(prose(body)) == body


@given(bodies)
@settings(max_examples=300, deadline=None)
def test_any_body_comes_back(body: list[Statement]) -> None:
    assert parse(prose(body)) == body


@pytest.mark.parametrize(
    "text",
    [
        "Do something with x to get a. Return a.",
        "Multiply x by three apples to get a. Return a.",
        "If a is odd, add 1 to a to get b; otherwise, add 2 to a to get b. Return b.",
        "If a is above b, add 1 to a to get b; otherwise, add 2 to a to get b. Return b.",
        "Start c at b; then, for i from 0 to n, add i to c. Return c.",
        "__import__('os'). Return a.",
    ],
)
def test_a_sentence_that_prose_never_writes_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no such"):
        parse(text)
