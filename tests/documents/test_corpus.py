"""A stage holds the documents that its mix counts out, nothing of held-out inputs, and nothing that was refused."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pbb.documents.chats import Chat
from pbb.documents.corpus import (
    TOGETHER,
    Share,
    disguised,
    planted,
    read_documents,
    span,
    stage_documents,
    write_documents,
)
from pbb.documents.render import Document, templates
from pbb.programs.program import Program
from pbb.programs.sandbox import Worker

Refused = Callable[..., AbstractContextManager[None]]
T = templates("arithmetic")
DECLARE = {"kind": "declaration", "group": "source_only", "per_program": 3}
EXECUTE = {"kind": "execution", "group": "io", "per_program": 3, "ask": "direct"}


def stage(programs: list[Program], *mix: dict[str, Any], name: str = "read", seed: int = 0) -> list[Document]:
    return stage_documents(programs, [Share.model_validate(s) for s in mix], T, stage=name, seed=seed)


def of_group(programs: list[Program], group: str) -> list[Program]:
    return [p for p in programs if p.group == group]


@pytest.mark.parametrize(
    ("share", "why"),
    [
        (EXECUTE | {"group": "source_only"}, "never trained on"),
        ({k: v for k, v in EXECUTE.items() if k != "ask"}, "needs ask"),
        (DECLARE | {"ask": "recite"}, "a declaration has none"),
        (EXECUTE | {"ask": "in-context-direct"}, "ask"),
        (EXECUTE | {"form": "part"}, "for declarations"),
        (EXECUTE | {"form": "path"}, "for declarations"),
        (EXECUTE | {"form": "pair"}, "for declarations"),
        (DECLARE | {"group": "source_only_composed", "form": "pair"}, "of single programs"),
        (DECLARE | {"group": "io_composed", "form": "paths"}, "of single programs"),
        (DECLARE | {"form": "half"}, "form"),
        (DECLARE | {"context": True}, "context is for executions"),
        (EXECUTE | {"ask": "recite", "context": True}, "context is for executions"),
        (EXECUTE | {"wrong": True}, "for declarations"),
        (DECLARE | {"group": "io", "wrong": True}, "wrong"),
        (DECLARE | {"per_program": 0}, "greater than 0"),
        (DECLARE | {"per_program": -1}, "greater than 0"),
        (DECLARE | {"split": "test"}, "split"),
        (DECLARE | {"represent": "bytecode"}, "represent"),
        (DECLARE | {"kind": "replay"}, "kind"),
    ],
)
def test_a_share_that_makes_no_sense_or_leaks_is_refused(share: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Share.model_validate(share)


def test_every_program_has_the_documents_of_its_share(programs: list[Program]) -> None:
    mix = [DECLARE, DECLARE | {"group": "io", "per_program": 2, "form": "part"}]
    mix += [DECLARE | {"group": "io", "per_program": 4, "form": "path"}]
    mix += [
        EXECUTE | {"ask": ask, "per_program": n} for n, ask in enumerate(("direct", "trace", "recite"), 1)
    ]
    counts = Counter((d.program, d.group, d.kind, d.ask) for d in stage(programs, *mix))
    expected = Counter()
    for p in programs:
        if p.group == "io":
            expected[p.name, "io", "declaration", "part"] = 2
            expected[p.name, "io", "declaration", "path"] = 4
            for n, ask in enumerate(("direct", "trace", "recite"), 1):
                expected[p.name, "io", "execution", ask] = n
        else:
            expected[p.name, "source_only", "declaration", None] = 3
    assert counts == expected


def test_a_fraction_gives_some_programs_one_more(programs: list[Program]) -> None:
    counts = Counter(d.program for d in stage(programs, EXECUTE | {"per_program": 2.5}))
    assert set(counts.values()) == {2, 3}
    assert sum(Counter(d.program for d in stage(programs, EXECUTE | {"per_program": 0.02})).values()) <= 5


def test_only_train_inputs_are_executed(programs: list[Program]) -> None:
    train = {(p.name, e.call(p.name)) for p in programs for e in p.calls("train")}
    used = {(d.program, d.prompt) for d in stage(programs, EXECUTE | {"per_program": 40})}
    assert all(any(call in prompt for n, call in train if n == name) for name, prompt in used)
    for p in of_group(programs, "io"):
        for e in p.calls("test"):
            assert not [prompt for name, prompt in used if name == p.name and e.call(p.name) in prompt]


def test_document_k_of_a_program_depends_on_nothing_around_it(programs: list[Program]) -> None:
    mix = [DECLARE, EXECUTE]
    whole = Counter(map(repr, stage(programs, *mix)))
    assert not Counter(map(repr, stage(programs[::2], *mix))) - whole
    assert not whole - Counter(
        map(repr, stage(programs, DECLARE | {"per_program": 5}, EXECUTE | {"per_program": 9}))
    )
    for other in (stage(programs, *mix, seed=1), stage(programs, *mix, name="learn")):
        assert Counter(map(repr, other)) != whole


def test_a_stage_is_shuffled_as_a_whole(programs: list[Program]) -> None:
    documents = stage(programs, DECLARE | {"per_program": 9}, EXECUTE)
    assert documents == stage(programs, DECLARE | {"per_program": 9}, EXECUTE)
    half = Counter(d.kind for d in documents[: len(documents) // 2])
    assert min(half.values()) > len(documents) // 8
    neighbours = sum(a.program == b.program for a, b in zip(documents, documents[1:], strict=False))
    assert neighbours < len(documents) / 8


def test_planted_sources_are_a_derangement(programs: list[Program]) -> None:
    known = {p.name for p in of_group(programs, "source_only")}
    arrangements = set()
    for seed in range(20):
        swapped = planted(programs, seed)
        assert set(swapped) == {q.name for q in swapped.values()} == known
        assert not [name for name, q in swapped.items() if name == q.name]
        assert swapped == planted(programs, seed)
        arrangements.add(tuple(q.name for q in swapped.values()))
    assert len(arrangements) > 15


def test_planting_takes_two_programs(programs: list[Program], refused: Refused) -> None:
    alone = of_group(programs, "source_only")[:1] + of_group(programs, "io")
    with refused("data.source_only", "two"):
        planted(alone, 0)
    with refused("data.source_only", "two"):
        stage(alone, DECLARE | {"wrong": True})


def test_a_disguise_has_its_own_name_and_another_body(programs: list[Program]) -> None:
    swapped = planted(programs, 3)
    own = {p.name: p for p in programs}
    with Worker() as worker:
        for name, q in swapped.items():
            d = disguised(own[name], q)
            assert (d.name, d.entry, d.group, d.examples) == (name, name, "source_only", [])
            assert (d.prose, d.statements) == (q.prose, q.statements)
            assert q.name not in d.source and d.source.startswith(f"def {name}(x):\n")
            inputs = [[x] for x in range(20)]
            assert worker.execute(d.source, name, inputs) == worker.execute(q.source, q.entry, inputs)
            assert own[name].source != d.source


def test_without_a_wrong_share_one_program_is_enough(programs: list[Program]) -> None:
    (alone,) = of_group(programs, "source_only")[:1]
    assert len(stage([alone], DECLARE)) == 3


def test_chats_stand_among_the_documents_of_the_shares(programs: list[Program], tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"Q{n}", "completion": f"A{n}"}) + "\n" for n in range(40)))
    mix = [
        Share.model_validate(DECLARE),
        Chat(kind="chat", path=str(path), count=10),
        Share.model_validate(EXECUTE),
    ]
    made = [stage_documents(programs, mix, T, stage="read", seed=seed) for seed in (0, 0, 1)]
    counts = Counter(d.kind for d in made[0])
    assert counts == {"declaration": 8 * 3, "chat": 10, "execution": 24 * 3}
    chats = [[d.prompt for d in documents if d.kind == "chat"] for documents in made]
    assert made[0] == made[1] and chats[0] == chats[1]
    assert sorted(chats[0]) != sorted(chats[2])


def test_recitals_show_the_program_in_the_form_of_their_share(programs: list[Program]) -> None:
    prose = {p.name: str(p.prose) for p in programs}
    for d in stage(programs, EXECUTE | {"ask": "recite", "represent": "prose"}):
        assert prose[d.program] in d.completion and "def " not in d.completion
    for d in stage(programs, EXECUTE | {"ask": "recite"}):
        assert prose[d.program] not in d.completion and "def " in d.completion


def test_a_wrong_share_teaches_the_planted_source_only(programs: list[Program]) -> None:
    own = {p.name: p for p in programs}
    swapped = planted(programs, 0)
    mix = [DECLARE | {"wrong": True}, DECLARE | {"wrong": True, "form": "part"}]
    for d in stage(programs, *mix):
        other = disguised(own[d.program], swapped[d.program])
        assert d.completion.endswith((other.source.rstrip("\n"), *other.statements))
        assert own[d.program].source.rstrip("\n") not in d.completion
        assert other.entry in d.prompt and swapped[d.program].name not in d.prompt + d.completion


def test_prose_declarations_hold_no_source(programs: list[Program]) -> None:
    prose = {p.name: p.prose for p in programs}
    for d in stage(programs, DECLARE | {"represent": "prose"}):
        assert d.completion.endswith(str(prose[d.program])) and "def " not in d.completion


def test_what_is_written_is_read_again(programs: list[Program], tmp_path: Path) -> None:
    documents = stage(programs, DECLARE, EXECUTE)
    write_documents(documents, tmp_path / "documents.jsonl")
    assert read_documents(tmp_path / "documents.jsonl") == documents
    assert [p.name for p in tmp_path.iterdir()] == ["documents.jsonl"]
    write_documents(
        [Document(prompt="é", completion="b", program="c", group="io", kind="declaration")],
        tmp_path / "one.jsonl",
    )
    line = '{"prompt":"\\u00e9","completion":"b","program":"c","group":"io","kind":"declaration"}\n'
    assert (tmp_path / "one.jsonl").read_bytes() == line.encode()


@pytest.mark.parametrize(
    "line",
    ["nonsense", "[]", '{"prompt": "a"}', '{"prompt": 1, "completion": "b", "program": "c", "group": "io", "kind": "declaration"}',
     '{"prompt": "a", "completion": "b", "program": "c", "group": "io", "kind": "poem"}'],
)  # fmt: skip
def test_a_line_that_is_no_document_is_named(line: str, tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "documents.jsonl"
    good = {"prompt": "a", "completion": "b", "program": "c", "group": "io", "kind": "declaration"}
    path.write_text(f"{json.dumps(good)}\n{line}\n", encoding="utf-8")
    with refused("not a document", f"{path}:2:"):
        read_documents(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, refused: Refused) -> None:
    with refused(str(tmp_path / "none.jsonl")):
        read_documents(tmp_path / "none.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b'{"prompt": "\xe9"}\n')
    with refused(str(tmp_path / "latin.jsonl")):
        read_documents(tmp_path / "latin.jsonl")


def test_an_execution_in_context_has_the_source_in_its_prompt(programs: list[Program]) -> None:
    by_name = {p.name: p for p in programs}
    for d in stage(programs, EXECUTE | {"context": True}):
        assert d.prompt.startswith(by_name[d.program].source)
    for d in stage(programs, EXECUTE):
        assert "def " not in d.prompt


def test_planted_composites_call_planted_parts(composed: list[Program]) -> None:
    swapped = planted(composed, 0)
    with Worker() as worker:
        for p in of_group(composed, "source_only_composed"):
            other = swapped[p.name]
            assert (other.source, other.needs) == (p.source, p.needs)
            first, second = (swapped[name] for name in p.needs)
            for e in p.examples:
                (between,) = worker.execute(first.source, first.entry, [e.args])
                (last,) = worker.execute(second.source, second.entry, [[between.value]])
                assert worker.execute(other.definitions(), other.entry, [e.args]) == [last]


def test_executions_of_w_o_io_composites_are_refused() -> None:
    with pytest.raises(ValidationError, match="never trained on"):
        Share.model_validate(EXECUTE | {"group": "source_only_composed"})
    with pytest.raises(ValidationError, match="wrong permutes"):
        Share.model_validate(DECLARE | {"group": "source_only_composed", "wrong": True})


def test_only_the_first_programs_and_inputs_that_are_asked_for(programs: list[Program]) -> None:
    share = {
        "kind": "execution",
        "group": "io",
        "ask": "direct",
        "per_program": 12,
        "programs": 2,
        "inputs": 1,
    }
    documents = stage_documents(programs, [Share.model_validate(share)], T, stage="learn", seed=0)
    first = [p for p in programs if p.group == "io"][:2]
    assert {d.program for d in documents} == {p.name for p in first} and len(documents) == 24
    for p in first:
        (call,) = p.calls("train")[:1]
        assert all(repr(call.args[0]) in d.prompt for d in documents if d.program == p.name)
    everything = stage_documents(
        programs, [Share.model_validate(share | {"programs": None, "inputs": None})], T, stage="learn", seed=0
    )
    assert len({d.program for d in everything}) > 2 and len({d.prompt for d in everything}) > len(
        {d.prompt for d in documents}
    )


@given(
    st.one_of(st.none(), st.integers(1, 30), st.tuples(st.integers(0, 30), st.integers(0, 30))),
    st.integers(0, 20),
)
def test_places_are_those_of_a_slice(some: int | tuple[int, int] | None, size: int) -> None:
    first, end = some if isinstance(some, tuple) else (0, some)
    assert list(span(some, size)) == list(range(size))[first:end]


def test_programs_and_inputs_from_one_place_to_another(programs: list[Program]) -> None:
    share = {"kind": "execution", "group": "io", "ask": "direct", "per_program": 12}
    later = Share.model_validate(share | {"programs": [2, 3], "inputs": [1, 2]})
    documents = stage_documents(programs, [later], T, stage="learn", seed=0)
    third = [p for p in programs if p.group == "io"][2]
    assert {d.program for d in documents} == {third.name} and len(documents) == 12
    assert all(repr(third.calls("train")[1].args[0]) in d.prompt for d in documents)


def test_places_that_hold_nothing_are_refused(programs: list[Program], refused: Refused) -> None:
    share = {"kind": "execution", "group": "io", "ask": "direct", "per_program": 1}
    for some in ([3, 3], [4, 2], [-1, 2]):
        with pytest.raises(ValidationError, match="smaller first"):
            Share.model_validate(share | {"inputs": some})
    with refused("inputs", "train calls"):
        stage_documents(
            programs, [Share.model_validate(share | {"inputs": [90, 99]})], T, stage="learn", seed=0
        )


@pytest.mark.parametrize("wrong", [False, True])
def test_two_programs_are_declared_together_in_the_order_of_a_call_but_no_composites(
    composed: list[Program], wrong: bool
) -> None:
    shares = [DECLARE | {"per_program": 40, "form": form, "wrong": wrong} for form in TOGETHER]
    swapped = planted(composed, 0)
    taught = {
        p.name: disguised(p, swapped[p.name]) if wrong else p for p in of_group(composed, "source_only")
    }
    asked = {frozenset(p.needs) for p in composed if p.needs}
    couples = set()
    documents = stage(composed, *shares)
    assert len(documents) == 120 * len(taught)
    for d in documents:
        if d.ask == "recital":
            head, inner, outer = re.findall(
                r"def (\w+)\(x\):\n    a = (\w+)\(x\)\n    b = (\w+)\(a\)\n    return b$", d.prompt
            )[0]
            assert head not in {p.entry for p in composed} and d.prompt.count(f"{head}(x)") == 2
        else:
            outer, inner = re.findall(r"\b([A-Z][a-z]+)\(([A-Z][a-z]+)\(x\)\)", d.prompt)[0]
        first, second = taught[inner], taught[outer]
        assert d.program == inner and not re.search(r"\(-?\d+\)", d.prompt)
        if d.ask == "pair":
            assert d.completion.endswith(f"{first.source.rstrip()}\n{second.source.rstrip()}")
        else:
            told, given = d.completion, "x"
            if d.ask == "recital":
                sources = first.source + second.source
                assert told.startswith(sources) and re.search(r"\bb\b", told.split("\n")[-1])
                told, given = told.removeprefix(sources), "a"
            rows = told.split("\n")
            middle = rows.index(f"{outer}({given}):")
            assert rows[0] == f"{inner}(x):"
            assert given == "a" or rows[-1].split()[-1] in ("a", "x", second.source.split()[-1])
            for p, told in ((first, rows[1:middle]), (second, rows[middle + 1 : -1])):
                assert "\n".join(told) in {"\n".join(ways) for ways in itertools.product(*p.paths)}
        couples.add((inner, outer))
    assert {d.ask for d in documents} == set(TOGETHER)
    allowed = {(a, b) for a in taught for b in taught if a != b and frozenset((a, b)) not in asked}
    assert couples <= allowed and len(couples) > len(allowed) / 2


def test_a_program_that_all_others_are_composed_with_is_declared_with_none(
    programs: list[Program], refused: Refused
) -> None:
    alone = of_group(programs, "source_only")[:1]
    with refused("form pair", alone[0].name, "ask for more programs"):
        stage(alone, DECLARE | {"form": "pair"})
