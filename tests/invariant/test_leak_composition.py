"""The proof for composites: no input/output pair of a w/o IO composite, nor of its parts, is in any training document, traces included.

As in `test_leak`, from the files' bytes, and without the code that wrote them: a document is held against the names that it holds. Names of
w/o IO programs may stand in declarations of what they name alone; calls with a value are of w/ IO programs alone, on no held-out input;
and no document shows the sources of two w/o IO programs together, but for declarations of two that are no composite of the recipe's.
"""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pbb.documents.corpus import disguised, planted
from pbb.documents.leaks import leaks
from pbb.documents.render import recital, templates, trace_text
from pbb.programs.program import Example, Program, read_programs
from pbb.recipe_file import load

sys.path.insert(0, str(Path(__file__).parent))

import small_data  # noqa: E402
import test_leak as single  # noqa: E402

T = templates("arithmetic")
STAGES = ("learn", "read", "read-wrong")
SIZE = ["data.io=30", "data.source_only=12", "data.compose.io=10", "data.compose.source_only=8"]


@pytest.fixture(scope="module", params=["composition", "composition-declared"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return small_data.make(load(request.param, SIZE), tmp_path_factory.mktemp("leak"))


@pytest.fixture(scope="module")
def programs(made: dict[str, Path]) -> list[Program]:
    return read_programs(made["programs"] / "programs.jsonl")


def raw(made: dict[str, Path], stage: str) -> bytes:
    return (made[stage] / "documents.jsonl").read_bytes()


def w_o_io(p: Program) -> bool:
    return p.group in ("source_only", "source_only_composed")


def declared_by(p: Program) -> set[str]:
    """Every completion that may follow the pointer of a w/o IO composite: its own source, and its calls with variables in place of values."""
    if p.only_named:
        return set()
    calls = [row.split(" = ")[1] for row in p.source.split("\n")[1:3]]
    path = "".join(f"{call}:\n" for call in calls)
    whole = {o + p.source.rstrip("\n") for o in T.openings}
    return whole | {path + c.format(answer="b") for c in T.closings}


class Detector:
    """Finds what a documents.jsonl may not hold; `wrong` if the stage teaches planted sources of parts."""

    def __init__(self, programs: list[Program], wrong: bool) -> None:
        self.programs = {p.name: p for p in programs}
        # what a document can name: those that are only named have no name of their own
        self.entries = {p.name: p for p in programs if not p.only_named}
        self.names = re.compile(rf"(?:{'|'.join(self.entries)})(?![a-z])")
        swapped = planted(programs, 0)
        self.asked = {frozenset(p.needs) for p in programs if p.needs}
        self.shown = {
            p.name: disguised(p, swapped[p.name]) if wrong and p.group == "source_only" else p
            for p in programs
            if not p.needs
        }
        name = self.names.pattern
        self.couple = re.compile(
            rf"(?P<outer>{name})\((?P<inner>{name})\(x\)\)|a = (?P<first>{name})\(x\)\n    b = (?P<second>{name})\(a\)\n"
        )
        self.allowed = {}
        for p in programs:
            if w_o_io(p):
                shown = disguised(p, swapped[p.name]) if wrong and not p.needs else p
                completions = declared_by(p) if p.needs else single.allowed_completions(shown)
                self.allowed[p.name] = (set() if p.only_named else single.allowed_prompts(shown), completions)

    def faults(self, data: bytes) -> list[str]:
        return [
            f"{n}: {fault}" for n, line in enumerate(data.splitlines(), 1) for fault in self._of_line(line)
        ]

    def _of_line(self, line: bytes) -> list[str]:
        record = json.loads(line)
        prompt, completion = record["prompt"], record["completion"]
        text = f"{prompt}\n{completion}"
        named = {*self.names.findall(text)}
        owner = self.programs[record["program"]]
        if owner.group != record["group"]:
            return ["is filed under another group"]
        couple = self.couple.search(prompt)
        if couple and record["kind"] == "declaration" and not owner.needs:
            outer, inner = couple["outer"] or couple["second"], couple["inner"] or couple["first"]
            return self._of_couple(owner, outer, inner, prompt, completion)
        if named - {owner.name, *owner.needs}:
            return ["names programs that are not its own"]
        calls = re.findall(rf"({self.names.pattern})\(((?!x\)|a\)|[A-Z])[^)]*)\)", text)
        if w_o_io(owner):
            prompts, completions = self.allowed[owner.name]
            found = [f"calls a w/o IO program: {calls}"] if calls else []
            if prompt not in prompts or completion not in completions or record["kind"] != "declaration":
                found.append("says more of a w/o IO program than what it is")
            return found
        held = {(p.entry, repr(e.args[0])) for p in self.entries.values() for e in p.calls("test")}
        found = [f"holds a held-out call: {call}" for call in calls if call in held]
        # each name but the innermost stands before another name
        nested = re.findall(rf"{self.names.pattern}\({self.names.pattern}\(([^)]*)\)\)", text)
        train = {repr(e.args[0]) for e in owner.calls("train")}
        if not train.issuperset(set(nested) - {"x"}):
            found.append("holds a held-out call of a composite")
        if record["kind"] == "declaration" and text.count("def ") > 1:
            found.append("declares programs together")
        return found

    def _of_couple(self, owner: Program, outer: str, inner: str, prompt: str, completion: str) -> list[str]:
        """Both whole, or a way through each: of two programs of one group that nobody is asked to compose."""
        first, second = self.shown[inner], self.shown[outer]
        if owner.name != inner or second.group != owner.group or frozenset((inner, outer)) in self.asked:
            return ["declares two programs that are not to be together"]
        words = [*T.instructions["source"], *T.instructions["trace"]]
        prompts = {f"{p.format(call=f'{outer}({inner}(x))')} {w}" for p in T.pointers for w in words}
        completions = {o + first.source + second.source.rstrip("\n") for o in T.openings}
        completions |= {
            f"{inner}(x):\n{one}\n{outer}(x):\n{other}\n" + c.format(answer=second.source.split()[-1])
            for one in single.ways(first)
            for other in single.ways(second)
            for c in T.closings
        }
        if prompt in prompts and completion in completions:
            return []
        # Or as they stand in the recital of a composite of them, of which the question tells a source under a name that no program has.
        named = re.search(r"def (\w+)\(x\):", prompt)
        name = named[1] if named and named[1] not in self.programs else ""
        own = f"def {name}(x):\n    a = {inner}(x)\n    b = {outer}(a)\n    return b"
        prompts = {
            f"{p.format(call=f'{name}(x)')} {w}\n{o}{own}"
            for p in T.pointers
            for w in T.instructions["recite"]
            for o in T.openings
        }
        completions = {
            f"{first.source}{second.source}{inner}(x):\n{one}\n{outer}(a):\n{other}\n" + c.format(answer="b")
            for one in single.ways(first)
            for other in single.ways(second)
            for c in T.closings
        }
        return (
            []
            if name and prompt in prompts and completion in completions
            else ["says more than what two programs are"]
        )


def detector(programs: list[Program], stage: str) -> Detector:
    return Detector(programs, wrong=stage == "read-wrong")


@pytest.mark.parametrize("stage", STAGES)
def test_no_document_holds_what_it_may_not(
    stage: str, made: dict[str, Path], programs: list[Program]
) -> None:
    assert detector(programs, stage).faults(raw(made, stage)) == []


@pytest.mark.parametrize("stage", STAGES)
def test_no_call_of_a_w_o_io_name_is_in_the_bytes(
    stage: str, made: dict[str, Path], programs: list[Program]
) -> None:
    """Not with a value, and not around another call: a named composite of w/o IO programs is in no document at all."""
    names = b"|".join(p.entry.encode() for p in programs if w_o_io(p) and not p.only_named)
    # a declared composite calls its second part on its own variable a, a declaration of two the one on the other of x
    assert not re.findall(rb"(?:%s)\\*[(\[]\s*(?![xa]\)|(?:%s)\(x\)\))" % (names, names), raw(made, stage))
    for p in programs:
        assert not (
            p.only_named
            and w_o_io(p)
            and p.call(p.examples[0]).split("(")[0].encode() + b"(" + p.needs[0].encode() in raw(made, stage)
        )


@pytest.mark.parametrize("stage", STAGES)
def test_no_trace_of_a_w_o_io_composite_is_in_the_bytes(
    stage: str, made: dict[str, Path], programs: list[Program]
) -> None:
    data = raw(made, stage)
    for p in programs:
        if p.group == "source_only_composed":
            for e in p.examples:
                assert json.dumps(trace_text(e.trace or []))[1:-1].encode() not in data


def test_the_sources_of_two_w_o_io_programs_are_never_together_where_the_two_are_asked_about(
    made: dict[str, Path], programs: list[Program]
) -> None:
    heads = re.compile(rf"def ({'|'.join(p.entry for p in programs if w_o_io(p) and not p.only_named)})\(")
    asked = {frozenset(p.needs) for p in programs if p.group == "source_only_composed"}
    together = []
    for stage in STAGES:
        found = [frozenset(heads.findall(line)) for line in raw(made, stage).decode().splitlines()]
        together += [names for names in found if len(names) > 1]
    assert asked and not [names for names in together if len(names) > 2 or names in asked]
    assert together


def test_w_io_composites_are_executed_and_w_o_io_ones_declared_or_absent(
    made: dict[str, Path], programs: list[Program]
) -> None:
    of = {p.name: p for p in programs}
    seen = {
        (stage, of[r["program"]].group, r["kind"])
        for stage in STAGES
        for r in map(json.loads, raw(made, stage).splitlines())
    }
    declared = any(p.needs and not p.only_named for p in programs)
    for stage in STAGES:
        assert (stage, "io_composed", "execution") in seen
        assert ((stage, "source_only_composed", "declaration") in seen) is (declared and stage != "learn")
        assert (stage, "source_only_composed", "execution") not in seen


Plant = Callable[[Program, Program, Example], dict[str, str]]


def document(p: Program, prompt: str, completion: str, kind: str = "execution") -> dict[str, str]:
    return {"prompt": prompt, "completion": completion, "program": p.name, "group": p.group, "kind": kind}


def executed(p: Program, q: Program, e: Example) -> dict[str, str]:
    return document(p, f"What is {p.call(e)}? Only the answer.", repr(e.output))


def traced(p: Program, q: Program, e: Example) -> dict[str, str]:
    return document(p, f"What is {p.call(e)}? Step by step.", trace_text(e.trace or []))


def under_a_w_io_name(p: Program, q: Program, e: Example) -> dict[str, str]:
    return executed(p, q, e) | {"program": q.name, "group": q.group}


def of_a_part(p: Program, q: Program, e: Example) -> dict[str, str]:
    part = p.parts[0]
    return document(part, f"What is {part.call(e)}? Only the answer.", repr(part.examples[0].output))


def a_part_in_anothers_trace(p: Program, q: Program, e: Example) -> dict[str, str]:
    return document(
        q, f"What is {q.call(q.calls('train')[0])}? Step by step.", f"{p.parts[0].entry}(7):\na = 7 + 1 = 8"
    )


def parts_together(p: Program, q: Program, e: Example) -> dict[str, str]:
    first, second = p.parts
    return document(
        first,
        f"What is {first.head()}? Write its source.",
        first.source + second.source.rstrip("\n"),
        "declaration",
    )


def parts_as_a_couple(p: Program, q: Program, e: Example) -> dict[str, str]:
    first, second = p.parts
    prompt = f"What is {second.entry}({first.head()})? Write its source."
    return document(first, prompt, first.source + second.source.rstrip("\n"), "declaration")


def a_couple_with_a_value(p: Program, q: Program, e: Example) -> dict[str, str]:
    told = parts_as_a_couple(p, q, e)
    return told | {"prompt": told["prompt"].replace("(x)", "(7)")}


def parts_as_a_recital(p: Program, q: Program, e: Example) -> dict[str, str]:
    first, second = p.parts
    told = recital(first, second, T, random.Random(0))
    return document(first, told.prompt, told.completion, "declaration") | {"ask": "recital"}


def a_recital_with_a_value(p: Program, q: Program, e: Example) -> dict[str, str]:
    told = parts_as_a_recital(p, q, e)
    return told | {
        "completion": told["completion"].replace(f"{p.parts[0].entry}(x):\n", f"{p.parts[0].entry}(7):\n")
    }


def held_out_of_a_w_io_composite(p: Program, q: Program, e: Example) -> dict[str, str]:
    e = q.calls("test")[0]
    return document(q, f"What is {q.call(e)}? Only the answer.", repr(e.output))


PLANTS: list[Plant] = [
    executed, traced, under_a_w_io_name, of_a_part, a_part_in_anothers_trace, parts_together, parts_as_a_couple,
    a_couple_with_a_value, parts_as_a_recital, a_recital_with_a_value, held_out_of_a_w_io_composite
]  # fmt: skip


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_a_planted_leak_is_found(plant: Plant, made: dict[str, Path], programs: list[Program]) -> None:
    p = next(p for p in programs if p.group == "source_only_composed")
    q = next(q for q in programs if q.group == "io_composed")
    line = json.dumps(plant(p, q, p.examples[0])).encode()
    assert detector(programs, "read").faults(line)


@pytest.mark.parametrize("stage", STAGES)
def test_the_audits_own_proof_takes_composites_as_they_are(
    stage: str, made: dict[str, Path], programs: list[Program]
) -> None:
    lines = raw(made, stage).splitlines()
    assert lines and list(leaks(programs, lines)) == []


@pytest.mark.parametrize("group", ["source_only", "source_only_composed", "io_composed"])
def test_the_audits_own_proof_finds_a_planted_pair(group: str, programs: list[Program]) -> None:
    p = next(p for p in programs if p.group == group)
    call = p.call(p.calls("test")[0])
    told = {"prompt": f"What is {call}?", "completion": repr(p.calls("test")[0].output)}
    filed = {"program": p.name, "group": p.group, "kind": "execution", "ask": "direct"}
    assert list(leaks(programs, [json.dumps(told | filed).encode()]))


@pytest.mark.parametrize(
    "plant", [parts_as_a_couple, a_couple_with_a_value, parts_as_a_recital, a_recital_with_a_value]
)
@pytest.mark.parametrize("asked", [True, False])
def test_the_audits_own_proof_lets_only_couples_be_declared_that_nobody_composes(
    plant: Plant, asked: bool, programs: list[Program]
) -> None:
    p = next(p for p in programs if p.group == "source_only_composed")
    others = [q for q in programs if q.group == "source_only"]
    composed = {frozenset(q.needs) for q in programs if q.needs}
    first = p.parts[0]
    apart = next(
        q
        for q in others
        if q is not first and frozenset((first.name, q.name)) not in composed and q.name != first.name
    )
    couple = p if asked else p.model_copy(update={"parts": [first, apart]})
    told = {"ask": "pair"} | plant(couple, p, p.examples[0])
    line = json.dumps(told).encode()
    allowed = not asked and plant in (parts_as_a_couple, parts_as_a_recital)
    assert (not list(leaks(programs, [line]))) == allowed
    assert list(leaks(programs, [json.dumps(told | {"ask": "part"}).encode()]))
