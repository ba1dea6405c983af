"""The proof that no input/output pair of a w/o IO program is in any training document, from the files' bytes.

`faults` reads a documents.jsonl as bytes and knows the programs and the phrasings, but not the code that wrote the file. What it allows a
document to say of a w/o IO program can be listed: a pointer with `Name(x)`, and the program itself. The second half
plants leaks, one of each sort, and holds `faults` to finding them.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pbb.documents.corpus import disguised, planted
from pbb.documents.render import templates
from pbb.programs.program import Program, read_programs
from pbb.programs.sandbox import Worker
from pbb.recipe_file import load

sys.path.insert(0, str(Path(__file__).parent))

import small_data  # noqa: E402

T = templates("arithmetic")
STAGES = ("learn", "read", "read-wrong", "together")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    recipe = load("arithmetic", ["data.io=60", "data.source_only=20"])
    return small_data.make(recipe, tmp_path_factory.mktemp("leak"))


@pytest.fixture(scope="module")
def programs(made: dict[str, Path]) -> list[Program]:
    return read_programs(made["programs"] / "programs.jsonl")


def allowed_prompts(p: Program) -> set[str]:
    """Every prompt that may name a w/o IO program."""
    words = [*T.instructions["source"], *T.instructions["prose"], *T.instructions["trace"]]
    words += [w.format(k=k) for w in T.instructions["part"] for k in range(1, len(p.statements) + 1)]
    return {f"{pointer.format(call=f'{p.name}(x)')} {w}" for pointer in T.pointers for w in words}


def allowed_completions(p: Program) -> set[str]:
    """Every completion that may follow: the program, whole, one statement of it, or one way through it."""
    whole = {o + text for o in T.openings for text in (p.source.rstrip("\n"), str(p.prose))}
    result = p.source.split()[-1]
    ends = [c.format(answer=result) for c in T.closings]
    return whole | set(p.statements) | {f"{way}\n{end}" for way in ways(p) for end in ends}


def ways(p: Program) -> list[str]:
    """Every way through the source, read off the source's own rows: no variable has a value but the counter of a loop."""
    found = [""]
    rows = p.source.rstrip("\n").split("\n")[1:-1]
    while rows:
        row = rows.pop(0).strip()
        if row.startswith("if "):
            then, _, other = (rows.pop(0).strip() for _ in range(3))
            found = [f"{w}{row[3:-1]} {o}: {a}\n" for w in found for o, a in ((True, then), (False, other))]
        elif row.startswith("for "):
            count, body = int(re.findall(r"\d+", row)[0]), rows.pop(0).strip()
            rounds = "".join(re.sub(r"\bi\b", str(i), body) + "\n" for i in range(count))
            found = [w + rounds for w in found]
        else:
            found = [f"{w}{row}\n" for w in found]
    return [w.rstrip("\n") for w in found]


class Detector:
    """Finds what a documents.jsonl may not hold; `wrong` if the stage teaches planted sources."""

    def __init__(self, programs: list[Program], wrong: bool) -> None:
        self.programs = {p.name: p for p in programs}
        swapped = planted(programs, 0)
        shown = {
            p.name: disguised(p, swapped[p.name]) if wrong else p
            for p in programs
            if p.group == "source_only"
        }
        self.prompts = {name: allowed_prompts(p) for name, p in shown.items()}
        self.completions = {name: allowed_completions(p) for name, p in shown.items()}
        # Names begin with a capital, so whatever stands before one ("\\n" in raw JSON, say) does not hide it.
        self.names = re.compile(rf"(?:{'|'.join(self.programs)})(?![a-z])")

    def faults(self, raw: bytes) -> list[str]:
        found = []
        for number, line in enumerate(raw.splitlines(), 1):
            found += [f"{number}: {fault}" for fault in self._of_line(line)]
        return found

    def _of_line(self, line: bytes) -> list[str]:
        record = json.loads(line)
        prompt, completion = record.pop("prompt"), record.pop("completion")
        text = f"{prompt}\n{completion}"
        beside = json.dumps({k: v for k, v in record.items() if k != "program"})
        named = {*self.names.findall(text), *self.names.findall(line.decode("latin-1"))}
        if len(named) != 1:
            return [f"names {len(named)} programs"]
        (name,) = named
        p = self.programs[name]
        found = []
        if (record["program"], record["group"]) != (p.name, p.group) or self.names.search(beside):
            found.append("is filed under another program")
        if text.count("def ") > 1 or len(re.findall(rf"{name}\(x\)", text)) > 2:
            found.append("declares a program twice")
        calls = re.findall(rf"{name}\(((?!x\))[^)]*)\)", text)
        raw_calls = re.findall(rf"{name}\(((?!x\))[^)]*)\)".encode(), line)
        if len(calls) != len(raw_calls):
            found.append("hides a call behind an escape")
        if p.group == "source_only":
            if calls or raw_calls:
                found.append(f"calls a w/o IO program: {calls}")
            if prompt not in self.prompts[name] or record["kind"] != "declaration":
                found.append("asks more of a w/o IO program than what it is")
            if completion not in self.completions[name]:
                found.append("says more of a w/o IO program than what it is")
        else:
            train = {repr(e.args[0]) for e in p.calls("train")}
            if not train.issuperset(calls):
                found.append("calls a w/ IO program on an input that is not for training")
        return found


