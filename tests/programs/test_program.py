"""programs.jsonl says what it said, and a line that is no program is named by file and number."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pbb.programs.program import Example, Program, read_programs, write_programs

Refused = Callable[..., AbstractContextManager[None]]
RECORD: dict[str, Any] = {
    "name": "Zibdax",
    "entry": "Zibdax",
    "source": "def Zibdax(x):\n    a = x * 3\n    return a\n",
    "prose": "Multiply x by 3 to get a. Return a.",
    "family": "arithmetic",
    "group": "source_only",
    "examples": [{"args": [7], "kwargs": {}, "output": 21, "split": "test"}],
    "facts": {"length": 1, "ops": ["*"], "branches": 0, "loops": 0},
    "origin": {"seed": 0},
}


def written(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "programs.jsonl"
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def test_what_is_written_is_read_again(programs: list[Program], tmp_path: Path) -> None:
    path = tmp_path / "programs.jsonl"
    write_programs(programs, path)
    assert [p.model_dump() for p in read_programs(path)] == [p.model_dump() for p in programs]
    assert len(path.read_bytes().splitlines()) == len(programs)
    assert list(tmp_path.iterdir()) == [path]


def test_a_person_may_bring_the_least_and_empty_lines(tmp_path: Path) -> None:
    least = {k: v for k, v in RECORD.items() if k not in ("prose", "origin")}
    program, other = read_programs(written(tmp_path, "", json.dumps(least), "  ", json.dumps(RECORD), ""))
    assert (program.prose, program.statements, program.examples[0].trace) == (None, [], None)
    assert other.origin == {"seed": 0}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(
    args=st.lists(json_values, max_size=3),
    kwargs=st.dictionaries(st.text(min_size=1, max_size=3), json_values, max_size=2),
    output=json_values,
    prose=st.text(),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_value_comes_back(
    tmp_path: Path, args: list[Any], kwargs: dict[str, Any], output: Any, prose: str
) -> None:
    example = {"args": args, "kwargs": kwargs, "output": output, "split": "train"}
    program = Program.model_validate({**RECORD, "prose": prose, "examples": [example]})
    write_programs([program], tmp_path / "programs.jsonl")
    (again,) = read_programs(tmp_path / "programs.jsonl")
    assert again == program


def test_a_line_may_hold_any_character_that_json_lets_stand(tmp_path: Path) -> None:
    record = {**RECORD, "prose": "one line\u2028still the same\x85and the same"}
    (program,) = read_programs(written(tmp_path, json.dumps(record, ensure_ascii=False)))
    assert program.prose == record["prose"]


def without(key: str) -> str:
    return json.dumps({k: v for k, v in RECORD.items() if k != key})


def with_example(**changes: Any) -> str:
    example = {**RECORD["examples"][0], **changes}
    return json.dumps({**RECORD, "examples": [{k: v for k, v in example.items() if v is not ...}]})


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ("no JSON at all", "JSON"),
        (json.dumps(RECORD)[:-9], "JSON"),
        ("[]", "line"),
        ("7", "line"),
        (without("name"), "name"),
        (without("source"), "source"),
        (without("examples"), "examples"),
        (without("facts"), "facts"),
        (json.dumps({**RECORD, "group": "train"}), "group"),
        (json.dumps({**RECORD, "source": ["def"]}), "source"),
        (json.dumps({**RECORD, "examples": {"args": []}}), "examples"),
        (json.dumps({**RECORD, "facts": {"length": "long"}}), "facts.length"),
        (with_example(split="held-out"), "examples.0.split"),
        (with_example(args=7), "examples.0.args"),
        (with_example(output=...), "examples.0.output"),
        (with_example(trace=[{"line": 1}]), "examples.0.trace.0"),
    ],
)
def test_a_bad_line_is_named(line: str, where: str, tmp_path: Path, refused: Refused) -> None:
    path = written(tmp_path, json.dumps(RECORD), "", line, json.dumps(RECORD))
    with refused(f"not a program: {path}:3: ", where):
        read_programs(path)


@pytest.mark.parametrize("kind", ["missing", "a folder", "not UTF-8"])
def test_a_file_that_cannot_be_read_is_named(kind: str, tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "programs.jsonl"
    if kind == "a folder":
        path.mkdir()
    elif kind == "not UTF-8":
        path.write_bytes(json.dumps(RECORD).encode() + b"\n\xff\xfe\n")
    with refused(str(path)):
        read_programs(path)


def test_a_write_that_fails_leaves_the_old_file(programs: list[Program], tmp_path: Path) -> None:
    path = tmp_path / "programs.jsonl"
    write_programs(programs[:2], path)

    def broken() -> Iterator[Program]:
        yield programs[2]
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        write_programs(broken(), path)
    assert [p.name for p in read_programs(path)] == [p.name for p in programs[:2]]


def test_a_call_is_shown_as_python() -> None:
    assert Example(args=[7], output=21, split="test").call("Zibdax") == "Zibdax(7)"
    example = Example(args=["a", [1]], kwargs={"k": None, "n": -2}, output=0, split="train")
    assert example.call("f") == "f('a', [1], k=None, n=-2)"
    assert Example(args=[], output=0, split="train").call("f") == "f()"


def test_calls_are_those_of_one_split(programs: list[Program]) -> None:
    for p in programs:
        assert (len(p.calls("train")), len(p.calls("test"))) == (8, 6)
        assert {e.split for e in p.calls("test")} == {"test"}
