"""Both schemas and every sort of bad file; statements that tell no output."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import problems  # noqa: E402

from pbb.programs import leetcode_read  # noqa: E402
from pbb.programs.leetcode_read import Problem, read_problems, word_problem  # noqa: E402

GOOD = problems.row("scale", "scale", problems.SCALE, problems.SCALE_PAIRS, later=False)


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
def test_both_schemas_compressed_or_not(tmp_path: Path, later: bool, suffix: str) -> None:
    rows = [problems.row(n, n, code, pairs, later=later) for n, code, pairs in problems.FINE]
    found, fallen = read_problems(str(problems.write(tmp_path / f"x{suffix}", rows)))
    assert [p.name for p in found] == [n for n, *_ in problems.FINE] and fallen == []
    assert found[0].pairs == problems.SCALE_PAIRS and found[0].about == {
        "question_id": 9,
        "difficulty": "Easy",
    }


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("not JSON", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1]", "wrong schema"),
        ("{}", "wrong schema"),
        (json.dumps(GOOD | {"task_id": 3}), "wrong schema"),
        (json.dumps(GOOD | {"input_output": "x"}), "wrong schema"),
        (json.dumps(GOOD | {"input_output": [{"input": 1, "output": 2}]}), "wrong schema"),
        (json.dumps(GOOD | {"completion": None}), "wrong schema"),
        (json.dumps(GOOD | {"task_id": "\ud800"}), "not JSON"),
        (json.dumps(GOOD | {"entry_point": "Stack"}), "class design"),
        (json.dumps(GOOD | {"completion": "x = 1\n" * 20_000}), "too long"),
        (json.dumps(GOOD), "duplicate name"),
    ],
)
def test_bad_lines_are_left_out_one_by_one(tmp_path: Path, line: str, reason: str) -> None:
    path = problems.write(tmp_path / "x.jsonl", [GOOD, line, GOOD | {"task_id": "after"}])
    found, fallen = read_problems(str(path))
    assert [p.name for p in found] == ["scale", "after"]
    assert [f.reason for f in fallen] == [reason]


def test_lines_beyond_all_measure_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leetcode_read, "LONGEST_LINE", 5000)
    found, fallen = read_problems(str(problems.write(tmp_path / "x.jsonl", ["x" * 12_000, GOOD])))
    assert [p.name for p in found] == ["scale"] and [f.reason for f in fallen] == ["line too long"]


def test_a_file_that_breaks_off_gives_what_there_is(tmp_path: Path) -> None:
    rows = [GOOD | {"task_id": f"p{i}", "query": repr([j * i for j in range(3000)])} for i in range(30)]
    whole = problems.write(tmp_path / "x.jsonl.gz", rows).read_bytes()
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    found, fallen = read_problems(str(tmp_path / "cut.jsonl.gz"))
    assert 0 < len(found) < 30 and fallen[-1].reason == "file breaks off"
    damaged = bytearray(whole)
    damaged[len(whole) // 2 :][:40] = b"\0" * 40
    (tmp_path / "bad.jsonl.gz").write_bytes(gzip.compress(b"{}\n")[:-4] + b"abcd")
    assert {f.reason for f in read_problems(str(tmp_path / "bad.jsonl.gz"))[1]} == {
        "wrong schema",
        "file breaks off",
    }


def test_no_file_and_no_hub_are_one_line(
    tmp_path: Path, refused: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with refused("cannot read", "missing.jsonl", "hub id"):
        read_problems(str(tmp_path / "missing.jsonl"))
    with refused("cannot read", str(tmp_path)):
        read_problems(str(tmp_path))

    def load_dataset(name: str) -> Any:
        raise ConnectionError(f"no way to {name}\nand more")

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    with refused("no way to someone/some-data", "give that file"):
        read_problems("someone/some-data")
    monkeypatch.setattr(
        "datasets.load_dataset", lambda name: {"train": [GOOD], "test": [GOOD | {"task_id": "other"}]}
    )
    assert [p.name for p in read_problems("someone/some-data")[0]] == ["other", "scale"]


@pytest.mark.parametrize("later", [False, True])
def test_statements_end_before_the_first_example_and_tell_no_output(tmp_path: Path, later: bool) -> None:
    told = "Take  the nums.\nFor example, with [1,2] return 77. Double them. Given nums = [3] -> 88 it holds. Return the sum."
    row = problems.row("scale", "scale", problems.SCALE, problems.SCALE_PAIRS, later=later, statement=told)
    ((problem,), _) = read_problems(str(problems.write(tmp_path / "x.jsonl", [row])))
    assert word_problem(problem, 400) == "Take the nums. Double them. Return the sum."
    assert word_problem(problem, 17) == "Take the nums."
    assert word_problem(problem, 0) == ""


@pytest.mark.parametrize(
    ("statement", "kept"),
    [
        ('Return whether s is valid. For example, all of these are valid: "2", "0089", while these are not: "abc", "1a". Hm.\n\nGiven s.',
         "Return whether s is valid. Given s."),
        ('Count the ones. For example:\n5 in binary is "101". 3 is "11".\n\nReturn how many.', "Count the ones. Return how many."),
        ('Count the ones. For instance:\n\n5 in binary is "101".\n\nReturn how many.', "Count the ones. Return how many."),
    ],
)  # fmt: skip
def test_what_an_example_is_announced_by_tells_nothing_behind_it(statement: str, kept: str) -> None:
    assert word_problem(Problem("p", statement, "", "p", "", [], {}), 400) == kept