def raw(made: dict[str, Path], stage: str) -> bytes:
    return (made[stage] / "documents.jsonl").read_bytes()


def detector(programs: list[Program], stage: str) -> Detector:
    return Detector(programs, wrong=stage == "read-wrong")


def test_every_stage_of_the_recipe_is_here(made: dict[str, Path], programs: list[Program]) -> None:
    assert set(made) == {"programs", *STAGES}
    w_o_io = [p.name for p in programs if p.group == "source_only"]
    assert len(w_o_io) == 20 and len(programs) == 80
    for stage in STAGES:
        named = [name for name in w_o_io if name.encode() in raw(made, stage)]
        assert named == ([] if stage == "learn" else w_o_io)
    assert len(raw(made, "together").splitlines()) == sum(
        len(raw(made, stage).splitlines()) for stage in ("learn", "read")
    )


@pytest.mark.parametrize("stage", STAGES)
def test_no_document_holds_what_it_may_not(
    stage: str, made: dict[str, Path], programs: list[Program]
) -> None:
    assert detector(programs, stage).faults(raw(made, stage)) == []


@pytest.mark.parametrize("stage", STAGES)
def test_no_call_of_a_w_o_io_program_is_in_the_bytes(
    stage: str, made: dict[str, Path], programs: list[Program]
) -> None:
    names = b"|".join(p.name.encode() for p in programs if p.group == "source_only")
    assert not re.findall(rb"(?:%s)\\*[(\[]\s*[^x\s]" % names, raw(made, stage))


@pytest.mark.parametrize("stage", STAGES)
def test_no_held_out_call_of_a_w_io_program_is_in_the_bytes(
    stage: str, made: dict[str, Path], programs: list[Program]
) -> None:
    held_out = {e.call(p.name).encode() for p in programs if p.group == "io" for e in p.calls("test")}
    calls = set(re.findall(rb"[A-Z][a-z]+\(-?\d+\)", raw(made, stage)))
    assert calls and not calls & held_out


def test_a_trace_of_a_w_o_io_program_is_in_no_document(
    made: dict[str, Path], programs: list[Program]
) -> None:
    """Also with its name taken off: a row such as `a = 7 * 3 = 21` beside a w/o IO program's own, or a result that is a number.

    Of what looks like a trace every right-hand side, test and answer must still hold a variable where a trace has its value.
    """
    own = {p.name: p for p in programs}
    for stage in STAGES:
        for line in raw(made, stage).splitlines():
            record = json.loads(line)
            if own[record["program"]].group == "source_only":
                text = record["completion"]
                assert all(row.split(": ")[-1].count(" = ") <= 1 for row in text.split("\n")), text
                for right in re.findall(r"^ *(?:.*: )?[a-h] = (.*)$", text, re.MULTILINE):
                    assert re.match(r"(?:abs\(|min\(|max\()?[a-hx]\b", right), text
                for test in re.findall(r"^(.*) (?:True|False):", text, re.MULTILINE):
                    assert re.match(r"[a-hx]\b", test), text
                answers = re.findall(r"(?:[Aa]nswer(?: is|:)|[Rr]eturns) (.*)$", text)
                assert all(re.fullmatch(r"[a-h]", a) for a in answers), text


Plant = Callable[[Program, Program, dict[str, Program]], dict[str, Any] | bytes]


def document(p: Program, prompt: str, completion: str, **changes: object) -> dict[str, Any]:
    record = {"prompt": prompt, "completion": completion, "program": p.name, "group": p.group}
    return record | {"kind": "declaration"} | changes


def source(p: Program) -> str:
    return p.source.rstrip("\n")


def executed(p: Program, q: Program, swapped: dict[str, Program]) -> dict[str, Any]:
    e = p.calls("test")[0]
    return document(p, f"What is {e.call(p.name)}? Only the answer.", repr(e.output), kind="execution")


def relabelled(p: Program, q: Program, swapped: dict[str, Program]) -> dict[str, Any]:
    return executed(p, q, swapped) | {"program": q.name, "group": q.group}


def at_the_end(p: Program, q: Program, swapped: dict[str, Program]) -> dict[str, Any]:
    e = p.calls("train")[0]
    return document(
        p, f"What is {p.name}(x)? Write its source.", f"{source(p)}\n# {e.args[0]} gives {e.output}"
    )


