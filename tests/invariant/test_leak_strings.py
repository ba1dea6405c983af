"""No input/output pair of a w/o IO cipher or grammar is in any training document, from the files' bytes (as test_leak does for arithmetic).

What a document may say of a w/o IO program can be listed: a pointer with its symbols for arguments, and the program whole, in part, or one
way through it.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
from pathlib import Path

import pytest

from pbb.documents.corpus import disguised, planted
from pbb.documents.leaks import leaks
from pbb.documents.render import templates
from pbb.programs.program import Program, read_programs
from pbb.recipe_file import load

sys.path.insert(0, str(Path(__file__).parent))

import small_data  # noqa: E402

Made = tuple[dict[str, Path], list[Program]]
SMALL = {
    "ciphers": ["data.io=24", "data.source_only=10"],
    "ciphers-shifts": [
        "stages.learn.exposures=0.1",
        "stages.read.exposures=0.1",
    ],  # twenty ciphers, met often
    "grammars": ["data.io=24", "data.source_only=10"],
}


@pytest.fixture(scope="module", params=list(SMALL))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    recipe = load(request.param, SMALL[request.param])
    folders = small_data.make(recipe, tmp_path_factory.mktemp("leak"))
    return folders, read_programs(folders.pop("programs") / "programs.jsonl")


def allowed(p: Program) -> tuple[set[str], set[str]]:
    """The prompts and the completions that may be about a w/o IO program."""
    t = templates(p.family)
    words = [*t.instructions["source"], *t.instructions["prose"], *t.instructions["trace"]]
    words += [w.format(k=k) for w in t.instructions["part"] for k in range(1, len(p.statements) + 1)]
    prompts = {f"{pointer.format(call=p.head())} {w}" for pointer in t.pointers for w in words}
    whole = {o + text for o in t.openings for text in (p.source.rstrip("\n"), str(p.prose))}
    ends = [c.format(answer=p.source.rstrip().rpartition("return ")[2]) for c in t.closings]
    ways = ["\n".join(rows) for rows in itertools.product(*p.paths)]
    return prompts, whole | set(p.statements) | {f"{way}\n{end}" for way in ways for end in ends}


def faults(raw: bytes, programs: list[Program], wrong: bool) -> list[str]:
    """What the lines of a documents.jsonl say that they may not."""
    swapped = planted(programs, 0)
    known = {p.name: p for p in programs}
    unseen = {p.name: p for p in programs if p.group == "source_only"}
    may = {name: allowed(disguised(p, swapped[name]) if wrong else p) for name, p in unseen.items()}
    names = re.compile(rf"(?:{'|'.join(known)})(?![a-z])")
    found = []
    for number, line in enumerate(raw.splitlines(), 1):
        record = json.loads(line)
        named = set(names.findall(record["prompt"] + "\n" + record["completion"]))
        if named != {record["program"]}:
            found.append(f"{number}: names {named}")
        elif (p := known[record["program"]]).group == "source_only":
            prompts, completions = may[p.name]
            if record["kind"] != "declaration" or record["prompt"] not in prompts:
                found.append(f"{number}: asks more of a w/o IO program than what it is")
            if record["completion"] not in completions:
                found.append(f"{number}: says more of a w/o IO program than what it is")
        elif any(e.call(p.name) in record["prompt"] for e in p.calls("test")):
            found.append(f"{number}: a held-out call")
    return found


def test_no_document_holds_what_it_may_not(made: Made) -> None:
    folders, programs = made
    assert {"learn", "read"} <= set(folders)
    for stage, folder in folders.items():
        raw = (folder / "documents.jsonl").read_bytes()
        assert raw and faults(raw, programs, wrong=stage == "read-wrong") == []
        for p in programs:
            if p.group == "source_only":
                assert not re.search(rf"{p.name}\([\['\"\\]".encode(), raw)


def test_a_planted_leak_is_found(made: Made) -> None:
    _, programs = made
    p = next(p for p in programs if p.group == "source_only")
    q = next(p for p in programs if p.group == "io")
    e = p.calls("test")[0]
    lines = [
        {"prompt": f"What is {e.call(p.name)}? Only the answer.", "completion": repr(e.output)},
        {
            "prompt": f"What is {p.head()}? Write its source.",
            "completion": f"{p.source}# {e.args} {e.output}",
        },
        {"prompt": f"What is {p.head()}? Trace it.", "completion": "\n".join(map(str, e.trace or []))},
        {"prompt": f"What is {p.head()}? Any one string.", "completion": repr(e.output)},
    ]
    records = [line | {"program": p.name, "group": p.group, "kind": "declaration"} for line in lines]
    held = q.calls("test")[0]
    records.append(
        {"prompt": f"What is {held.call(q.name)}? Only the answer.", "completion": repr(held.output)}
        | {"program": q.name, "group": q.group, "kind": "execution"}
    )
    for record in records:
        assert faults(json.dumps(record).encode(), programs, wrong=False), record


def test_the_true_source_is_a_leak_where_sources_are_permuted(made: Made) -> None:
    _, programs = made
    p = next(p for p in programs if p.group == "source_only")
    record = {"prompt": f"What is {p.head()}? Write its source.", "completion": p.source.rstrip("\n")}
    line = json.dumps(record | {"program": p.name, "group": p.group, "kind": "declaration"}).encode()
    assert faults(line, programs, wrong=False) == [] and faults(line, programs, wrong=True) != []


def test_no_call_of_a_composed_w_o_io_cipher_is_in_the_bytes(tmp_path: Path) -> None:
    """Pairs of w/ IO ciphers are executed; names of w/o IO ones stand before `(text)` alone, and before no other name."""
    shares = "{kind: execution, group: io_composed, per_program: 3, ask: %s}"
    mix = ", ".join(
        [
            "{kind: declaration, group: io, per_program: 2}",
            *(shares % a for a in ("recite", "trace", "direct")),
        ]
    )
    compose = "data.compose={io: 8, source_only: 6, form: named}"
    folders = small_data.make(
        load("ciphers", [*SMALL["ciphers"], compose, f"stages.learn.mix=[{mix}]"]), tmp_path
    )
    programs = read_programs(folders.pop("programs") / "programs.jsonl")
    entries = {
        group: [p.entry for p in programs if p.group == group and not p.only_named]
        for group in ("source_only", "io")
    }
    assert sum(p.group == "source_only_composed" for p in programs) == 6
    for stage, folder in folders.items():
        raw = (folder / "documents.jsonl").read_bytes().decode()
        called = re.compile(rf"(?:{'|'.join(entries['source_only'])})\((?!text\))")
        assert not called.search(raw)
        nested = re.findall(rf"(?:{'|'.join(entries['io'])})\((?:{'|'.join(entries['io'])})\('", raw)
        assert bool(nested) is (stage == "learn")
    assert called.search(f"{entries['source_only'][0]}({entries['io'][0]}('abc'))")


@pytest.mark.parametrize("seed", [1, 2])
def test_the_audits_own_proof_knows_an_expression_from_an_answer(seed: int, tmp_path: Path) -> None:
    """A declaration may end in `returns ''.join(rails)`, which begins as a string does."""
    made = small_data.make(load("ciphers", [*SMALL["ciphers"], f"seeds=[{seed}]"]), tmp_path)
    programs = read_programs(made.pop("programs") / "programs.jsonl")
    lines = [line for f in made.values() for line in (f / "documents.jsonl").read_bytes().splitlines()]
    assert any(b"join(" in line.rpartition(b"completion")[2] for line in lines)
    assert list(leaks(programs, lines)) == []
    row = next(
        r for r in map(json.loads, lines) if r["group"] == "source_only" and r["kind"] == "declaration"
    )
    told = row | {"completion": row["completion"] + "\nThe answer is 'abc'"}
    assert list(leaks(programs, [json.dumps(told).encode()]))
