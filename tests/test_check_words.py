"""`pbb data check` says of a fault what was expected and what to do, in one line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from program_lines import faults, record, written

from pbb.check import check

WORDS: list[tuple[Any, str]] = [
    (json.dumps(record("f", 3), indent=1), "one JSON object a line is expected, and this is an object over many lines: write every program"),
    (json.dumps([record("f", 3)], indent=1), "one JSON object a line is expected, and this is an array: write every program in a line"),
    ("\ufeff" + json.dumps(record("f", 3)), "begins with a byte order mark: save the file as UTF-8 without one"),
    (json.dumps(record("f", 3)) * 2, "no JSON: Extra data: line 1 column 702 (char 701): one object a line is expected"),
    ("[1]", "line: expected a JSON object, not [1]"),
    (record("f", 3, source="def f(x):\n    return 3 * x\0\n"), "the source holds a null byte: take it out"),
    (record("f", 3, group="train"), "group: expected 'io' or 'source_only', not 'train'"),
    (record("f", 3, facts={}), "facts.length: is missing: give a whole number"),
    (record("f", 3, facts={"length": "three"}), "facts.length: expected a whole number, not 'three'"),
    (record("f", 3, examples=[[2]]), "examples.0: expected a JSON object, not [2]"),
    (record("f", 3, examples=[{"args": 2, "output": 6, "split": "train"}]), "examples.0.args: expected a list with one value for each argument, "
     "such as [2], not 2"),
    (record("f", 3, examples=[{"args": [2], "output": 6, "split": "train", "note": 1}]), "examples.0.note: is no key that is read: put it under "
     "origin, or take it out"),
    (record("f", 3, examples=[{"exact": "(1", "split": "train"}]), "examples.0: exact: expected a Python literal of (args, kwargs, output)"),
    (record("f", 3, paths=["x"]), "paths.0: expected a list of lists of texts, not 'x'"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "words"), WORDS, ids=[words[:24] for _, words in WORDS])
def test_what_is_to_be_done_is_said_in_one_line(line: Any, words: str, tmp_path: Path) -> None:
    (fault,) = check(written(tmp_path, line), False, lambda done, total, what: None)[1]
    assert fault.text.startswith(words) and "\n" not in fault.text


def test_the_key_that_was_meant_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, record("f", 3, examples=[{"input": [2], "output": 6, "split": "train"}]))
    assert [f.text for f in check(path, False, lambda done, total, what: None)[1]] == [
        "examples.0.args: is missing: give a list with one value for each argument, such as [2]",
        "examples.0.input: is no key that is read: write 'args'",
    ]


def test_a_program_that_is_there_twice_is_no_twin_of_itself(tmp_path: Path) -> None:
    path = written(tmp_path, record("f", 3), record("f", 3), record("g", 5), record("h", 5))
    assert faults(path) == [(2, "duplicate"), (2, "duplicate"), (3, "twin"), (4, "twin")]


def test_a_file_of_one_line_may_end_in_any_way(tmp_path: Path) -> None:
    path = written(tmp_path, record("f", 3))
    for end in (b"", b"\n", b"\r\n", b"\n\n"):
        path.write_bytes(json.dumps(record("f", 3)).encode() + end)
        assert faults(path) == []


KEYS = [
    ({"kwarg": {}}, "'kwarg' is no key that is read: put it into an example, as 'kwargs', or take it out"),
    (
        {"facts": {"length": 1, "loop": 1}},
        "'facts.loop' is no key that is read: write 'loops', or take it out",
    ),
    ({"author": "me"}, "'author' is no key that is read: put it under origin, or take it out"),
]


@pytest.mark.parametrize(("changes", "words"), KEYS)
def test_where_a_key_belongs_is_said(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    (fault,) = check(written(tmp_path, record("f", 3, **changes)), False, lambda done, total, what: None)[1]
    assert fault.text == words
