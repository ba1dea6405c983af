"""Composites are their parts, one run on what the other gives: their outputs, their calls, their twins, and what a file of them needs."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pbb.documents.render import trace_text
from pbb.programs.ciphers import Ciphers
from pbb.programs.compose import Compose, composite
from pbb.programs.program import Program, link, read_programs, write_programs
from pbb.programs.random_arithmetic import Arithmetic
from pbb.programs.sandbox import Worker

Refused = Callable[..., AbstractContextManager[None]]
ASKED = 1
SETS: dict[str, dict[str, Any]] = {
    "arithmetic": {"family": "arithmetic", "io": 24, "source_only": 12, "train_inputs": 12, "test_inputs": 8},
    "ciphers": {"family": "ciphers", "io": 24, "source_only": 12, "train_inputs": 12, "test_inputs": 8},
}


def drawn(family: str, form: str, seed: int = 5, **changes: Any) -> list[Program]:
    given = SETS[family] | {"compose": {"io": 10, "source_only": 8, "form": form}} | changes
    data = Arithmetic(**given) if family == "arithmetic" else Ciphers(**given)
    return data.programs(seed, ASKED, lambda done, total, what: None)


@pytest.fixture(
    scope="module",
    params=[("arithmetic", "declared"), ("arithmetic", "named"), ("ciphers", "named")],
    ids=str,
)
def made(request: pytest.FixtureRequest) -> list[Program]:
    return drawn(*request.param)


def composites(programs: list[Program]) -> list[Program]:
    return [p for p in programs if p.needs]


def test_the_groups_have_their_sizes_and_parts_of_their_own_kind(made: list[Program]) -> None:
    counts = {"source_only": 12, "io": 24, "source_only_composed": 8, "io_composed": 10}
    assert Counter(p.group for p in made) == counts
    assert len({p.name for p in made}) == len(made)
    assert len({tuple(p.needs) for p in composites(made)}) == 18
    for p in composites(made):
        assert [q.name for q in p.parts] == p.needs and len(set(p.needs)) == 2
        assert {q.group for q in p.parts} == {p.group.removesuffix("_composed")}
        assert p.family == p.parts[0].family
        lengths = [q.facts.length for q in p.parts]
        assert p.facts.length == (
            sum(lengths) if p.family == "arithmetic" else lengths[0] == lengths[1] and lengths[0]
        )
        assert set(p.facts.ops) == {op for q in p.parts for op in q.facts.ops}


def test_a_composite_gives_what_its_parts_give_one_after_the_other(made: list[Program]) -> None:
    """Each part run by itself in the sandbox; the trace holds both traces below the calls that they are of."""
    with Worker() as worker:
        for p in composites(made):
            first, second = p.parts
            inputs = [e.args for e in p.examples]
            between = [o.value for o in worker.execute(first.source, first.entry, inputs)]
            last = worker.execute(second.source, second.entry, [[value] for value in between])
            assert [o.value for o in last] == [e.output for e in p.examples]
            for e, value in zip(p.examples, between, strict=True):
                rows = trace_text(e.trace or []).split("\n")
                assert rows[0] == f"{first.entry}({e.args[0]!r}):"
                assert rows.count(f"{second.entry}({value!r}):") == 1
            assert [o.value for o in worker.execute(p.definitions(), p.entry, inputs)] == [
                e.output for e in p.examples
            ]


def test_the_value_in_between_is_an_input_of_the_second(made: list[Program]) -> None:
    with Worker() as worker:
        for p in composites(made):
            outcomes = worker.execute(p.parts[0].source, p.parts[0].entry, [e.args for e in p.examples])
            for o in outcomes:
                if p.family == "arithmetic":
                    assert isinstance(o.value, int) and 0 <= o.value <= 29
                else:
                    lengths = {len(e.args[0]) for q in p.parts for e in q.examples}
                    assert isinstance(o.value, str) and {len(o.value)} == lengths


def test_train_calls_hold_no_held_out_call_of_a_part_and_w_o_io_composites_have_none(
    made: list[Program],
) -> None:
    with Worker() as worker:
        for p in composites(made):
            train, test = p.calls("train"), p.calls("test")
            assert len(test) == 8 and not [e for e in test if e.args in [t.args for t in train]]
            assert len({repr(e.args) for e in p.examples}) == len(p.examples)
            if p.group == "source_only_composed":
                assert not train
                continue
            assert 3 <= len(train) <= 12
            held = [[e.args[0] for e in q.calls("test")] for q in p.parts]
            between = worker.execute(p.parts[0].source, p.parts[0].entry, [e.args for e in train])
            assert not [e for e in train if e.args[0] in held[0]]
            assert not [o for o in between if o.value in held[1]]


def test_nothing_behaves_as_a_w_o_io_program_does_on_its_asked_calls(made: list[Program]) -> None:
    """Composites and singles alike, by really running every program on the asked calls of every w/o IO one."""
    with Worker() as worker:
        for p in made:
            if p.group in ("source_only", "source_only_composed"):
                asked = p.calls("test")[:ASKED]
                jobs = [(q.definitions(), q.entry, [e.args for e in asked]) for q in made]
                outcomes = worker.execute_many(jobs)
                expected = [e.output for e in asked]
                same = [
                    q.name
                    for q, got in zip(made, outcomes, strict=True)
                    if [o.value for o in got] == expected
                ]
                assert same == [p.name]


def test_composites_are_neither_constant_nor_idle(made: list[Program]) -> None:
    for p in composites(made):
        outputs = Counter(repr(e.output) for e in p.examples)
        assert max(outputs.values()) < len(p.examples) / 2
        assert sum(e.args[0] == e.output for e in p.examples) <= len(p.examples) / 2


def test_a_declared_composite_has_a_source_and_a_named_one_only_its_call() -> None:
    singles = [p for p in drawn("arithmetic", "named") if not p.needs]
    first, second = singles[:2]
    zub = composite(first, second, "io_composed", "Zub")
    assert zub.source == f"def Zub(x):\n    a = {first.name}(x)\n    b = {second.name}(a)\n    return b\n"
    assert zub.statements == [row.strip() for row in zub.source.split("\n")[1:3]]
    assert zub.paths == [[f"{first.name}(x):"], [f"{second.name}(a):"]]
    assert zub.head() == "Zub(x)" and not zub.only_named
    named = composite(first, second, "io_composed")
    assert (named.source, named.prose, named.statements, named.paths) == ("", None, [], [])
    assert named.only_named and named.head() == f"{second.name}({first.name}(x))"
    e = first.examples[0]
    assert named.call(e) == f"{second.name}({first.name}({e.args[0]}))"
    assert zub.call(e) == f"Zub({e.args[0]})" and first.call(e) == e.call(first.name)
    assert first.definitions() == first.source


def test_singles_are_the_same_with_composites_beside_them() -> None:
    for family in SETS:
        alone = drawn(family, "named", compose=None)
        assert drawn(family, "declared")[: len(alone)] == alone


def test_the_form_changes_names_and_sources_alone() -> None:
    forms = [composites(drawn("arithmetic", form)) for form in ("declared", "named")]
    for declared, named in zip(*forms, strict=True):
        assert (declared.needs, declared.examples) == (named.needs, named.examples)
        assert named.name == "_".join(named.needs)


def test_what_is_written_is_linked_again(made: list[Program], tmp_path: Path) -> None:
    path = tmp_path / "programs.jsonl"
    write_programs(made, path)
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert not [r for r in records if "parts" in r]
    assert [r.get("needs", []) for r in records] == [p.needs for p in made]
    read = read_programs(path)
    assert read == made and [p.parts for p in read] == [p.parts for p in made]


def test_a_missing_part_is_named(made: list[Program], tmp_path: Path, refused: Refused) -> None:
    p = composites(made)[0]
    with refused("programs", p.name, p.needs[0]):
        link([q for q in made if q.name != p.needs[0]])
    nested = composite(p, p.parts[0], "io_composed", "Zub")
    with refused("Zub", p.name, "calls no other"):
        link([*made, nested])


def test_the_same_in_another_process(tmp_path: Path, python: Callable[..., str]) -> None:
    def digest(programs: list[Program]) -> str:
        write_programs(programs, tmp_path / "here.jsonl")
        return hashlib.sha256((tmp_path / "here.jsonl").read_bytes()).hexdigest()

    given = SETS["arithmetic"] | {"compose": {"io": 10, "source_only": 8}}
    code = (
        "import hashlib, sys; from pathlib import Path\n"
        "from pbb.programs.program import write_programs; from pbb.programs.random_arithmetic import Arithmetic\n"
        f"made = Arithmetic(**{given!r}).programs(5, {ASKED}, lambda done, total, what: None)\n"
        "write_programs(made, Path(sys.argv[1])); print(hashlib.sha256(Path(sys.argv[1]).read_bytes()).hexdigest())"
    )
    here = digest(drawn("arithmetic", "declared"))
    assert python(code, str(tmp_path / "there.jsonl"), hash_seed=99).strip() == here
    assert digest(drawn("arithmetic", "declared", seed=6)) != here


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), io=st.integers(0, 4), source_only=st.integers(1, 4))
def test_any_counts_and_seed_give_that_many(seed: int, io: int, source_only: int) -> None:
    dials = Compose(io=io, source_only=source_only, form="named")
    singles = drawn("arithmetic", "named", seed=1, compose=None)
    made = Arithmetic(**SETS["arithmetic"])._composites(dials, singles, seed, ASKED)
    assert Counter(p.group for p in made) == +Counter(
        {"io_composed": io, "source_only_composed": source_only}
    )


@pytest.mark.parametrize(
    ("dials", "part"),
    [
        (3, "give a mapping"),
        ({"source_only": 0}, "source_only"),
        ({"form": "nested"}, "form"),
        ({"count": 3}, "count"),
    ],
)
def test_dials_that_make_no_sense_are_named(dials: Any, part: str) -> None:
    with pytest.raises(ValidationError, match=part):
        Arithmetic(compose=dials)


def test_ciphers_called_with_a_shift_do_not_compose() -> None:
    with pytest.raises(ValidationError, match="compose: .*set shift: key"):
        Ciphers(shift="argument", kinds=["caesar"], compose={"io": 1, "source_only": 1})


def test_too_few_pairs_are_named(refused: Refused) -> None:
    with refused("data.compose: only", "of 5 composites of the 2 source_only programs"):
        drawn("ciphers", "named", source_only=2, letters=(4, 4), compose={"io": 0, "source_only": 5})
    with refused("data.compose: only 0 of 1 composites of the 1 source_only programs"):
        drawn("arithmetic", "named", source_only=1, compose={"io": 0, "source_only": 1})
