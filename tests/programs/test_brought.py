"""What the recipe `own` refuses of a file in one line, and what it sets aside: never without a word."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import pbb.experiment
from pbb.cli import main
from pbb.documents.corpus import Share, stage_documents
from pbb.documents.leaks import leaks
from pbb.documents.render import templates
from pbb.errors import PbbError
from pbb.experiment import run_loaded
from pbb.programs.brought import Brought
from pbb.programs.isolation import STANDARD
from pbb.programs.program import Program
from pbb.progress import Plain
from pbb.recipe_file import load
from pbb.run import Outcome

Refused = Callable[..., AbstractContextManager[None]]
ROWS = [{"args": [x], "output": 3 * x, "split": "test" if x > 8 else "train"} for x in range(1, 13)]


def record(entry: str = "f", k: int = 3, **changes: Any) -> dict[str, Any]:
    """A program that multiplies by k, right and complete unless changed."""
    examples = [row | {"output": k * row["args"][0]} for row in ROWS]
    return {
        "name": entry, "entry": entry, "source": f"def {entry}(x):\n    return {k} * x\n", "family": "mine", "group": "io",
        "examples": examples, "facts": {"length": 1}, **changes,
    }  # fmt: skip


def brought(folder: Path, *records: Any, **dials: Any) -> Brought:
    path = folder / "programs.jsonl"
    lines = (r if isinstance(r, str) else json.dumps(r) for r in records)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return Brought(
        path=str(path), **({"io": 1, "source_only": 1, "train_inputs": 8, "test_inputs": 4} | dials)
    )


def made(data: Brought) -> dict[str, Program]:
    return {p.name: p for p in data.programs(0, 4, lambda done, total, what: None)}


def said(old: str, new: str, **changes: Any) -> str:
    """A line with a part of it replaced, for what Python would not write down."""
    line = json.dumps(record(**changes))
    assert old in line
    return line.replace(old, new)


def with_row(**row: Any) -> dict[str, Any]:
    return record(examples=[*ROWS, {"split": "train", **row}])


REFUSED: dict[str, tuple[Any, str]] = {
    "an output that is NaN": (said('"output": 6,', '"output": NaN,'), "f(2) gives NaN, which is no JSON: take that example out"),
    "an output beyond floats": (said('"output": 6,', '"output": [1, {"a": -1e999}],'), "f(2) gives -Infinity, which is no JSON"),
    "an argument that is Infinity": (said('"args": [2]', '"args": [Infinity]'), "f(inf) is asked with Infinity, which is no JSON"),
    "an exact output beyond floats": (with_row(args=[20], output=0, exact="([20], {}, (1e999, 2))"), "f(20) gives Infinity"),
    "an exact output that is a set": (with_row(args=[20], output=0, exact="([20], {}, {60})"), "f(20) gives a set, which is no JSON"),
    "an origin with NaN": (said("0.5", "NaN", origin={"score": [0.5]}), "origin holds NaN, which is no JSON: take it out"),
    "an unknown key": (record(kwarg={}), "'kwarg' is no key that is read: put it into an example, as 'kwargs', or take it out"),
    "an unknown key of facts": (record(facts={"length": 1, "ops_": []}), "'facts.ops_' is no key that is read: write 'ops'"),
    "a key twice": (said('"output": 6,', '"output": 7, "output": 6,'), "the key 'output' stands twice in one object: keep one"),
    "one call with two outputs": (with_row(args=[2], output=7), "f(2) stands there with two outputs, 6 and 7: take the wrong one out"),
    "one call with two outputs over both splits": (with_row(args=[9], output=0), "f(9) stands there with two outputs, 27 and 0"),
    "no such function": (record(source="def g(x):\n    return 3 * x\n"), "its source is no Python that defines 'f'"),
    "no source": (record(source=""), "its source is no Python that defines 'f'"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_no_recipe_can_use_is_refused_in_one_line(case: str, tmp_path: Path, refused: Refused) -> None:
    bad, words = REFUSED[case]
    data = brought(tmp_path, record("a", 2), "", bad)
    with refused(f"data.path: {data.path}:3: f: {words}", f"; `pbb data check {data.path}` lists all faults"):
        made(data)


def test_a_name_of_many_lines_is_told_in_one(tmp_path: Path, refused: Refused) -> None:
    named = {"name": "f\n of mine"}
    with refused("programs.jsonl:1: f of mine: 'kwarg'"):
        made(brought(tmp_path, record(**named, kwarg={})))
    with refused("the name f of mine is there twice, in lines 1 and 2"):
        made(brought(tmp_path, record(**named), record(**named)))


def test_a_file_without_programs_is_said_to_hold_none(tmp_path: Path, refused: Refused) -> None:
    data = brought(tmp_path, "", "  ")
    with refused(f"data.path: {data.path} holds no programs: one JSON object a line is expected"):
        made(data)


def test_the_command_refuses_before_a_step_is_begun(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = brought(tmp_path, record("a", 2), said('"output": 6,', '"output": NaN,'))
    out = tmp_path / "data"
    assert main(["data", "make", "own", "--set", f"data.path={data.path}", "--out", str(out)]) == 2
    assert capsys.readouterr().err.startswith(f"pbb: data.path: {data.path}:2: f: f(2) gives NaN")
    assert not out.exists()


def test_a_train_example_that_is_held_out_too_is_left_out(tmp_path: Path) -> None:
    """However its argument is passed; what is taken in its place is the next one."""
    rows = [
        {"args": [9], "output": 27, "split": "train"},
        {"args": [], "kwargs": {"x": 10}, "output": 30, "split": "train"},
    ]
    data = brought(tmp_path, record("a", 2), record(examples=[*rows, *ROWS]))
    p = made(data)["f"]
    assert [e.args for e in p.calls("train")] == [[x] for x in range(1, 9)]
    assert [e.args for e in p.calls("test")] == [[9], [10], [11], [12]]
    assert data.notices() == [
        f"data.path: {data.path}: 2 training examples whose call is held out too are left out: `pbb data check {data.path}` names them"
    ]


def test_a_train_example_is_held_out_too_in_another_order_of_keys_or_type(tmp_path: Path) -> None:
    """What the leak proof takes for one call is one."""
    source = "def f(d):\n    return d.get('a', 0) if isinstance(d, dict) else 5\n"
    held = [{"args": [x], "output": 5, "split": "test"} for x in (0.0, 1, 2)]
    held += [{"args": [{"a": 1, "b": 2}], "output": 1, "split": "test"}]
    again = [{"args": [x], "output": 5, "split": "train"} for x in (-0.0, True, 2.0)]
    again += [{"args": [{"b": 2, "a": 1}], "output": 1, "split": "train"}]
    free = [{"args": [x], "output": 5, "split": "train"} for x in range(11, 19)]
    data = brought(tmp_path, record("a", 2), record(source=source, examples=[*held, *again, *free]))
    assert [e.args for e in made(data)["f"].calls("train")] == [[x] for x in range(11, 19)]


def test_a_default_of_more_digits_than_python_writes_is_read(tmp_path: Path) -> None:
    source = f"def f(x, y=0x{'f' * 5_000}):\n    return 3 * x\n"
    assert made(brought(tmp_path, record("a", 2), record(source=source)))["f"].source == source


@pytest.mark.parametrize(
    "changes",
    [
        {"prose": "Times three. For instance f(7) == 21."},
        {"statement": "Times three, as f(70) is 210."},
        {"statements": ["y = 3 * x  # f(9)"]},
        {"paths": [["f(2) is 6"]]},
        {
            "source": 'def f(x):\n    """Times three.\n\n    >>> v = 70\n    >>> f(v)\n    210\n    """\n    return 3 * x\n'
        },
        {"prose": "Times three.\n  7 -> 21\n  9 -> 27"},
        {"source": "def f(x):\n    return 3 * x\n\nassert f(70) == 210\n"},
        {"source": "def f(x):\n    return 3 * x\n\nCASES = {7: 21, 9: 27}\n"},
        {"prose": "For 12 `f`(12) is 36."},
    ],
    ids=["prose", "statement", "statements", "paths", "doctest", "pairs", "below", "table", "markdown"],
)
def test_a_program_whose_words_tell_a_call_is_never_w_o_io(changes: dict[str, Any], tmp_path: Path) -> None:
    data = brought(tmp_path, record("a", 2), record(**changes))
    for seed in range(4):
        assert {p.name: p.group for p in data.programs(seed, 4, lambda *_: None)} == {
            "a": "source_only",
            "f": "io",
        }


def test_a_program_that_tells_its_own_call_is_counted(tmp_path: Path) -> None:
    telling = record(source="def f(x):\n    return 3 * x  # f(9) is 27\n")
    data = brought(tmp_path, record("a", 2), telling)
    assert data.notices() == [
        f"data.path: {data.path}: 1 programs that tell a call or an output of their own are w/ IO at most: "
        f"`pbb data check {data.path}` names them"
    ]
    assert made(data)["f"].group == "io"


def test_a_pair_whose_example_is_left_out_tells_as_much(tmp_path: Path) -> None:
    rows = [{**row, "split": "test" if n else "train"} for n, row in enumerate(ROWS[::-1])]
    data = brought(tmp_path, record("a", 2), record(prose="1 -> 3, 2 -> 6", examples=rows), train_inputs=1)
    for seed in range(4):
        assert {p.name: p.group for p in data.programs(seed, 4, lambda *_: None)}["f"] == "io"


def test_the_documents_of_a_set_name_no_w_o_io_program_of_it(tmp_path: Path) -> None:
    """An argument, an output, a function that is wrapped: what the draw lets through, the audit does."""
    words = [*(["total"] * 2), "a total", *"bcdefghijkl"]
    rows = [
        {"args": [f"{word}{n}" if n > 2 else word], "output": n, "split": "test" if n > 9 else "train"}
        for n, word in enumerate(words[1:])
    ]
    size = record("size", source="def size(s):\n    return len(s)\n", examples=rows)
    listed = "def each(x):\n    yield 3 * x\n\ndef each_list(x):\n    return list(each(x))\n"
    each = [row | {"output": [row["output"]]} for row in ROWS]  # type: ignore[dict-item]
    more = "def each(y):\n    yield 3 * y\n\ndef more(x):\n    return sum(each(x)) + 1\n"
    plus = [row | {"output": row["output"] + 1} for row in ROWS]  # type: ignore[operator]
    others = [record("each_list", source=listed, examples=each), record("more", source=more, examples=plus)]
    data = brought(tmp_path, record("total", 2), size, *others, record("alone", 7), io=4, test_inputs=2)
    mix = [
        Share(kind="declaration", group="source_only", per_program=4),
        Share(kind="declaration", group="io", per_program=4),
        Share(kind="execution", group="io", per_program=20, ask="direct"),
    ]
    for seed in range(6):
        programs = data.programs(seed, 2, lambda *_: None)
        assert [p.name for p in programs if p.group == "source_only"][0] in ("size", "alone")
        documents = stage_documents(programs, mix, templates("python"), stage="read", seed=seed)
        assert [*leaks(programs, [d.model_dump_json().encode() for d in documents])] == []


def test_what_keeps_programs_from_being_w_o_io_is_counted_apart(tmp_path: Path, refused: Refused) -> None:
    data = brought(
        tmp_path, record("a", 2), record("b", 2), record("c", 4), record("d", 5, prose="c is less."), record(prose="f(70)"),
        io=1, source_only=3,
    )  # fmt: skip
    with refused(
        "5 programs, 5 of them with 4 held-out calls and short enough, 1 of these fit to be w/o IO (2 have a behavioural twin, "
        "3 are named or shown by another, 1 tell a call or an output of their own): 1 w/ IO and 3 w/o IO are asked for",
        f"`pbb data check {data.path}` names those that tell",
    ):
        made(data)


def test_a_mark_of_byte_order_is_refused_in_words(tmp_path: Path, refused: Refused) -> None:
    data = brought(tmp_path, record("a", 2), record())
    path = Path(data.path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    for read in (data.digest, data.notices):
        with refused(
            f"data.path: {path}:1: the file begins with a byte order mark: save it as UTF-8 without one"
        ):
            read()


def test_what_is_left_out_is_said_by_a_run_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pbb.experiment, "execute", lambda *_, **__: Outcome(0, 0, 0.0))
    telling = record(source="def f(x):\n    return 3 * x  # f(9) is 27\n")
    data = brought(tmp_path, record("a", 2), telling)
    run_loaded(load("own", [f"data.path={data.path}"]), tmp_path / "runs", 1, 1, Plain())
    assert (
        "1 programs that tell a call or an output of their own are w/ IO at most" in capsys.readouterr().err
    )


def test_programs_without_traces_are_refused_where_traces_are_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before a stage is trained, not when the first answer is to be judged; programs that would not be used may lack them."""
    data = brought(tmp_path, record("a", 2), record())
    assert data.notices(traced=False) == []
    with pytest.raises(PbbError, match=r"a\(.*\) has no trace: take trace out"):
        data.notices(traced=True)
    command = ["run", "own", "--set", f"data.path={data.path}", "--out", str(tmp_path / "runs")]
    assert main([*command, "--set", "data.test_inputs=4", "--set", "evaluation.asks=[in-context-trace]"]) == 2
    assert "has no trace: take trace out" in capsys.readouterr().err
    assert not [*tmp_path.glob("runs/*/*/steps/*")]
    traced = [{**row, "trace": [f"is {row['output']}"]} for row in ROWS]
    short = brought(tmp_path, record("a", 2, examples=ROWS[:1]), record(examples=traced))
    assert short.notices(traced=True) == []


def test_of_a_right_file_nothing_is_said(tmp_path: Path) -> None:
    assert brought(tmp_path, record("a", 2), record()).notices() == []


@pytest.mark.parametrize("what", ["a folder", "a module", "nothing"])
def test_a_path_that_is_no_file_of_programs_is_refused_before_it_is_read(
    what: str, tmp_path: Path, refused: Refused
) -> None:
    path = {"a folder": tmp_path, "a module": tmp_path / "code.py", "nothing": tmp_path / "none.jsonl"}[what]
    (tmp_path / "code.py").write_text("def f(x):\n    return x\n")
    words = "No such file or directory: give a programs.jsonl" if what == "nothing" else "pbb harvest"
    for read in (Brought(path=str(path)).digest, Brought(path=str(path)).notices):
        with refused("data.path: ", words):
            read()


def test_the_imports_that_isolation_allows_are_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "own-programs.md").read_text(encoding="utf-8")
    (line,) = (line for line in page.split("\n") if "what may be imported is" in line)
    assert [name for name in STANDARD if f"`{name}`" not in line] == []
