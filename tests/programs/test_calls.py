"""Calls in a text: the same values in any spelling, docstrings and comments apart from code, and what is no call with values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbb.programs.calls import Asked, remarks, uncoded, uses, with_values
from pbb.programs.isolation import worker
from pbb.programs.program import Example, Facts, Program

HEAD = "def f(x, n=2, *, mark='!'):\n    return (x, n, mark)\n"


def program(source: str, *args: Any, **kwargs: Any) -> Program:
    example = Example(args=list(args), kwargs=kwargs, output=0, split="test")
    return Program(
        name="f",
        entry="f",
        source=source,
        family="mine",
        group="io",
        examples=[example],
        facts=Facts(length=1),
    )


@pytest.mark.parametrize(
    ("text", "args", "kwargs"),
    [
        ("f(7)", [7], {}),
        ("see m.f( 7 ,2)", [7], {}),
        ("f(x=7)", [7], {}),
        ("f(7)", [7, 2], {"mark": "!"}),
        ("f(n=3, x=7)", [7, 3], {}),
        ("f(7, mark='?')", [7], {"mark": "?"}),
        ('f("ab")', ["ab"], {}),
        ("f('it\\'s)')", ["it's)"], {}),
        ("f(2.50)", [2.5], {}),
        ("f(+0x10)", [16], {}),
        ("f({'a': [1,\n   (2, 3)]})", [{"a": [1, (2, 3)]}], {}),
        (">>> f([1,\n...    2])", [[1, 2]], {}),
        ("# f([1,\n#    2])", [[1, 2]], {}),
        ("'says\\nf(7)'", [7], {}),
    ],
)
def test_a_call_is_known_by_its_values(text: str, args: list[Any], kwargs: dict[str, Any]) -> None:
    p = program(HEAD, *args, **kwargs)
    assert Asked(p, p.examples).told(text) and with_values(text, "f")
    assert Asked(p, []).told(text) == []


@pytest.mark.parametrize(
    "text",
    ["f(8)", "f(7, 3)", "f(7, mark='?')", "f(7, 2, 3)", "f(x=7, y=1)", "g(7)", "of(7)", "f (x)", "f(7", "def f(x=7): ...", "f[7]", "f 7",
     "f(n, 7)", "f(...)", "f(7, ...)", "f(x's)", "f(" * 500],
)  # fmt: skip
def test_what_is_no_call_of_an_example(text: str) -> None:
    p = program(HEAD, 7)
    assert Asked(p, p.examples).told(text) == []


@pytest.mark.parametrize(
    "text", ["f(x)", "f(n - 1)", "f(x, n=2)", "f(*items)", "f(...)", "f()", "def f(x=7)", "def  f(7)", "f(7"]
)
def test_a_call_with_a_variable_gives_no_values(text: str) -> None:
    assert with_values(text, "f") == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (">>> a = 7\n>>> f(a)\n24", "f(a)"),
        ("Above.\n\n    >>> a, b = 7, 2\n    >>> for i in (a, b):\n    ...     f(i)\n    24\n", "f(i)"),
        ("f(sum([i for i in [7]])) is 24", "f(sum([i for i in [7]]))"),
        ("f((y := 7))", "f((y := 7))"),
        (">>> f(text, n=2)\n24", None),  # nothing sets it
        (">>> a = 7\n\nf(a) is what it gives", None),  # beyond the doctest
        ("a = 7, f(a)", None),  # prose may say anything
    ],
)
def test_variables_that_a_doctest_or_the_call_sets_are_values(text: str, told: str | None) -> None:
    assert with_values(text, "f") == ([told] if told else [])


SPELLED = ["`f`(7)", "**f**(7)", "*f*(7)", "<b>f</b>(7)", "f\n(7)", "f\\(7\\)", "$f(7)$", "f($7$)", "f(\uff17)", "f(\u0667)", "\uff46(7)",
           "f(\u200b7)", "f\u200b(7)", "f(\xa07)", "(f)(7)", "f.__call__(7)", "map(f, [7, 8])", "g(f, 7)", "g = f; g(7)",
           ">>> g = f\n>>> g(7)", "[f(x) for x in (7, 8)]", "f(x) for x in range(3)"]  # fmt: skip


@pytest.mark.parametrize("text", SPELLED)
def test_a_call_is_found_however_prose_writes_it(text: str) -> None:
    assert len(with_values(text, "f")) == 1


@pytest.mark.parametrize(
    "text",
    [
        "map(f, items)",
        "key=f",
        "def g(f, x=3): ...",
        "f(x) for x in items",
        "`f` (see above)",
        "f (x*y)",
        "f = 7; g(8)",
    ],
)
def test_what_only_looks_like_such_a_call_is_none(text: str) -> None:
    assert with_values(text, "f") == []


def test_a_call_that_is_held_out_is_known_by_its_very_values() -> None:
    """Of a w/ IO program other calls may be shown: a value is not what it would be without its stars."""
    p = program(HEAD, "ab")
    assert Asked(p, p.examples).told("f('**ab**') and f('\uff41b')") == []


def test_what_stands_outside_of_functions_is_told_from_what_they_do() -> None:
    source = "import math\nBIG = 9\n\ndef f(x):\n    return f(1)  # f(2)\n\nassert f(3) == 9\nfor x in (4, 5):\n    print(f(x))\ng = f\n"
    assert with_values(uncoded(source), "f") == ["f(2)", "f(3)"]
    assert uses(source, ["f"]) == ["assert f(3) == 9", "for x in (4, 5):\n    print(f(x))"]
    assert uses(source, ["h"]) == uses("def f(:", ["f"]) == []


def test_a_call_of_nothing_tells_only_what_defaults_make_of_it() -> None:
    p = program("def f(x=3):\n    return x\n", 3)
    assert Asked(p, p.examples).told("f()") == ["f()"]
    p = program("def f():\n    return 3\n")
    assert Asked(p, p.examples).told("f()") == []


def test_remarks_are_what_is_no_code() -> None:
    source = 'def f(x):\n    """One\n\n    >>> f("a\\\\n")\n    """\n    f(8)  # f(9)\n    return f"{f(1)}" + \'f(2)\'\n'
    assert with_values(remarks(source), "f") == ['f("a\\n")', "f(2)", "f(9)"]
    assert remarks("def f(:") == "def f(:"


@given(st.text(alphabet="f()[]{}'\"\\,.=#: 7xn\n", max_size=80))
def test_any_text_is_taken(text: str) -> None:
    p = program(HEAD, 7)
    assert set(Asked(p, p.examples).told(text)) <= set(with_values(text, "f"))
    remarks(text)


def test_a_call_is_executed_with_its_keyword_arguments() -> None:
    for args, kwargs, value in (([7], {}, (7, 2, "!")), ([7], {"mark": "?", "n": 3}, (7, 3, "?"))):
        p = program(HEAD, *args, **kwargs)
        with worker(None, "a test") as sandbox:
            (outcome,) = sandbox.execute(*p.job(p.examples))
        assert (outcome.value, outcome.error) == (value, None)
