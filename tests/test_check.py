"""`pbb data check` names each fault by its line, and counts them; the recipe's own reader refuses what would spoil a result."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from program_lines import faults, record, written

from pbb.cli import main
from pbb.errors import PbbError
from pbb.programs.brought import Brought
from pbb.programs.isolation import unavailable
from pbb.programs.program import read_programs

REASON = unavailable()
walled = pytest.mark.skipif(REASON is not None, reason=f"no isolation here: {REASON}")


FAULTY: dict[str, tuple[Any, str]] = {
    "no JSON": ("{", "JSON"),
    "no object": ("[1]", "schema"),
    "a key missing": ({"name": "f"}, "schema"),
    "an unknown split": (record("f", 3, examples=[{"args": [1], "output": 3, "split": "dev"}]), "schema"),
    "the same name": (record("a", 3, entry="b", source="def b(x):\n    return 3 * x\n"), "duplicate"),
    "the same entry": (record("f", 3, entry="a", source="def a(x):\n    return 3 * x\n"), "duplicate"),
    "no Python": (record("f", 3, source="def f(x:\n    return 3"), "syntax"),
    "another function": (record("f", 3, source="def g(x):\n    return 3 * x\n"), "entry"),
    "an output beyond floats": (json.dumps(record("f", 3)).replace('"output": 3,', '"output": Infinity,'), "literal"),
    "an output that is a set": (record("f", 3, examples=[*record("f", 3)["examples"], {
        "args": [20], "output": 60, "split": "train", "exact": "([20], {}, {60})"}]), "literal"),
    "an origin beyond floats": (json.dumps(record("f", 3, origin={"score": 0.5})).replace("0.5", "NaN"), "literal"),
    "a traced value beyond floats": (json.dumps(record("f", 3, examples=[
        e | {"trace": [{"line": 1, "target": "a", "expression": "x", "value": 0.5}]} for e in record("f", 3)["examples"]
    ])).replace("0.5", "-Infinity"), "literal"),
    "one call with two outputs": (record("f", 3, examples=[*record("f", 3)["examples"], {
        "args": [1], "output": 4, "split": "train"}]), "contradiction"),
    "one call, its argument named, with two outputs": (record("f", 3, examples=[*record("f", 3)["examples"], {
        "args": [], "kwargs": {"x": 1}, "output": 4, "split": "train"}]), "contradiction"),
    "an unknown key": (record("f", 3, kwarg={}), "key"),
    "an example's key beside the examples": (record("f", 3, trace=[]), "key"),
    "an unknown key of facts": (record("f", 3, facts={"length": 1, "loop": 1}), "key"),
    "an unknown key of a trace": (record("f", 3, examples=[
        e | {"trace": [{"line": 1, "target": "a", "expression": "x", "value": 1, "outcom": True}]} for e in record("f", 3)["examples"]
    ]), "key"),
    "a key that only pbb puts in": (record("f", 3, parts=[]), "key"),
    "a key twice": (json.dumps(record("f", 3)).replace('"output": 3,', '"output": 3, "output": 3,'), "key"),
    "half of a character": (record("f", 3, origin={"author": "\ud800"}), "schema"),
    "a program that is only named": (record("f", 3, source="", needs=["a"]), "needs"),
    "an output that is an object": (json.dumps(record("f", 3)).replace('"output": 3,', '"output": "<f at 0x7f>",'), "literal"),
    "a call in both splits": (
        record("f", 3, examples=[{"args": [1], "output": 3, "split": s} for s in ("train", "test")]), "leak"),
    "a call in both splits, its argument named in one": (record("f", 3, examples=[
        {"args": [1], "output": 3, "split": "train"}, {"args": [], "kwargs": {"x": 1}, "output": 3, "split": "test"}]), "leak"),
    "a call in its own docstring": (record("f", 3, source='def f(x):\n    """\n    >>> f( 9 )\n    27\n    """\n    return 3 * x\n'), "leak"),
    "a call of other values in its own docstring": (record("f", 3, source='def f(x):\n    """f(90) == 270"""\n    return 3 * x\n'), "leak"),
    "outputs beside their inputs": (record("f", 3, prose="1 -> 3, 2 -> 6"), "leak"),
    "a test below it": (record("f", 3, source="def f(x):\n    return 3 * x\n\nassert f(90) == 270\n"), "leak"),
    "a call of its own code": (record("f", 3, source="def f(x):\n    return 3 * x if x < 70 else f(9)\n"), "leak"),
    "a null byte": (record("f", 3, source="def f(x):\n    return 3 * x\0\n"), "syntax"),
    "no held-out calls": (record("f", 3, examples=[{"args": [1], "output": 3, "split": "train"}]), "examples"),
    "the same source": (record("f", 2), "twin"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTY)
def test_a_fault_is_named_by_its_line(case: str, tmp_path: Path) -> None:
    bad, rule = FAULTY[case]
    found = faults(written(tmp_path, record("a"), "", bad))
    assert (3, rule) in found
    assert {r for _, r in found} == {rule}


def test_a_right_file_has_no_faults(tmp_path: Path) -> None:
    assert faults(written(tmp_path, record("a"), record("b", 3))) == []


def test_a_function_may_call_itself_with_a_value_that_no_example_has(tmp_path: Path) -> None:
    recursive = record("f", 3, source="def f(x):\n    return 3 * x if x != 100 else f(90) + x.f(9)\n")
    assert faults(written(tmp_path, recursive)) == []
    remark = record("f", 3, source="def f(x):\n    return 3 * x  # f(9) is 27\n")
    assert faults(written(tmp_path, remark)) == [(1, "leak")]


SHOUT = "def shout(text, mark='!', times=1.0):\n    {}\n    return text.upper() + mark\n"
TOLD = [
    'shout("ab")',
    "shout(text='ab')",
    "shout('ab', '!')",
    'shout("ab", times=1.00)',
    "shout([\"ab\",\n    ...     3], 'x')",
]


def shouted(docstring: str) -> dict[str, Any]:
    """A program of strings, the first two of whose examples are the calls in TOLD, with something in its docstring."""
    inputs = [["ab"], [["ab", 3], "x"], *([c * n] for c in "cdef" for n in (1, 2, 3))]
    examples = [
        {"args": args, "output": f"{args[0]}!".upper(), "split": "test" if n < 4 else "train"}
        for n, args in enumerate(inputs)
    ]
    source = SHOUT.format(f'"""Loud.\n\n    >>> {docstring}\n    \'AB!\'\n    """')
    return record("shout", source=source, examples=examples)


