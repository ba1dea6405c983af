"""The recount's own reading of literals agrees with `answer.equal`, which it does not use."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbb.evaluation.answer import equal
from pbb.evaluation.recount import canonical, verdict

LITERALS = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(a=LITERALS, b=LITERALS)
def test_two_literals_are_written_alike_where_they_are_equal(a: object, b: object) -> None:
    assert (canonical(repr(a)) == canonical(repr(b))) == equal(a, b, lenient=False)
    assert canonical(f" {a!r}\n") == canonical(repr(a))


@pytest.mark.parametrize("value", [True, False, None, [True], {"a": None}, [None, [False, "true"]]])
def test_the_words_of_json_are_those_of_python(value: object) -> None:
    assert canonical(json.dumps(value)) == canonical(repr(value)) != canonical("'true'")


def test_floats_that_are_only_nearly_equal_are_left_to_others() -> None:
    row = {"ask": "direct", "expected": "0.123456789"}
    assert verdict(row | {"parsed": "0.123457"}) is None
    assert verdict(row | {"parsed": "0.123456789"}) is True and verdict(row | {"parsed": "'a'"}) is None


def test_what_is_no_literal_stands_for_itself() -> None:
    assert canonical("nonsense(") != canonical("other(") and canonical("f(1)") != canonical("1")
