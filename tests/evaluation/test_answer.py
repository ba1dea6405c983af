"""Reading answers: real forms of generations, hostile ones, and equality by type."""

import math
import time
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbb.evaluation.answer import (
    MAX_CHARS,
    MAX_DIGITS,
    MAX_NESTING,
    MAX_SOURCE_CHARS,
    equal,
    parse,
    same_source,
)

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
keys = st.booleans() | st.integers(-9, 9) | st.text(max_size=4) | st.tuples(st.integers(), st.booleans())
literals = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
        | st.sets(keys, max_size=4)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("generation", "value"),
    [
        ("17", 17),
        ("-4", -4),
        ("+5", 5),
        ("17.", 17),
        ("1.", 1),
        ("1.5 is it", 1.5),
        ("1. ", 1),
        ("2. That is all.", 2),
        ("17 and nothing else", 17),
        ("17 or so", 17),
        ("  \n17\nand so on 18", 17),
        ("17 is what Zibble(7) gives.", 17),
        ("17, as Zibble says.", 17),
        ("17 - that is what Zibble(7) gives", 17),
        ("17 = Zibble(7)", 17),
        ("1_000", 1000),
        ("2.5.", 2.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("**17** is it", 17),
        ("**17** (as computed)", 17),
        ("`[1, 2]`.", [1, 2]),
        ("$17$", 17),
        ("True is what it gives", True),
        ("None", None),
        ("null", None),
        ("false", False),
        ("'a => b' is it", "a => b"),
        ('"it\'s"', "it's"),
        ("'Answer: 3'", "Answer: 3"),
        ("[1, (2, 'x]'), {'a': None}] comes out", [1, (2, "x]"), {"a": None}]),
        ('{"a": [true, null]}', {"a": [True, None]}),
        ("set()", set()),
        ("{1, 2}", {1, 2}),
        ("[\n 1,\n 2\n]", [1, 2]),
        ("inf", math.inf),
        ("-inf", -math.inf),
        ("Zibble(7) returns 17.", 17),
        ("\n Zibble(7) returns 17.", 17),
        ("The answer is 17, and Snurg's answer is 18", 17),
        ("Answer: 17", 17),
        ("Zibble returns this => 17", 17),
    ],
)
def test_a_direct_answer_is_what_the_generation_begins_with(generation: str, value: Any) -> None:
    parsed = parse(generation, cot=False)
    assert parsed.ok and equal(parsed.value, value, lenient=False), parsed


@pytest.mark.parametrize(
    ("generation", "value"),
    [
        ("x = 7 * 2 = 14\nx + 3 = 17\nAnswer: 17", 17),
        ("answer: 3 ... ANSWER: -17.", -17),
        ("3 => 4, then 5. So the answer is 6", 6),
        ("The answer is: **6**.", 6),
        ("**Answer:** 6", 6),
        ("work\n#### 12", 12),
        ("so $\\boxed{-4}$", -4),
        ("Answer: \\boxed{[1, 2]}", [1, 2]),
        ("\\boxed{{1: 2}}", {1: 2}),
        ("7 => 14 => 17", 17),
        ("So Zibble(7) returns 17.", 17),
        ("Answer: 17, which is what Zibble returns.", 17),
        ("Answer: 16\nNo, it returns 17", 17),
        ("Answer: 'x => 3'", "x => 3"),
        ("Answer: 'the answer is 3' it is", "the answer is 3"),
        ("Answer:\n  17\n", 17),
        ("Answer: {'answer: ': 1}", {"answer: ": 1}),
        ("Answer: [x, answer: 3]", 3),
        ("Answer: 4 and it returns\n5", 4),
        ("It returns 'a'\nThe answer's 5 => 6", 6),
    ],
)
def test_the_last_marked_answer_of_a_chain_wins(generation: str, value: Any) -> None:
    parsed = parse(generation, cot=True)
    assert parsed.ok and equal(parsed.value, value, lenient=False), parsed


NO_VALUE = "no value where the answer should stand"
NO_LITERAL = "neither a Python nor a JSON literal"
MORE_VALUES = "more than one value"
EXPRESSION = "an expression, not a value"
RUNS_ON = "a value that runs on into something else"
TOO_LONG = "longer than 2000 characters"
TOO_MANY_DIGITS = "an integer of more than 1000 digits"