@pytest.mark.parametrize("call", TOLD)
def test_a_call_that_is_spelled_in_another_way_is_a_leak(call: str, tmp_path: Path) -> None:
    """Quotes, keywords, defaults and figures may be written otherwise than Python's repr writes them."""
    path = written(tmp_path, shouted(call), record("quint", 5))
    assert faults(path) == [(1, "leak")]
    with pytest.raises(
        PbbError, match="1 of these fit to be w/o IO .* 1 tell a call or an output of their own"
    ):
        drawn(path, io=0, source_only=2)


def test_a_call_of_other_values_tells_too(tmp_path: Path) -> None:
    """A pair is a pair, asked for or not; a pointer or a signature in a docstring is none."""
    path = written(tmp_path, shouted("shout('zz')"), record("quint", 5))
    assert faults(path) == [(1, "leak")]
    for seed in range(5):
        data = Brought(path=str(path), io=1, source_only=1, train_inputs=8, test_inputs=4)
        assert [p.name for p in data.programs(seed, 4, lambda done, total, what: None)] == ["quint", "shout"]
    assert (
        len(
            drawn(written(tmp_path, shouted("shout(text, times=2)"), record("quint", 5)), io=0, source_only=2)
        )
        == 2
    )


def test_what_pbb_writes_and_what_works_is_no_fault(tmp_path: Path) -> None:
    """All keys of a written line, an entry that is a builtin, a name that is none of Python's, an import that only isolation refuses."""
    whole = {
        "prose": "Times 3.", "statement": "Triple it.", "statements": [], "paths": [], "needs": [],
        "facts": {"length": 1, "ops": ["mult"], "branches": 0, "loops": 0}, "origin": {"license": "MIT", "anything": {"else": [None]}},
    }  # fmt: skip
    step = {
        "line": 1, "target": "a", "expression": "3 * x", "value": 1, "test": "x > 0", "outcome": True,
    }  # fmt: skip
    examples = [
        e | {"kwargs": {}, "trace": [step], "exact": repr((e["args"], {}, e["output"]))}
        for e in record("f", 3)["examples"]
    ]
    path = written(
        tmp_path,
        record("f", 3, **whole, examples=examples) | {"facts": whole["facts"]},
        record("print", 5),
        record("my fifth program", 7, entry="g", source="import os\ndef g(x):\n    return 7 * x\n"),
    )
    assert faults(path) == []
    assert len(drawn(path, io=1, source_only=2)) == 3


