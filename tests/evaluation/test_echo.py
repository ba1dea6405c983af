"""Whether a call gives one of its arguments back: of any type, by place or by name, through calls within it, and never by accident of type."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbb.evaluation.echo import given_back


@pytest.mark.parametrize(
    ("call", "output", "is_one"),
    [
        ("f(7)", "7", True),
        ("f(7)", "8", False),
        ("f(-7)", "-7", True),
        ("f(1)", "True", False),
        ("f(1)", "1.0", False),
        ("f([1, 2], k='x')", "'x'", True),
        ("f([1, 2], k='x')", "[1, 2]", True),
        ("f([1, 2])", "(1, 2)", False),
        ("f(g(7))", "7", True),
        ("f(g(7), 3)", "3", True),
        ("f()", "None", False),
        ("f(nan)", "nan", False),
        ("f(7", "7", False),
        (None, "7", False),
        ("f(7)", None, False),
        (float("nan"), float("nan"), False),
    ],
)
def test_an_argument_is_given_back(call: object, output: object, is_one: bool) -> None:
    assert given_back(call, output) is is_one


@given(st.one_of(st.integers(), st.text(), st.booleans(), st.none(), st.lists(st.integers())), st.integers())
def test_every_argument_counts(value: object, other: int) -> None:
    assert given_back(f"f({other}, key={value!r})", repr(value))


@given(st.text(), st.text())
def test_any_text_is_answered(call: str, output: str) -> None:
    assert given_back(call, output) in (True, False)
