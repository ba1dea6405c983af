"""The set of ciphers: no twins by what really running it gives, splits disjoint, the same in any process, mistakes named."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pbb.programs.cipher import KINDS, SHIFTED
from pbb.programs.ciphers import Ciphers, ciphers, text, texts
from pbb.programs.program import Program, read_programs, write_programs
from pbb.programs.sandbox import Worker

Refused = Callable[..., AbstractContextManager[None]]
IO, SOURCE_ONLY, ASKED = 90, 30, 4
DATA: dict[str, Any] = {"io": IO, "source_only": SOURCE_ONLY, "train_inputs": 12, "test_inputs": 9}
SETS: list[dict[str, Any]] = [DATA, DATA | {"shift": "argument", "shifts": "c4", "kinds": list(SHIFTED)}]


@pytest.fixture(scope="module", params=SETS, ids=["key", "argument"])
def made(request: pytest.FixtureRequest) -> list[Program]:
    return Ciphers(**request.param).programs(5, ASKED, lambda done, total, what: None)


def test_the_groups_have_their_sizes_and_the_facts_are_true(made: list[Program]) -> None:
    assert Counter(p.group for p in made) == {"io": IO, "source_only": SOURCE_ONLY}
    assert len({p.name for p in made}) == len({p.source for p in made}) == len(made)
    for p in made:
        assert {len(e.args[0]) for e in p.examples} == {p.facts.length}
        assert p.facts.ops[0] in KINDS and p.facts.ops[1] in ("encode", "decode")
    assert {p.facts.length for p in made} == {3, 4, 5}
    kinds = Counter(p.facts.ops[0] for p in made)
    assert set(kinds) == set(SHIFTED if made[0].head().endswith("shift)") else KINDS)


def test_train_and_held_out_texts_are_disjoint(made: list[Program]) -> None:
    for p in made:
        outputs = [tuple(e.args) for e in p.examples]
        assert len(set(outputs)) == len(outputs) == 21
        plain = [e.output if p.facts.ops[1] == "decode" else e.args[0] for e in p.examples]
        assert len(set(plain)) == 21 and set("".join(plain)) <= set("abcdefghij")


def test_no_source_only_cipher_has_a_twin_on_what_is_asked(made: list[Program]) -> None:
    unseen = [p for p in made if p.group == "source_only"]
    with Worker() as worker:
        for p in unseen:
            asked = p.calls("test")[:ASKED]
            inputs = [e.args for e in asked]
            outputs = worker.execute_many([(q.source, q.entry, inputs) for q in made])
            same = [
                q.name
                for q, got in zip(made, outputs, strict=True)
                if [o.value for o in got] == [e.output for e in asked]
            ]
            assert same == [p.name]


def test_few_calls_leave_the_text_as_it_is(made: list[Program]) -> None:
    for p in made:
        assert 4 * sum(e.args[0] == e.output for e in p.examples) <= len(p.examples)


def test_a_set_is_the_same_in_every_process(
    made: list[Program], tmp_path: Path, python: Callable[..., str]
) -> None:
    index = 1 if made[0].head().endswith("shift)") else 0
    write_programs(made, tmp_path / "programs.jsonl")
    assert read_programs(tmp_path / "programs.jsonl") == made
    code = (
        "import sys, json, hashlib, pathlib; from pbb.programs.ciphers import Ciphers, ciphers\n"
        "from pbb.programs.program import write_programs\n"
        "write_programs(ciphers(Ciphers(**json.loads(sys.argv[1])), 5, 4), pathlib.Path(sys.argv[2]))\n"
        "print(hashlib.sha256(pathlib.Path(sys.argv[2]).read_bytes()).hexdigest())"
    )
    again = python(code, json.dumps(SETS[index]), str(tmp_path / "again.jsonl"), hash_seed=77).strip()
    assert again == hashlib.sha256((tmp_path / "programs.jsonl").read_bytes()).hexdigest()
    assert [p.source for p in ciphers(Ciphers(**SETS[index]), 6)] != [p.source for p in made]


def test_demonstrations_are_skewed_and_questions_are_not() -> None:
    for shifts, share in (("c4", 0.8), ("flat", 1 / 25)):
        data = Ciphers(**DATA | {"shift": "argument", "shifts": shifts, "kinds": list(SHIFTED), "alphabet": 26,
                                 "test_inputs": 25})  # fmt: skip
        made = ciphers(data, 0, ASKED)
        train = [e.args[1] for p in made for e in p.calls("train")]
        assert train.count(13) / len(train) == pytest.approx(share, abs=0.04)
        for p in made:
            assert sorted(e.args[1] for e in p.calls("test")) == list(range(1, 26))


def test_both_shifts_are_flat_first_and_skewed_then() -> None:
    dials = DATA | {"shift": "argument", "kinds": list(SHIFTED), "train_inputs": 20}
    both = ciphers(Ciphers(**dials | {"shifts": "both"}), 0, ASKED)
    halves = [
        [e.args[1] for p in both for e in p.calls("train")[part]] for part in (slice(10), slice(10, 20))
    ]
    assert halves[0].count(5) / len(halves[0]) == pytest.approx(1 / 9, abs=0.04)
    assert halves[1].count(5) / len(halves[1]) == pytest.approx(0.8, abs=0.04)


def test_every_length_can_be_had_alone() -> None:
    for alphabet, letters in ((5, (4, 4)), (26, (12, 12))):
        made = ciphers(
            Ciphers(**DATA | {"io": 20, "source_only": 10, "alphabet": alphabet, "letters": letters}), 0
        )
        assert {p.facts.length for p in made} == {letters[0]}


@pytest.mark.parametrize(("strings", "direction"), [("words", "encode"), ("nonsense", "decode")])
def test_strings_and_directions_are_dials(strings: str, direction: str) -> None:
    data = Ciphers(**DATA | {"strings": strings, "direction": direction, "io": 20, "source_only": 10})
    made = ciphers(data, 0)
    atbash = [p for p in made if p.facts.ops[0] == "atbash"]
    assert {p.facts.ops[1] for p in made if p not in atbash} == {direction}
    plain = [e.args[0] if direction == "encode" else e.output for p in made for e in p.examples]
    turns = [all((a in "aei") != (b in "aei") for a, b in zip(t, t[1:], strict=False)) for t in plain]
    assert all(turns) if strings == "words" else not all(turns)


@pytest.mark.parametrize(
    ("dials", "part"),
    [
        ({"kinds": ["enigma"]}, "'enigma'"),
        ({"kinds": []}, "at least one"),
        ({"letters": [5, 3]}, "smaller first"),
        ({"letters": [2, 3]}, "rail fence"),
        ({"shift": "argument"}, "atbash"),
        ({"shifts": "c4"}, "shift: argument"),
        ({"shifts": "both"}, "both is for shifts"),
        ({"letters": [3, 3], "alphabet": 5, "train_inputs": 200}, "125 texts of 3 letters"),
        ({"letters": [3, 3], "alphabet": 5, "strings": "words"}, "30 texts of 3 letters"),
        ({"alphabet": 4}, "alphabet"),
        ({"alphabet": 27}, "alphabet"),
    ],
)
def test_dials_that_make_no_sense_are_named(dials: dict[str, Any], part: str) -> None:
    with pytest.raises(ValidationError, match=part):
        Ciphers(**dials)


def test_too_few_ciphers_are_named(refused: Refused) -> None:
    with refused("data", "different ciphers", "caesar"):
        ciphers(Ciphers(io=20, source_only=5, kinds=["caesar"]), 0)


def test_a_twin_on_all_calls_is_named(refused: Refused) -> None:
    """With nothing asked all ciphers answer alike."""
    with refused("data", "twin on any 0 held-out calls"):
        ciphers(Ciphers(io=5, source_only=5), 0, asked=0)


def test_texts_are_counted() -> None:
    rng = random.Random(0)
    for strings, size, length in (("words", 5, 3), ("words", 6, 2), ("nonsense", 5, 2)):
        found = {text(rng, strings, size, length) for _ in range(3000)}
        assert len(found) == texts(strings, size, length)