def test_a_call_with_one_output_may_stand_twice(tmp_path: Path) -> None:
    """Also if a float has come out of other sums, and a dict in another order."""
    outputs = [0.3, 0.30000000000000004, {"a": 1, "b": [2.0]}, {"b": [2.0], "a": 1}]
    rows = [
        {"args": [x], "output": out, "split": "train"}
        for x, out in zip([20, 20, 21, 21], outputs, strict=True)
    ]
    assert faults(written(tmp_path, record("f", 3, examples=[*record("f", 3)["examples"], *rows]))) == []
    rows[3]["output"] = {"a": True, "b": [2.0]}
    wrong = written(tmp_path, record("f", 3, examples=[*record("f", 3)["examples"], *rows]))
    assert faults(wrong) == [(1, "contradiction")]


def test_a_mark_of_byte_order_is_named_as_the_recipe_refuses_it(tmp_path: Path) -> None:
    path = written(tmp_path, record("a"), record("b", 3))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert faults(path) == [(1, "JSON")]
    with pytest.raises(PbbError, match=":1: "):
        drawn(path)


def test_show_says_that_a_folder_is_one_and_that_a_file_holds_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty.jsonl"
    for content in ("", "\n \n"):
        empty.write_text(content)
        assert main(["data", "show", str(empty)]) == 2
        assert f"data: {empty} holds nothing: give a programs.jsonl" in capsys.readouterr().err
    assert main(["data", "show", str(tmp_path)]) == 2
    assert f"data: {tmp_path} is a folder: give a programs.jsonl" in capsys.readouterr().err


def test_an_empty_file_is_a_fault(tmp_path: Path) -> None:
    assert faults(written(tmp_path)) == [(1, "empty")]


@walled
def test_execution_finds_wrong_outputs_and_hidden_twins(tmp_path: Path) -> None:
    wrong = record("b", 3)
    wrong["examples"][4]["output"] = 16
    twin = record("c", 2, source="def c(x):\n    return x + x\n")
    twin["examples"] = [
        {"args": [x], "output": 2 * x, "split": "test" if x > 28 else "train"} for x in range(20, 36)
    ]
    path = written(tmp_path, record("a"), wrong, twin)
    assert faults(path) == []
    assert faults(path, allow_code=True) == [(1, "twin"), (2, "output"), (3, "twin")]