def only_a_trace(p: Program, q: Program, swapped: dict[str, Program]) -> dict[str, Any]:
    return document(p, f"What is {p.name}(x)? Write its source.", "a = 7 * 3 = 21")


def a_path_with_its_value(p: Program, q: Program, swapped: dict[str, Program]) -> dict[str, Any]:
    return document(p, f"What is {p.name}(x)? Trace it.", f"{ways(p)[0]} = 21\nAnswer: a")


def a_path_with_its_answer(p: Program, q: Program, swapped: dict[str, Program]) -> dict[str, Any]:
    return document(p, f"What is {p.name}(x)? Trace it.", f"{ways(p)[0]}\nAnswer: {p.examples[0].output}")


def a_path_of_another(p: Program, q: Program, swapped: dict[str, Program]) -> dict[str, Any]:
    return document(p, f"What is {p.name}(x)? Trace it.", f"{ways(q)[0]}\nAnswer: {q.source.split()[-1]}")


def in_the_prompt(p: Program, q: Program, swapped: dict[str, Program]) -> dict[str, Any]:
    return document(p, f"7 gives 21. What is {p.name}(x)? Write its source.", source(p))


def in_anothers_document(p: Program, q: Program, swapped: dict[str, Program]) -> dict[str, Any]:
    return document(q, f"What is {q.name}(x)? Write its source.", f"{source(q)}\n{p.name} makes 21 of 7")


def without_a_name(p: Program, q: Program, swapped: dict[str, Program]) -> dict[str, Any]:
    return document(p, "What does the function that you know make of 7?", "21")


def behind_an_escape(p: Program, q: Program, swapped: dict[str, Program]) -> bytes:
    name = f"\\u{ord(p.name[0]):04x}{p.name[1:]}"
    line = json.dumps(document(q, f"What is {q.name}(x)? Write its source.", f"{source(q)}\nNAME(7) is 21"))
    return line.replace("NAME", name).encode()


def with_a_space(p: Program, q: Program, swapped: dict[str, Program]) -> dict[str, Any]:
    return document(p, f"What is {p.name}( 7 )? Only the answer.", "21")


def twice(p: Program, q: Program, swapped: dict[str, Program]) -> dict[str, Any]:
    return document(q, f"What is {q.name}(x)? Write its source.", f"{source(q)}\n{source(q)}")


def two_programs(p: Program, q: Program, swapped: dict[str, Program]) -> dict[str, Any]:
    return document(p, f"What is {p.name}(x)? Write its source.", f"{source(p)}\n{source(q)}")


def held_out(p: Program, q: Program, swapped: dict[str, Program]) -> dict[str, Any]:
    e = q.calls("test")[0]
    return document(q, f"What is {e.call(q.name)}? Only the answer.", repr(e.output), kind="execution")


def anothers_source(p: Program, q: Program, swapped: dict[str, Program]) -> dict[str, Any]:
    return document(p, f"What is {p.name}(x)? Write its source.", source(disguised(p, swapped[p.name])))


PLANTS: list[Plant] = [
    executed, relabelled, at_the_end, only_a_trace, a_path_with_its_value, a_path_with_its_answer,
    a_path_of_another, in_the_prompt, in_anothers_document, without_a_name,
    behind_an_escape, with_a_space, twice, two_programs, held_out, anothers_source,
]  # fmt: skip


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_a_planted_leak_is_found(plant: Plant, made: dict[str, Path], programs: list[Program]) -> None:
    p = next(p for p in programs if p.group == "source_only")
    q = next(q for q in programs if q.group == "io")
    line = plant(p, q, planted(programs, 0))
    bad = line if isinstance(line, bytes) else json.dumps(line).encode()
    whole = raw(made, "read") + bad + b"\n"
    number = len(whole.splitlines())
    found = detector(programs, "read").faults(whole)
    assert found and all(fault.startswith(f"{number}: ") for fault in found)


def test_the_true_source_is_a_leak_where_sources_are_permuted(
    made: dict[str, Path], programs: list[Program]
) -> None:
    p = next(p for p in programs if p.group == "source_only")
    line = json.dumps(document(p, f"What is {p.name}(x)? Write its source.", source(p))).encode()
    assert detector(programs, "read").faults(line) == []
    assert detector(programs, "read-wrong").faults(line) != []


def test_an_allowed_text_tells_nothing_that_running_it_would(programs: list[Program]) -> None:
    """No phrasing around a w/o IO program holds a digit but the number of a step, so no output can stand there."""
    for p in programs:
        for prompt in allowed_prompts(p):
            assert set(re.findall(r"\d+", prompt)) <= {str(k + 1) for k in range(len(p.statements))}
    assert not re.search(r"\d", "".join(T.openings))
    with Worker() as worker:
        for p in programs[:3]:  # and what is shown is the program indeed
            outcomes = worker.execute(p.source, p.entry, [e.args for e in p.examples])
            assert [o.value for o in outcomes] == [e.output for e in p.examples]