@pytest.mark.parametrize(
    ("generation", "reason"),
    [
        ("", NO_VALUE),
        ("Zibble", NO_VALUE),
        ("X marks it", NO_VALUE),
        ("007", NO_LITERAL),
        ("1,000", MORE_VALUES),
        ("17, 18", MORE_VALUES),
        ("17 + 3 = 20", EXPRESSION),
        ("3 * x", EXPRESSION),
        ("2**10", EXPRESSION),
        ("'ab'*3", EXPRESSION),
        ("[1, 2][0]", RUNS_ON),
        ("'a''b'", RUNS_ON),
        ("17th", RUNS_ON),
        ("50%", RUNS_ON),
        ("1.2.3", RUNS_ON),
        ("3+4j", EXPRESSION),
        ("[3+4j]", "a value of type complex, which no program returns"),
        ("[b'x']", "a value of type bytes, which no program returns"),
        ("{1: b'x'}", "a value of type bytes, which no program returns"),
        ("{b'x': 1}", "a value of type bytes, which no program returns"),
        ("[...]", "a value of type ellipsis, which no program returns"),
        ("[__import__('os').getpid()]", NO_LITERAL),
        ("{[1]: 2}", NO_LITERAL),
        ("[1, 2", "a bracket without an end"),
        ("[1)", "brackets that do not match"),
        ("'abc", "a string without an end"),
        ('"abc', "a string without an end"),
        ("['abc]", "a string without an end"),
        ("7" * 1500, TOO_MANY_DIGITS),
        ("1" + "0" * MAX_DIGITS, TOO_MANY_DIGITS),
        ("[0x" + "f" * 900 + "]", TOO_MANY_DIGITS),
        ("7" * 2001, TOO_LONG),
        ("'" + "x" * 2000 + "'", TOO_LONG),
        ('"' + "x" * 2000 + '"', TOO_LONG),
        ("'" + "x" * (MAX_CHARS - 1), "a string without an end"),
        ("[" + "1," * 2000 + "]", TOO_LONG),
        ("[ " + "1," * (MAX_CHARS // 2 - 1), "a bracket without an end"),
        ("[" * (MAX_NESTING + 1) + "]" * (MAX_NESTING + 1), "nested deeper than 20"),
        ("The answer is unknown, but it returns 5", NO_VALUE),
        ("1. First, multiply 7 by 2.", "a numbered list"),
        ("  **1)** Zibble(7) doubles 7", "a numbered list"),
        ("2 or 3", "more than one value"),
        ("2 and 3 are possible", "more than one value"),
        ("[1] or [2]", "more than one value"),
        ("first 3 * 2 is 6\nAnswer: 6", NO_VALUE),  # a chain is no direct answer
    ],
)
def test_a_direct_generation_without_an_answer_says_why(generation: str, reason: str) -> None:
    parsed = parse(generation, cot=False)
    assert not parsed.ok
    assert (parsed.value, parsed.text, parsed.reason) == (None, None, reason)


def test_a_chain_without_a_mark_or_with_an_unreadable_last_mark_has_no_answer() -> None:
    assert parse("17", cot=True).reason == "no marked answer"
    assert parse("it returns nothing", cot=True).reason == "no marked answer"
    assert parse("it returns\n5", cot=True).reason == "no marked answer"  # such a mark is of its line
    assert not parse("3 => 4. Answer: unknown", cot=True).ok
    assert not parse("Answer: 4\nAnswer: 4 + 5", cot=True).ok


def test_limits_are_inclusive() -> None:
    assert parse("7" * MAX_DIGITS, cot=False).ok and not parse("7" * (MAX_DIGITS + 1), cot=False).ok
    assert parse("'" + "x" * 1998 + "'", cot=False).ok and not parse("'" + "x" * 1999 + "'", cot=False).ok
    assert parse("[" * MAX_NESTING + "]" * MAX_NESTING, cot=False).ok


def test_the_text_is_the_literal_as_written() -> None:
    assert parse("Answer: [1,  2] done", cot=True).text == "[1,  2]"
    assert parse("+5 it is", cot=False).text == "+5"
    assert parse("-inf it is", cot=False).text == "-inf"


@settings(deadline=None)
@given(literals)
def test_what_python_prints_is_read_back(value: Any) -> None:
    for parsed in (
        parse(repr(value), cot=False),
        parse(f"{value!r} is what Zibble('x') gives.", cot=False),
        parse(f"3 => 4\nAnswer: {value!r}", cot=True),
        parse(f"Answer: {value!r}.", cot=True),
    ):
        assert parsed.ok and equal(parsed.value, value, lenient=False), parsed


@settings(deadline=None)
@given(
    st.text(alphabet="[](){}'\"\\ \n,:.=>-+*/%_#019eExnAnswer boxdturilfTN\x00\ud800", max_size=60),
    st.booleans(),
)
def test_garbage_never_raises(text: str, cot: bool) -> None:
    parsed = parse(text, cot=cot)
    assert parsed.ok == (parsed.text is not None) == (parsed.reason is None)
    same_source(text, text + " ")
    equal(parsed.value, parsed.value, lenient=cot)


@pytest.mark.parametrize(
    "unit",
    [
        "[",
        "(",
        "=>[",
        "=>('",
        "=>[\\'",
        "'",
        '"',
        "answer ",
        "\\boxed{",
        "[-",
        "not ",
        "1,",
        "{1:",
        "lambda:",
    ],
)
def test_hostile_text_is_read_in_linear_time(unit: str) -> None:
    text = unit * (10_000 // len(unit))
    started = time.process_time()
    for cot in (False, True):
        parse(text, cot=cot)
        parse("Answer: " + text, cot=cot)
    assert not same_source(text, text + "\nx = 1")
    assert time.process_time() - started < 1.0


def test_ten_thousand_brackets_are_refused() -> None:
    text = "Answer: " + "[" * 10_000 + "]" * 10_000
    assert "nested deeper" in str(parse(text, cot=True).reason)
    assert "nested deeper" in str(parse(text, cot=False).reason)


@settings(deadline=None)
@given(literals)
def test_equality_is_reflexive(value: Any) -> None:
    assert equal(value, value, lenient=False) and equal(value, value, lenient=True)


@settings(deadline=None)
@given(literals, literals)
def test_equality_is_symmetric_and_strict_implies_lenient(a: Any, b: Any) -> None:
    strict, lenient = equal(a, b, lenient=False), equal(a, b, lenient=True)
    assert strict == equal(b, a, lenient=False)
    assert lenient == equal(b, a, lenient=True)
    assert lenient or not strict


hashable = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([math.nan, math.inf, -0.5, 2.0, b"a", b"b", 10**400])
    | st.text(max_size=2)
    | st.tuples(st.integers(-2, 2) | st.text(max_size=1) | st.sampled_from([math.nan, 0.5]))
)


@settings(deadline=None)
@given(st.dictionaries(hashable, st.integers(), max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_a_mapping_does_not_count(value: dict[Any, int], random: Random) -> None:
    items = list(value.items())
    random.shuffle(items)
    assert equal(value, dict(items), lenient=False) and equal(value, dict(items), lenient=True)


def test_no_key_is_lost_in_the_order_of_another_type() -> None:
    keys = [
        3,
        math.nan,
        False,
        -2.5,
        1,
        "b",
        None,
        (1, 2),
        "a",
        (2,),
        (math.nan,),
        b"b",
        b"a",
        (1, 1),
        ("x",),
    ]
    value = {key: number for number, key in enumerate(keys)}
    for first in range(len(keys)):
        turned = {key: value[key] for key in keys[first:] + keys[:first]}
        backwards = dict(reversed(turned.items()))
        assert equal(value, turned, lenient=False) and equal(value, backwards, lenient=False)
        assert equal(value, turned, lenient=True) and equal(value, backwards, lenient=True)
        assert not equal(value, backwards | {keys[first]: -1}, lenient=True)


# (a, b, strict, lenient)
PAIRS: list[tuple[Any, Any, bool, bool]] = [
    (1, 1, True, True),
    (1, 2, False, False),
    (True, 1, False, False),
    (False, 0, False, False),
    (1, 1.0, False, True),
    (1, 1.5, False, False),
    (10**400, 1e300, False, False),
    (1.0, True, False, False),
    ((1,), [1], False, True),
    ([(1, 2)], [[1, 2]], False, True),
    ([1], [1, 2], False, False),
    ([1, 2], [2, 1], False, False),
    ([True], [1], False, False),
    ([1], [1.0], False, True),
    (None, 0, False, False),
    ("1", 1, False, False),
    (0.1 + 0.2, 0.3, True, True),
    (1.0, 1.0 + 9e-7, True, True),
    (1.0, 1.0 + 2e-6, False, False),
    (0.0, 9e-10, True, True),
    (0.0, 2e-9, False, False),
    (math.nan, math.nan, True, True),
    ([math.nan], [math.nan], True, True),
    (math.nan, 1.0, False, False),
    ({"a": (1,)}, {"a": [1]}, False, True),
    ({"a": {1: 2}}, {"a": {"1": 2}}, False, True),
    ({1: (1,), "1": 2}, {"1": 2, 1: [1]}, False, True),  # two keys that JSON writes alike
    ({10**MAX_DIGITS - 1: 1}, {str(10**MAX_DIGITS - 1): 1}, False, True),
    (
        {10**MAX_DIGITS: 1},
        {str(10**MAX_DIGITS): 1},
        False,
        False,
    ),  # too long to be written out for a comparison
    ({1: 1}, {1: 1, 2: 2}, False, False),
    (math.inf, math.inf, True, True),
    (math.inf, -math.inf, False, False),
    ({1, 2}, {2, 1}, True, True),
    ({1}, {1.0}, False, True),
    ({1, 2.0}, {1.0, 2}, False, True),
    ({1}, {True}, False, False),
    ({1, 2}, {1, 3}, False, False),
    ({1, 2}, {1}, False, False),
    ({0.3}, {0.1 + 0.2}, True, True),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True, True),
    ({"a": 1}, {"a": 2}, False, False),
    ({"a": 1}, {"b": 1}, False, False),
    ({"a": 1}, {"a": True}, False, False),
    ({1: "x"}, {"1": "x"}, False, True),
    ({True: "x"}, {1: "x"}, False, False),
    ({True: "x"}, {"true": "x"}, False, True),
    ({None: 1}, {"null": 1}, False, True),
    ({1: "x"}, {1.0: "x"}, False, True),
    ({"1": "x"}, {1.0: "x"}, False, True),
    ({1: "x"}, {"2": "x"}, False, False),
    ({1: "a", "1": "b"}, {"1": "b", 1: "a"}, True, True),
    ({10: "a", 9: "b"}, {"9": "b", "10": "a"}, False, True),
    ({(1, 2): "a"}, {(1.0, 2): "a"}, False, True),
    ([], (), False, True),
    ([], {}, False, False),
    (set(), {}, False, False),
]


@pytest.mark.parametrize(("a", "b", "strict", "lenient"), PAIRS)
def test_equality_goes_by_type(a: Any, b: Any, strict: bool, lenient: bool) -> None:
    assert (equal(a, b, lenient=False), equal(b, a, lenient=False)) == (strict, strict)
    assert (equal(a, b, lenient=True), equal(b, a, lenient=True)) == (lenient, lenient)


def test_values_too_deep_to_compare_are_unequal_and_do_not_raise() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert not equal(deep, deep, lenient=True)


def test_sources_are_equal_up_to_layout_comments_and_docstrings() -> None:
    a = "def Zibble(x):\n    y = x*2\n    return y+3\n"
    assert same_source(a, "def Zibble( x ):\n  '''Doc.'''\n  y = (x * 2)  # twice\n\n  return y + 3")
    assert same_source("def f():\n  'only this'", "def f():\n  pass")
    assert not same_source(a, a.replace("3", "4"))
    assert not same_source(a, a.replace("3", "3.0"))
    assert not same_source(a, a.replace("y", "z"))
    assert not same_source(a, a.replace("Zibble", "Blorp"))
    assert not same_source("x = 1", "x = True")
    assert not same_source("def f():\n  x = 'a'", "def f():\n  x = 'b'")


def test_a_source_of_the_longest_length_is_parsed_and_a_longer_one_is_text() -> None:
    longest = "x  =  1  #".ljust(MAX_SOURCE_CHARS, "-")
    assert same_source(longest, "x = 1") and not same_source(longest + "-", "x = 1")


def test_text_that_is_no_python_equals_only_itself() -> None:
    assert same_source("S -> a S b | c", " S -> a S b | c\n")
    assert not same_source("S -> a S b", "S  -> a S b")
    assert not same_source("def f(:", "def g(:")
    assert not same_source("\x00", "\x00 # x")
