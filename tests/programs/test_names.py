"""Names are distinct words, in an order that the seed alone decides, and a shelf never gives another shelf's."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbb.programs.arithmetic import Dials
from pbb.programs.names import ENDINGS, MIDDLES, OPENINGS, Shelf, names, shelf, unruled
from pbb.programs.random_arithmetic import random_arithmetic

SHELVES: tuple[Shelf, ...] = get_args(Shelf)
PAIRS = {
    kind: sum(shelf(o, e) == kind for o in range(len(OPENINGS)) for e in range(len(ENDINGS)))
    for kind in SHELVES
}
LIMITS = {kind: pairs * (1 + len(MIDDLES)) for kind, pairs in PAIRS.items()}

EVERY = {o + m + e for o in OPENINGS for m in ("", *MIDDLES) for e in ENDINGS}


@pytest.fixture(scope="module")
def everything() -> dict[Shelf, list[str]]:
    return {kind: names(LIMITS[kind], 0, kind) for kind in SHELVES}


def test_all_names_of_all_shelves_are_different_words(everything: dict[Shelf, list[str]]) -> None:
    every = [name for listed in everything.values() for name in listed]
    assert len(every) == len(OPENINGS) * len(ENDINGS) * (1 + len(MIDDLES))
    assert len(set(every)) == len(every)
    assert not [name for name in every if not re.fullmatch("[A-Z][a-z]+", name)]


def test_two_syllables_come_before_three(everything: dict[Shelf, list[str]]) -> None:
    for kind, listed in everything.items():
        short = {opening + ending for opening in OPENINGS for ending in ENDINGS}
        assert short.issuperset(listed[: PAIRS[kind]])
        assert short.isdisjoint(listed[PAIRS[kind] :])


def test_a_recipe_has_three_quarters_of_the_pairs() -> None:
    assert PAIRS["recipe"] == 3 * sum(PAIRS.values()) // 4
    assert PAIRS["library"] == PAIRS["passing"] == sum(PAIRS.values()) // 8


@pytest.mark.parametrize("kind", SHELVES)
def test_name_i_depends_on_the_seed_alone(kind: Shelf, everything: dict[Shelf, list[str]]) -> None:
    assert names(40, 0, kind) == everything[kind][:40]
    assert names(PAIRS[kind] + 5, 0, kind) == everything[kind][: PAIRS[kind] + 5]
    assert names(40, 1, kind) != names(40, 0, kind)


def test_names_do_not_depend_on_the_bodies() -> None:
    sets = [
        random_arithmetic(seed=4, io=6, source_only=3, dials=dials, train_inputs=5, test_inputs=8)
        for dials in (Dials(length=(1, 1)), Dials(length=(3, 3)))
    ]
    assert [p.name for p in sets[0]] == [p.name for p in sets[1]] == names(9, 4)


@given(st.integers(0, 2**64))
def test_an_unruled_name_stands_on_no_shelf(seed: int) -> None:
    name = unruled(random.Random(seed))
    assert re.fullmatch("[A-Z][a-z]+", name) and name not in EVERY


@pytest.mark.parametrize("kind", SHELVES)
def test_more_names_than_there_are_is_refused(
    kind: Shelf, refused: Callable[..., AbstractContextManager[None]]
) -> None:
    with refused(str(LIMITS[kind] + 1), str(LIMITS[kind]), "fewer"):
        names(LIMITS[kind] + 1, 0, kind)
