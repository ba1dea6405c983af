"""Every phrasing renders, shows the program as it is, and can be read back by the parser of answers."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from pbb.documents.render import (
    ASKS,
    Representation,
    Templates,
    answer,
    declaration,
    declared,
    execution,
    part,
    path,
    prompt,
    question,
    templates,
    trace_text,
)
from pbb.errors import PbbError
from pbb.evaluation.answer import parse
from pbb.evaluation.ask import recited
from pbb.programs.program import Example, Program, TraceStep

Refused = Callable[..., AbstractContextManager[None]]
T = templates("arithmetic")
BOTH: tuple[Representation, ...] = ("source", "prose")
INSTRUCTIONS = ("source", "prose", "part", "test", *ASKS)


def rng() -> random.Random:
    return random.Random(0)


def single(pointer: int = 0, instruction: int = 0, response: int = 0) -> Templates:
    """Only one phrasing of each list."""
    return Templates(
        pointers=[T.pointers[pointer]],
        instructions={k: [v[instruction]] for k, v in T.instructions.items()},
        openings=[T.openings[response]],
        closings=[T.closings[response]],
        tails=[T.tails[response]],
    )


def test_there_are_at_least_twenty_phrasings_of_prompts_and_responses() -> None:
    for phrasings in (T.pointers, T.openings, T.closings, T.tails):
        assert len(phrasings) == len(set(phrasings)) >= 20
    assert set(T.instructions) == set(INSTRUCTIONS)
    assert len(T.openings) == len(T.closings) == len(T.tails)
    for phrasings in T.instructions.values():
        assert len(phrasings) == len(set(phrasings)) >= 4


def test_no_two_instructions_of_different_kinds_are_the_same() -> None:
    listed = [words for phrasings in T.instructions.values() for words in phrasings]
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize("pointer", range(len(T.pointers)))
@pytest.mark.parametrize("kind", INSTRUCTIONS)
def test_every_prompt_renders(kind: str, pointer: int) -> None:
    for instruction in range(len(T.instructions[kind])):
        text = prompt(single(pointer, instruction), rng(), "Zibdax(7)", kind, k=2)
        assert text.count("Zibdax(7)") == 1
        assert ("2" in text) == (kind in ("part", "test"))
        assert not re.search(r"[{}\n]|^\s|\s$|  ", text)


@pytest.mark.parametrize("response", range(len(T.openings)))
@pytest.mark.parametrize("representation", BOTH)
def test_a_declaration_holds_the_exact_program(
    representation: Representation, response: int, programs: list[Program]
) -> None:
    for p in programs:
        d = declaration(p, single(response=response), rng(), representation)
        whole = p.source if representation == "source" else p.prose
        assert d.completion == T.openings[response] + (whole or "").rstrip("\n")
        assert (d.kind, d.program, d.group, d.ask) == ("declaration", p.name, p.group, None)
        assert f"{p.name}(x)" in d.prompt and "def " not in d.prompt
        if representation == "source":
            assert recited(d.completion) + "\n" == p.source


def test_parts_are_the_numbered_statements(programs: list[Program]) -> None:
    for p in programs:
        seen = set()
        for seed in range(25):
            d = part(p, T, random.Random(seed))
            (number,) = re.findall(r"\d+", d.prompt)
            assert d.completion == p.statements[int(number) - 1]
            assert (d.kind, d.ask) == ("declaration", "part")
            seen.add(int(number))
        assert seen == set(range(1, len(p.statements) + 1))


@pytest.mark.parametrize("response", range(len(T.openings)))
@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("representation", BOTH)
def test_every_answer_is_read_as_the_output(
    representation: Representation, ask: str, response: int, programs: list[Program]
) -> None:
    for p in programs:
        for e in p.examples:
            text = answer(p, e, ask, single(response=response), rng(), representation)  # type: ignore[arg-type]
            read = parse(text, cot=ask != "direct")
            assert (read.value, read.reason) == (e.output, None), text
            if ask == "recite" and representation == "source":
                assert recited(text) + "\n" == p.source


@pytest.mark.parametrize("response", range(len(T.openings)))
@pytest.mark.parametrize(
    "value", [0, -7, -199, 10**12, True, None, 0.5, -1e-7, "a b", "it's.", "", [1, -2], {"a": [1]}, []]
)
def test_every_kind_of_value_is_read_again(value: object, response: int, programs: list[Program]) -> None:
    step = TraceStep(line=1, target="a", expression="1 + 1", value=2)
    e = Example(args=[1], output=value, split="test", trace=[step])
    for ask in ASKS:
        text = answer(programs[0], e, ask, single(response=response), rng())
        read = parse(text, cot=ask != "direct")
        assert (read.value, read.reason) == (value, None), text


def test_a_trace_shows_each_step_and_where_a_branch_went() -> None:
    steps = [
        TraceStep(line=1, target="a", expression="7 * 3", value=21),
        TraceStep(line=2, target="b", expression="min(21, 12)", value=12, test="21 > 40", outcome=False),
        TraceStep(line=3, target="c", expression="12", value=12),
        TraceStep(line=3, target="c", expression="12 - -4", value=16),
    ]
    assert trace_text(steps) == (
        "a = 7 * 3 = 21\n21 > 40 False: b = min(21, 12) = 12\nc = 12\nc = 12 - -4 = 16"
    )


def test_the_documents_of_the_docstring() -> None:
    p = Program.model_validate(
        {
            "name": "Zibdax",
            "entry": "Zibdax",
            "source": "def Zibdax(x):\n    a = x * 3\n    return a\n",
            "statements": ["a = x * 3"],
            "family": "arithmetic",
            "group": "io",
            "examples": [
                {
                    "args": [7],
                    "output": 21,
                    "split": "train",
                    "trace": [{"line": 1, "target": "a", "expression": "7 * 3", "value": 21}],
                }
            ],
            "facts": {"length": 1},
        }
    )
    d = execution(p, p.examples[0], "recite", single(pointer=5), rng())
    assert d.prompt == "Tell me Zibdax(7). Source, then steps."
    assert d.completion == "def Zibdax(x):\n    a = x * 3\n    return a\na = 7 * 3 = 21\nAnswer: 21"
    assert part(p, single(pointer=3), rng()).prompt == "Compute Zibdax(x). Only step 1."


def test_only_a_question_in_context_shows_the_program(programs: list[Program]) -> None:
    for p in programs:
        e = p.examples[0]
        for ask in ASKS:
            d = execution(p, e, ask, T, rng())
            assert "def " not in d.prompt and "\n" not in d.prompt and e.call(p.name) in d.prompt
            assert (d.kind, d.ask) == ("execution", ask)
            for context in BOTH:
                above, _, asked = question(p, e, ask, T, rng(), context).rpartition("\n")
                assert above == declared(p, context)
                assert asked == question(p, e, ask, T, rng())


def test_phrasings_are_drawn_by_the_callers_stream(programs: list[Program]) -> None:
    p = programs[0]
    first = [declaration(p, T, random.Random(seed)) for seed in range(200)]
    assert first == [declaration(p, T, random.Random(seed)) for seed in range(200)]
    assert len({d.prompt for d in first}) > 40
    assert len({d.completion for d in first}) == 20


def test_the_augmentation_dial_cuts_the_lists() -> None:
    one = T.cut(prompt=1, response=1)
    assert (one.pointers, one.openings, one.tails) == (T.pointers[:1], T.openings[:1], T.tails[:1])
    assert T.cut(prompt=1, response=2).closings == T.closings[:2]
    assert all(len(phrasings) == 1 for phrasings in one.instructions.values())
    assert T.cut(len(T.pointers), len(T.openings)) == T


@pytest.mark.parametrize(("asked", "response"), [(0, 1), (1, 0), (21, 1), (1, 21), (-1, 5)])
def test_more_phrasings_than_there_are_is_refused(asked: int, response: int, refused: Refused) -> None:
    with refused("templates", str(asked), str(response)):
        T.cut(asked, response)


def test_what_cannot_be_rendered_is_refused(programs: list[Program], refused: Refused) -> None:
    with refused("no templates", "knitting"):
        templates("knitting")
    bare = programs[0].model_copy(update={"prose": None})
    with refused(bare.name, "no prose"):
        declaration(bare, T, rng(), "prose")
    untraced = Example(args=[1], output=2, split="test")
    assert parse(answer(bare, untraced, "direct", T, rng()), cot=False).value == 2
    assert answer(bare, untraced, "recite", single(), rng()) == bare.source + "Answer: 2"
    with refused(bare.name, "no traces"):
        answer(bare, untraced, "trace", T, rng())


def test_a_path_is_the_trace_with_variables_in_place_of_values(programs: list[Program]) -> None:
    """Every path is one that some input takes or could take, and each trace, its numbers taken out, is among the paths."""
    for p in programs:
        drawn = {path(p, single(), random.Random(i)).completion for i in range(60)}
        assert len(drawn) == 2**p.facts.branches
        assert not any(p.name in text for text in drawn)
        for e in p.examples:
            assert e.trace is not None
            shapes = set()
            for text in drawn:
                *rows, last = text.split("\n")
                assert last == T.closings[0].format(answer=p.source.split()[-1])
                shapes.add("\n".join(re.sub(r" = .*", "", row.split(": ")[-1]) for row in rows))
            rows = [re.sub(r" = .*", "", row.split(": ")[-1]) for row in trace_text(e.trace).split("\n")]
            assert "\n".join(rows) in shapes
            outcomes = re.findall(r"True|False", trace_text(e.trace))
            assert any(re.findall(r"True|False", text) == outcomes for text in drawn)


def test_a_path_without_paths_is_refused(programs: list[Program], refused: Refused) -> None:
    with refused("has no paths"):
        path(programs[0].model_copy(update={"paths": []}), T, rng())


def test_a_composite_is_declared_alone_and_recited_with_its_parts(composed: list[Program]) -> None:
    for p in (p for p in composed if p.needs):
        e = p.examples[0]
        if p.only_named:
            for show in (declaration, path):
                with pytest.raises(PbbError, match=p.name):
                    show(p, T, rng())
        else:
            d = declaration(p, single(), rng())
            assert d.completion == T.openings[0] + p.source.rstrip("\n")
            assert path(p, single(), rng()).completion.split("\n")[:2] == [way[0] for way in p.paths]
        listing = "\n".join(q.source.rstrip("\n") for q in ([] if p.only_named else [p]) + p.parts)
        text = answer(p, e, "recite", single(), rng())
        assert (
            text.startswith(T.openings[0] + listing + "\n")
            and recited(text, listing.count("def ")) == listing
        )
        assert text.endswith(answer(p, e, "trace", single(), rng()))
        assert parse(text, cot=True).value == e.output
        assert question(p, e, "trace", single(), rng(), "source").startswith(listing + "\n")
        asked = question(p, e, "trace", single(), rng())
        assert (f"{p.needs[1]}({p.needs[0]}({e.args[0]}))" in asked) is p.only_named
        assert (p.entry in asked) is not p.only_named
        prose = answer(p, e, "recite", single(), rng(), "prose")
        assert all(f"{q.entry}: {q.prose}" in prose for q in p.parts)


@pytest.mark.parametrize(
    ("key", "text"),
    [("pointers", "{"), ("pointers", "Run {0}."), ("pointers", "{call.__class__}"), ("closings", "{answer:9999999}"), ("closings", "{call}"),
     ("closings", "{answer!r}"), ("instructions", "Step {k[0]}.")],
)  # fmt: skip
def test_braces_of_phrasings_hold_fields_and_nothing_else(key: str, text: str) -> None:
    good = templates("arithmetic").model_dump()
    worse = good | {key: {"direct": [text]} if key == "instructions" else [text]}
    with pytest.raises(ValueError, match=key if text != "{" else "Single"):
        Templates.model_validate(worse)
    assert Templates.model_validate(good | {"openings": ["{"], "tails": ["}"]}).openings == ["{"]
