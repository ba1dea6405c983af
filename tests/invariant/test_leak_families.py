"""The audit's leak proof over every byte that each family trains on, programs of a file and of LeetCode too: nothing, until a pair is planted."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from pbb.documents.leaks import leaks
from pbb.programs.isolation import unavailable
from pbb.programs.program import Program, read_programs

sys.path.insert(0, str(Path(__file__).parent))

import small_data  # noqa: E402
import small_recipes  # noqa: E402

REASON = unavailable()
Made = tuple[list[Program], list[bytes]]


@pytest.fixture(scope="module", params=list(small_recipes.MADE))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    if REASON is not None and request.param == "leetcode":
        pytest.skip(f"no isolation here: {REASON}")
    folder = tmp_path_factory.mktemp("leak")
    folders = small_data.make(small_recipes.recipe(request.param, folder), folder)
    programs = read_programs(folders.pop("programs") / "programs.jsonl")
    return programs, [
        line for f in folders.values() for line in (f / "documents.jsonl").read_bytes().splitlines()
    ]


def test_documents_as_they_are_made_hold_no_leak(made: Made) -> None:
    programs, lines = made
    assert {json.loads(line)["group"] for line in lines} >= {"io_composed"} or any(
        json.loads(line)["group"] == "source_only" for line in lines
    )
    assert list(leaks(programs, lines)) == []


def test_a_pair_planted_in_any_document_is_found(made: Made) -> None:
    """A held-out call of the program, or of a part of it, at the end of each line; a w/o IO program's on any input."""
    programs, lines = made
    known = {p.name: p for p in programs}
    for line in lines:
        record = json.loads(line)
        p = known[record["program"]]
        for q in (p, *p.parts):
            # a call that is nested begins with that of its first part, which another's training may show
            e = q.calls("test")[0]
            record["completion"] = json.loads(line)["completion"] + f"\n# {q.call(e)} gives {e.output!r}"
            assert list(leaks(programs, [json.dumps(record).encode()])), (q.name, record)
