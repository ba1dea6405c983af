"""The set of grammars: no twins by what really running it gives, splits disjoint, the same in any process, mistakes named."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pbb.programs.grammar import choices_of, rules_of
from pbb.programs.grammars import COMMON, Grammars, grammars
from pbb.programs.program import Program, write_programs
from pbb.programs.sandbox import Worker

Refused = Callable[..., AbstractContextManager[None]]
IO, SOURCE_ONLY, ASKED = 40, 15, 4
DATA = Grammars(io=IO, source_only=SOURCE_ONLY, train_inputs=12, test_inputs=8)


@pytest.fixture(scope="module")
def made() -> list[Program]:
    return DATA.programs(5, ASKED, lambda done, total, what: None)


def test_the_groups_have_their_sizes_and_the_facts_are_true(made: list[Program]) -> None:
    assert Counter(p.group for p in made) == {"io": IO, "source_only": SOURCE_ONLY}
    assert len({p.name for p in made}) == len(made)
    for p in made:
        rules = rules_of(p.source)
        assert p.facts.length == len(rules) == len(p.paths)
        recursive = any(left in right for left, rights in rules.items() for right in rights)
        assert (p.facts.ops == ["flat"]) == (not recursive)


def test_every_output_is_a_string_of_the_language(made: list[Program]) -> None:
    for p in made:
        rules = rules_of(p.source)
        assert all(choices_of(rules, e.output) is not None for e in p.examples)
        assert all(len(e.args[0]) == len(e.trace or ()) <= 5 and len(e.output) <= 10 for e in p.examples)


def test_train_and_held_out_choices_are_disjoint(made: list[Program]) -> None:
    for p in made:
        train, test = ({tuple(e.args[0]) for e in p.calls(split)} for split in ("train", "test"))
        assert (len(train), len(test)) == (12, 8) and not train & test


def test_no_source_only_grammar_has_a_twin_on_what_is_asked(made: list[Program]) -> None:
    with Worker() as worker:
        for p in made[:SOURCE_ONLY]:
            asked = p.calls("test")[:ASKED]
            jobs = [(q.source, q.entry, [e.args for e in asked]) for q in made]
            got = worker.execute_many(jobs)
            expected = [e.output for e in asked]
            assert [q.name for q, g in zip(made, got, strict=True) if [o.value for o in g] == expected] == [
                p.name
            ]


def test_a_set_is_the_same_in_every_process(
    made: list[Program], tmp_path: Path, python: Callable[..., str]
) -> None:
    write_programs(made, tmp_path / "programs.jsonl")
    code = (
        "import sys, hashlib, pathlib; from pbb.programs.grammars import Grammars, grammars\n"
        "from pbb.programs.program import write_programs\n"
        "write_programs(grammars(Grammars.model_validate_json(sys.argv[1]), 5, 4), pathlib.Path(sys.argv[2]))\n"
        "print(hashlib.sha256(pathlib.Path(sys.argv[2]).read_bytes()).hexdigest())"
    )
    again = python(code, DATA.model_dump_json(), str(tmp_path / "again.jsonl"), hash_seed=77).strip()
    assert again == hashlib.sha256((tmp_path / "programs.jsonl").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("dials", "part"),
    [
        ({"nonterminals": [2, 1]}, "smaller first"),
        ({"nonterminals": [1, 9]}, "nonterminals"),
        ({"steps": [0, 3]}, "steps"),
        ({"alternatives": 1}, "alternatives"),
    ],
)
def test_dials_that_make_no_sense_are_named(dials: dict[str, Any], part: str) -> None:
    with pytest.raises(ValidationError, match=part):
        Grammars(**dials)


def test_too_few_grammars_and_twins_are_named(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pbb.programs.grammars.PATIENCE", 200)
    with refused("data", "different grammars", "1 to 2 steps"):
        grammars(DATA.model_copy(update={"steps": (1, 2)}), 0)
    with refused("data", "twin on any 0 held-out calls"):
        grammars(DATA.model_copy(update={"io": 3, "source_only": 2}), 0, asked=0)
    assert COMMON < 1
