"""`pbb ask` reads a literal call and nothing else, and answers from the run's own programs and models."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from pbb.documents.render import templates
from pbb.evaluation import inquire as module
from pbb.evaluation.inquire import inquire, read_composition
from pbb.models.decode import Generation
from pbb.programs.program import Program, write_programs

Refused = Callable[..., AbstractContextManager[None]]


@pytest.mark.parametrize(
    ("call", "read"),
    [
        ("Zibdax(7)", (["Zibdax"], [7], {})),
        ("  Zibdax( -7 )\n", (["Zibdax"], [-7], {})),
        ("f('a', [1, (2, None)], {'k': True})", (["f"], ["a", [1, (2, None)], {"k": True}], {})),
        ("f()", (["f"], [], {})),
        ("f('__import__(\"os\")')", (["f"], ['__import__("os")'], {})),
        ("scale(3, by=[4])", (["scale"], [3], {"by": [4]})),
    ],
)
def test_a_literal_call_is_read(call: str, read: tuple[list[str], list[Any], dict[str, Any]]) -> None:
    assert read_composition(call) == read


@pytest.mark.parametrize(
    "call",
    [
        "", " ", "Zibdax", "Zibdax(", "Zibdax(7", "Zibdax(7))", "7", "Zibdax(x)", "Zibdax(*[7])",
        "Zibdax(7, n=x)", "Zibdax(7, n=1, **{})", "Zibdax(7, n=f(8))",
        "Zibdax(**{})", "Zibdax(7)(8)", "Zibdax(7)\nZibdax(8)", "Zibdax(7); Zibdax(8)", "os.system('true')",
        "(lambda: 7)()", "lambda: 7", "Zibdax(lambda: 7)", "Zibdax(().__class__)",
        "Zibdax(1 + 1)", "Zibdax(9 ** 9 ** 9)", "Zibdax('a' * 9 ** 9)", "Zibdax([x for x in 'ab'])",
        "Zibdax(f'{7}')", "Zibdax(y := 7)", "Zibdax(await f())",
        "Zibdax({[]: 1})", "Zibdax({{}})", "Zibdax({[1]})", "Zib\0dax(7)", "Zibdax('\ud800')", "import os",
        "x = Zibdax(7)", "Zibdax(" + "[" * 400 + "]" * 400 + ")", "Zibdax(" + "-" * 5000 + "1)",
        "(" * 3000, "Zibdax(" + "9" * 5000 + ")", "Zibdax(" + "f(" * 150 + ")" * 150 + ")",
    ],
    ids=lambda call: ascii(call)[:30],
)  # fmt: skip
def test_anything_else_is_refused(call: str, refused: Refused) -> None:
    with refused("ask: ", "not a call", "Zibdax(7)"):
        read_composition(call)


def test_a_call_around_a_call_is_read_and_no_deeper_one(refused: Refused) -> None:
    assert read_composition(" Flurb(Zibdax('a', [1])) ") == (["Zibdax", "Flurb"], ["a", [1]], {})
    deep = "f(" * 150 + "7" + ")" * 150
    for call in (
        "h(g(f(7)))",
        "g(f(x))",
        "g(f(7), 8)",
        "g(8, f(7))",
        "g(f(7) + 1)",
        "g([f(7)])",
        "g(f(n=7))",
        "g(*f(7))",
        "(g)(f)(7)",
        deep,
    ):
        with refused("ask: ", "not a call"):
            read_composition(call)


def test_a_composition_of_known_programs_is_asked_and_nothing_else_is_run(
    finished: Path, programs: list[Program], tmp_path: Path, refused: Refused
) -> None:
    first, second = next(p for p in programs if p.group == "source_only"), programs[-1]
    call = f"{second.name}({first.examples[0].call(first.name)})"
    rows = inquire(finished / "evaluate-proactive", call)
    assert {row["group"] for row in rows} == {"source_only_composed"}
    for row in rows:
        assert call in row["prompt"] and row["source"].count("def ") == 2
    alone = inquire(finished / "evaluate-proactive", f"{second.name}({first.examples[0].output})")
    assert rows[0]["true"] == alone[0]["true"]
    witness = tmp_path / "witness"
    with refused("no program 'open'"):
        inquire(finished / "evaluate-proactive", f"{second.name}(open({str(witness)!r}, 'w'))")
    assert not witness.exists()


@pytest.fixture
def finished(
    programs: list[Program],
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """The steps of two arms; their models write `21` whatever they are asked, and `loaded` notes which was taken."""
    steps = tmp_path / "steps"
    (steps / "programs-0").mkdir(parents=True)
    write_programs(programs, steps / "programs-0" / "programs.jsonl")
    config = {
        "phrasings": "arithmetic",
        "templates": {"prompt": 20, "response": 20},
        "evaluation": {},
        "seed": 0,
    }
    for arm, more, parents in (
        ("proactive", {}, {"model": "train-1"}),
        ("untrained", {"model": "base"}, {}),
    ):
        folder = steps / f"evaluate-{arm}"
        folder.mkdir()
        record = {"config": {**config, **more, "arm": arm}, "parents": {"programs": "programs-0", **parents}}
        (folder / "inputs.json").write_text(json.dumps(record))

    def load(name: str) -> tuple[None, PreTrainedTokenizerFast]:
        (steps / "loaded").write_text(name)
        return None, tokenizer

    def decode(model: object, prompts: list[list[int]], **_: Any) -> list[Generation]:
        return [Generation(tokenizer("21\nAnswer: 21")["input_ids"], True) for _ in prompts]

    monkeypatch.setattr(module, "load", load)
    monkeypatch.setattr(module, "decode", decode)
    return steps


def test_the_answers_stand_beside_the_truth(finished: Path, programs: list[Program]) -> None:
    for p in programs[:6]:
        e = p.examples[0]
        rows = inquire(finished / "evaluate-proactive", e.call(p.name))
        assert [row["ask"] for row in rows] == ["direct", "trace", "recite"]
        for row in rows:
            assert (row["answer"], row["true"]) == ("21", repr(e.output))
            assert row["right"] is (e.output == 21)
            assert (row["group"], row["source"]) == (p.group, p.source.rstrip("\n"))
            assert row["generation"] == "21\nAnswer: 21"
            assert e.call(p.name) in row["prompt"] and "def " not in row["prompt"]
            assert row["prompt"].endswith(tuple(templates("arithmetic").instructions[row["ask"]]))
        assert inquire(finished / "evaluate-proactive", e.call(p.name)) == rows
    json.dumps(rows)


def test_it_is_asked_in_the_phrasing_of_the_evaluation(finished: Path, programs: list[Program]) -> None:
    path = finished / "evaluate-proactive" / "inputs.json"
    record = json.loads(path.read_text())
    call = f"{programs[0].name}(7)"
    for number in (1, 20):
        record["config"]["evaluation"] = {"phrasing": number}
        path.write_text(json.dumps(record))
        whole = templates("arithmetic")
        words = whole.pointers[number - 1].partition("{")[0]
        for row in inquire(finished / "evaluate-proactive", call):
            instructions = whole.instructions[row["ask"]]
            assert row["prompt"].startswith(words)
            assert row["prompt"].endswith(instructions[(number - 1) % len(instructions)])


def test_the_arms_own_model_answers(finished: Path, programs: list[Program]) -> None:
    call = f"{programs[0].name}(7)"
    inquire(finished / "evaluate-proactive", call)
    assert (finished / "loaded").read_text() == str(finished / "train-1" / "model")
    inquire(finished / "evaluate-untrained", call)
    assert (finished / "loaded").read_text() == "base"


def test_a_call_outside_the_programs_inputs_is_run_as_well(finished: Path, programs: list[Program]) -> None:
    rows = inquire(finished / "evaluate-proactive", f"{programs[0].name}(-12345)")
    assert rows[0]["true"].lstrip("-").isdigit()


def test_a_run_of_other_code_is_named(finished: Path, programs: list[Program], refused: Refused) -> None:
    path = finished / "evaluate-proactive" / "inputs.json"
    record = json.loads(path.read_text())
    del record["config"]["phrasings"]
    path.write_text(json.dumps(record))
    with refused("ask: ", "made by other code", "phrasings"):
        inquire(path.parent, f"{programs[0].name}(7)")
    assert not (finished / "loaded").exists()


def test_what_a_run_does_not_have_is_named(finished: Path, programs: list[Program], refused: Refused) -> None:
    name, evaluation = programs[0].name, finished / "evaluate-proactive"
    with refused("no program 'Nobody' in seed 0 ", "--seed", "w/o IO programs are"):
        inquire(evaluation, "Nobody(7)")
    for call in (f"{name}()", f"{name}(7, 8)", f"{name}(None)", f"{name}(...)"):
        with refused("the program itself fails on it", call):
            inquire(evaluation, call)