@walled
def test_twins_are_found_whose_floats_differ_by_rounding_and_whose_calls_name_arguments(
    tmp_path: Path,
) -> None:
    """Files hold floats as they were rounded, and answers are judged so; calls with keywords are executed as calls."""

    def thirds(name: str, source: str, first: int) -> dict[str, Any]:
        rows = [
            {"args": [x], "output": round(x / 3, 6), "split": "test" if x > first + 8 else "train"}
            for x in range(first, first + 16)
        ]
        return record(name, source=f"def {name}(x):\n    {source}\n", examples=rows)

    def scaled(name: str, source: str, first: int) -> dict[str, Any]:
        rows = [
            {"args": [x], "kwargs": {"by": 3}, "output": 3 * x, "split": "test" if x > first + 8 else "train"}
            for x in range(first, first + 16)
        ]
        return record(name, source=f"def {name}(x, *, by=2, off=0):\n    {source}\n", examples=rows)

    other = scaled("e", "return x * by + 1", 80)
    for row in other["examples"]:
        row["output"] += 1
    path = written(
        tmp_path,
        thirds("a", "return x / 3", 1),
        thirds("b", "return x * 2 / 6 + 1e-12", 20),
        scaled("c", "return x * by + off", 40),
        scaled("d", "return off + by * x", 60),
        other,
    )
    assert faults(path) == []
    assert faults(path, allow_code=True) == [(line, "twin") for line in (1, 2, 3, 4)]


@walled
def test_a_call_that_takes_for_ever_hides_no_twin_but_its_own(tmp_path: Path) -> None:
    """`b` on the calls of `c` is a loop in C that no count of steps ends."""

    def large(name: str, source: str, xs: Sequence[int], outputs: Sequence[int]) -> dict[str, Any]:
        rows = [
            {"args": [x], "output": y, "split": "test" if n > 7 else "train"}
            for n, (x, y) in enumerate(zip(xs, outputs, strict=True))
        ]
        return record(name, source=f"def {name}(n):\n    return {source}\n", examples=rows)

    few, many = range(1, 13), range(10**11, 10**11 + 12)
    sums = [n * (n - 1) // 2 for n in few]
    path = written(
        tmp_path,
        large("a", "n * (n - 1) // 2", few, sums),
        large("b", "sum(range(n))", [x + 20 for x in few], [(x + 20) * (x + 19) // 2 for x in few]),
        large("c", "n % 7", many, [n % 7 for n in many]),
    )
    assert faults(path, allow_code=True) == [(1, "twin"), (2, "twin")]


def test_twins_are_found_by_what_is_judged_and_however_they_are_spelled(tmp_path: Path) -> None:
    """The same source but for names and docstring; outputs that are one answer; calls by place or by name."""

    def answered(name: str, parameters: str, body: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
        split = [row | {"split": "test" if n > 7 else "train"} for n, row in enumerate(rows)]
        return record(name, source=f"def {name}({parameters}):\n    {body}\n", examples=split)

    few = range(1, 13)
    path = written(
        tmp_path,
        answered("a", "x", "return x + 1", [{"args": [x], "output": x + 1} for x in few]),
        answered(
            "b", "y", '"""One more."""\n    return y + 1', [{"args": [x + 20], "output": x + 21} for x in few]
        ),
        answered("c", "x", "return x * 1e-11", [{"args": [x], "output": x * 1e-11} for x in few]),
        answered("d", "x", "return x * 7e-11", [{"args": [x], "output": x * 7e-11} for x in few]),
        answered(
            "e", "x, n", "return x - n", [{"args": [x], "kwargs": {"n": 2}, "output": x - 2} for x in few]
        ),
        answered("f", "x, k", "return -k + x", [{"args": [x, 2], "output": x - 2} for x in few]),
        answered("g", "x, k", "return x * k", [{"args": [x, 2], "output": 2 * x} for x in few]),
    )
    assert faults(path) == [(line, "twin") for line in range(1, 7)]


def test_a_program_that_needs_another_is_a_fault_and_refused(tmp_path: Path) -> None:
    """Programs are drawn each by itself: the other might be shown running, or not be there."""
    path = written(tmp_path, record("a"), record("b", 3), record("c", 6, needs=["a", "b"]))
    assert faults(path) == [(3, "needs")]
    with pytest.raises(PbbError, match=r":3: c: needs a, b: programs of a file are drawn each by itself"):
        drawn(path)


def test_twins_that_are_named_are_no_fault(tmp_path: Path) -> None:
    named = written(tmp_path, record("a", origin={"twins": ["b"]}), record("b", origin={"twins": ["a"]}))
    assert faults(named) == []
    assert faults(written(tmp_path, record("a", origin={"twins": ["b"]}), record("b"))) == [(2, "twin")]


def test_the_command_prints_lines_counts_and_exits_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, record("a"), "{")
    assert main(["data", "check", str(path)]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{path}:2: JSON: ") and lines[-1].startswith("1 programs: 1 JSON")
    assert main(["data", "check", str(path), "--json"]) == 2
    said = json.loads(capsys.readouterr().out)
    assert said["counts"] == {"JSON": 1} and said["faults"][0]["line"] == 2
    assert main(["data", "check", str(written(tmp_path, record("a")))]) == 0


def test_python_is_to_be_harvested_first(tmp_path: Path) -> None:
    with pytest.raises(PbbError, match="pbb harvest"):
        faults(tmp_path)
    with pytest.raises(PbbError, match="data.path: .*pbb harvest"):
        Brought(path=str(tmp_path)).digest()


def drawn(path: Path, **dials: Any) -> list[tuple[str, str]]:
    data = Brought(
        path=str(path), **({"io": 1, "source_only": 1, "train_inputs": 8, "test_inputs": 4} | dials)
    )
    return [(p.name, p.group) for p in data.programs(0, 4, lambda done, total, what: None)]


def test_a_program_with_a_twin_is_never_without_io(tmp_path: Path) -> None:
    path = written(tmp_path, record("a"), record("b"), record("c", 3))
    for seed in range(5):
        data = Brought(path=str(path), io=2, source_only=1, train_inputs=8, test_inputs=4)
        made = data.programs(seed, 4, lambda done, total, what: None)
        assert [p.name for p in made if p.group == "source_only"] == ["c"]
    with pytest.raises(PbbError, match="1 of these fit to be w/o IO .2 have a behavioural twin"):
        drawn(path, source_only=2)


def test_a_program_that_another_calls_or_that_tells_a_call_is_never_without_io(tmp_path: Path) -> None:
    helper = "def a(x):\n    return 2 * x\n"
    caller = record("b", 4, source=helper + "def b(x):\n    return a(a(x))\n")
    telling = record("c", 3, source='def c(x):\n    """>>> c(9)\n    27\n    """\n    return 3 * x\n')
    path = written(tmp_path, record("a", source=helper), caller, telling, record("d", 5), record("e", 7))
    for seed in range(5):
        data = Brought(path=str(path), io=2, source_only=2, train_inputs=8, test_inputs=4)
        made = data.programs(seed, 4, lambda done, total, what: None)
        assert {p.name for p in made if p.group == "source_only"} == {"d", "e"}
    with pytest.raises(PbbError, match="2 are named or shown by another, 1 tell"):
        drawn(path, source_only=3)


def test_twins_that_the_file_names_count(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        record("a", origin={"twins": ["b"]}),
        record("b", 3, origin={"twins": ["a"]}),
        record("c", 5),
    )
    assert drawn(path)[0] == ("c", "source_only")


def test_names_must_tell_programs_apart(tmp_path: Path) -> None:
    with pytest.raises(
        PbbError, match="the name a is there twice, in lines 1 and 3: rename one; `pbb data check"
    ):
        drawn(written(tmp_path, record("a"), "", record("a", 3)))
    same = record("b", 3, entry="a", source="def a(x):\n    return 3 * x\n")
    with pytest.raises(PbbError, match="the entry a is there twice, in lines 1 and 2"):
        drawn(written(tmp_path, record("a"), same))


def test_too_few_or_too_long_programs_are_counted(tmp_path: Path) -> None:
    path = written(tmp_path, record("a"), record("b", 3))
    with pytest.raises(PbbError, match="2 programs, 0 of them with 5 held-out calls"):
        drawn(path, test_inputs=5)
    with pytest.raises(PbbError, match="raise data.longest"):
        drawn(path, longest=10)
    assert len(drawn(path)) == 2 and len(read_programs(path)) == 2
