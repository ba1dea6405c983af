"""The family as a whole, on made-up problems in both schemas: what holds, what is left out, and that no output is told or twinned."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import problems  # noqa: E402

from pbb.cli import main  # noqa: E402
from pbb.programs.isolation import unavailable  # noqa: E402
from pbb.programs.leetcode import Leetcode, make, prepare, two_workers, without_twins, write  # noqa: E402
from pbb.programs.leetcode_read import Problem  # noqa: E402
from pbb.programs.leetcode_unwrap import LeftOut  # noqa: E402
from pbb.programs.leetcode_verify import Needs, candidate, working  # noqa: E402
from pbb.programs.program import Program, read_programs  # noqa: E402
from pbb.programs.sandbox import Outcome, Traced, TracedLine, Worker  # noqa: E402
from pbb.recipe_file import load  # noqa: E402

REASON = unavailable()
walled = pytest.mark.skipif(REASON is not None, reason=f"no isolation here: {REASON}")
NEEDS = Needs(train=8, test=4)
FEW = ["train_inputs=8", "test_inputs=4"]


@pytest.fixture(scope="module")
def workers() -> Iterator[tuple[Worker, Worker]]:
    with two_workers(True) as both:
        yield both


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return problems.write(tmp_path_factory.mktemp("data") / "x.jsonl.gz", problems.dataset(later=True))


@pytest.mark.parametrize(
    "completion",
    [
        "cnt = 0\nclass Solution:\n    def f(self, n: int) -> int:\n        global cnt\n        cnt += n\n        return cnt\n",
        "class Solution:\n    def f(self, n: int) -> int:\n        return " + "-" * 3_000 + "n\n",
        "class Solution:\n    def f(self, n: int) -> int:\n        return n + 0x" + "f" * 5_000 + "\n",
    ],
)
def test_a_solution_that_python_cannot_be_made_to_write_is_left_out(completion: str) -> None:
    with pytest.raises(LeftOut) as left_out:
        candidate(Problem("p", "", completion, "f", "", [("n = 1", "1")], {}), 0, NEEDS)
    assert left_out.value.args[0] == "syntax error"


def test_an_input_that_the_statement_quotes_is_published() -> None:
    pairs = [(f's = "{"ab" * n}"', str(2 * n)) for n in range(1, 60)]
    statement = f'Count the letters: of "{"ab" * 50}" there are 100.'
    completion = "class Solution:\n    def f(self, s: str) -> int:\n        return len(s)\n"
    found = candidate(Problem("p", statement, completion, "f", "", pairs, {}), 0, NEEDS)
    assert found.published == {repr(["ab" * 50])}


@walled
@pytest.mark.parametrize("later", [False, True])
def test_every_problem_holds_or_is_left_out_for_its_reason(
    tmp_path: Path, later: bool, workers: tuple[Worker, Worker]
) -> None:
    path = problems.write(tmp_path / "x.jsonl", problems.dataset(later))
    found, fallen = prepare(str(path), None, 0, NEEDS, workers=workers)
    assert {c.problem.name for c in found} == {name for name, *_ in problems.FINE}
    expected = {f"bad-{i}-{name}": reason for i, (name, _, _, reason) in enumerate(problems.BAD)}
    got = {f.name: f.reason for f in fallen}
    assert got == {name: reason for name, reason in expected.items() if name in got}
    assert len(got) >= len(expected) - 1  # the longest stands in no file
    for c in found:
        train, test = c.chosen["train"], c.chosen["test"]
        assert (len(train), len(test)) == (8, 4)
        assert len({repr(call.args) for call in [*train, *test]}) == 12
        assert len({repr(call.output) for call in [*train, *test]}) >= 3
        assert not any(call.published for call in test)


def answers(p: Program) -> list[Any]:
    """The outputs by plain execution; the sources are the tests' own."""
    space: dict[str, Any] = {}
    exec(p.source, space)
    return [space[p.entry](*json.loads(json.dumps(e.args))) for e in p.examples]


@walled
@pytest.mark.parametrize("rename", ["function", "all"])
def test_programs_are_plain_pure_and_right_under_any_names(file: Path, rename: str) -> None:
    programs, _ = make(str(file), 702, 3, True, lambda *_: None, [*FEW, f"rename={rename}"])
    assert len(programs) == len(problems.FINE)
    for p in programs:
        assert p.name == p.entry and p.source.startswith(f"def {p.name}(")
        assert p.source.count("\ndef ") == 0 and not p.source.startswith(" ")
        assert answers(p) == [e.output for e in p.examples]
        assert p.statement and "Example" not in p.statement and "\n" not in p.statement
        assert p.origin["task"] in dict((n, 0) for n, *_ in problems.FINE) and "license" in p.origin
    spread = next(p for p in programs if p.origin["task"] == "spread")
    assert ("nums" in spread.source) is (rename == "function")
    assert " = " in spread.source.split("\n")[1] and "[:]" in spread.source  # it sorts a copy of its input


@walled
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(
    tmp_path: Path, file: Path, python: Any
) -> None:
    code = (
        "import sys; from pathlib import Path; from pbb.programs.leetcode import *; "
        f"p, f = make(sys.argv[1], 3, 5, True, lambda *_: None, {FEW}); write(p, f, 3, Path(sys.argv[2])); print(len(p))"
    )
    for seed in (1, 2):
        assert python(code, str(file), str(tmp_path / f"{seed}.jsonl"), hash_seed=seed) == "3\n"
    assert (tmp_path / "1.jsonl").read_bytes() == (tmp_path / "2.jsonl").read_bytes()
    programs, fallen = make(str(file), 3, 6, True, lambda *_: None, FEW)
    write(programs, fallen, 3, tmp_path / "3.jsonl")
    assert (tmp_path / "1.jsonl").read_bytes() != (tmp_path / "3.jsonl").read_bytes()


@walled
def test_a_twin_goes_and_equal_solutions_count_once(tmp_path: Path, workers: tuple[Worker, Worker]) -> None:
    twin = problems.SCALE.replace("best += n * k", "best = best + k * n")
    rows = [
        problems.row(name, "scale", code, problems.SCALE_PAIRS, later=True)
        for name, code in (("a", problems.SCALE), ("b", problems.SCALE), ("c", twin))
    ] + [problems.row("d", "letters", problems.LETTERS, problems.LETTERS_PAIRS, later=True)]
    found, fallen = prepare(str(problems.write(tmp_path / "x.jsonl", rows)), None, 0, NEEDS, workers=workers)
    assert [f.reason for f in fallen] == ["duplicate solution"] and len(found) == 3
    kept = without_twins(found, 1, 4, workers[0])
    assert Counter(c.problem.method for c in kept) == {"scale": 1, "letters": 1}


@walled
def test_a_pair_that_a_file_gives_twice_is_one_call_in_one_split(
    tmp_path: Path, workers: tuple[Worker, Worker]
) -> None:
    """Later versions of the data set repeat pairs; what the statement holds is published, however another pair writes it."""
    pairs = [(f"n = {i}, m = {j}", str(3 * i + j)) for i in range(4) for j in range(5)]
    code = problems.method("mix", "n: int, m: int", "return n * 3 + m")
    published = ("m = 4, n = 3", "13")
    rows = [problems.row("a", "mix", code, [*pairs, *pairs, published, *pairs], later=True)]
    for seed in range(3):
        (found,), _ = prepare(
            str(problems.write(tmp_path / "x.jsonl", rows)), None, seed, NEEDS, workers=workers
        )
        asked = [repr(call.args) for split in ("train", "test") for call in found.chosen[split]]
        assert len(asked) == len(set(asked)) == NEEDS.train + NEEDS.test
        calls = [repr(call.args) for call in found.calls]
        assert len(calls) == len(set(calls))
        assert {repr(c.args) for c in found.calls if c.published} == {"[0, 0]"}
    rows = [
        problems.row("a", "mix", code, pairs + [published], later=True, statement="It says m = 4, n = 3.")
    ]
    (found,), _ = prepare(str(problems.write(tmp_path / "x.jsonl", rows)), None, 0, NEEDS, workers=workers)
    assert {repr(c.args) for c in found.calls if c.published} == {"[0, 0]", "[3, 4]"}


@walled
def test_the_family_draws_groups_and_lines_of_working(file: Path, refused: Any) -> None:
    dials = {
        "path": str(file),
        "allow_code": True,
        "train_inputs": 4,
        "test_inputs": 3,
        "source_only": 1,
        "io": 9,
        "max_trace": 30,
    }
    notes: list[str] = []
    programs = Leetcode.model_validate(dials).programs(0, 3, lambda done, total, note: notes.append(note))
    assert [p.group for p in programs] == ["source_only"] + ["io"] * (len(programs) - 1) and len(
        programs
    ) >= 3
    assert any("all that there are, not 10" in note for note in notes)
    assert all(e.trace is not None for p in programs for e in p.examples)
    scale = next((p for p in programs if p.origin["task"] == "scale"), None)
    assert scale is None or [str(s) for s in scale.examples[0].trace or []][0] == "best = 0"
    with refused("gives", "programs", "lower data.source_only"):
        Leetcode.model_validate(dials | {"source_only": 9}).programs(0, 3, lambda *_: None)


@walled
def test_what_cannot_be_traced_within_the_limit_is_left_out(
    file: Path, workers: tuple[Worker, Worker]
) -> None:
    found, fallen = prepare(str(file), None, 0, replace(NEEDS, max_trace=1), workers=workers)
    assert "no trace" in {f.reason for f in fallen}
    assert all(
        call.trace is not None and len(call.trace) <= 1
        for c in found
        for calls in c.chosen.values()
        for call in calls
    )


def line(function: str, before: dict[str, object], after: dict[str, object], end: bool = False) -> TracedLine:
    return TracedLine(function, 1, before, after, Outcome(1) if end else None)


def test_a_trace_tells_what_each_line_changed() -> None:
    name = "pbb_solution"
    lines = [
        line(name, {"n": 2}, {"n": 2, "a": [1]}),
        line(name, {"a": [1]}, {"a": [1, 2]}),
        line(name, {"n": 2}, {"n": 2}, True),
    ]
    assert working(Traced(lines, None), 2) == ["a = [1]", "a = [1, 2]"]
    assert working(Traced(lines, None), 1) is None
    assert working(Traced(lines, "TooManySteps"), 9) is None
    assert working(Traced([line(name, {}, {"a": [0] * 20}), lines[-1]], None), 9) is None
    assert working(Traced([*lines, line("inner", {}, {})], None), 9) is None


def test_without_leave_without_a_file_or_without_problems_is_one_line(
    tmp_path: Path, file: Path, refused: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "o.jsonl"
    assert main(["data", "leetcode", str(file), "--out", str(out)]) == 2
    assert "--allow-code" in capsys.readouterr().err.splitlines()[-1] and not out.exists()
    with refused("data.path", "--set data.path="):
        load("leetcode").data.digest()
    with refused("data.path", "missing.jsonl"):
        load("leetcode", ["data.path=missing.jsonl"]).data.digest()
    with refused("max_lines"):
        make(str(file), 1, 0, True, lambda *_: None, ["max_lines=x"])
    with refused("no_dial"):
        make(str(file), 1, 0, True, lambda *_: None, ["no_dial=1"])
    if REASON is None:
        for name, text in (("e.jsonl", ""), ("b.jsonl", "nothing\n{}\n")):
            (tmp_path / name).write_text(text)
            assert main(["data", "leetcode", str(tmp_path / name), "--out", str(out), "--allow-code"]) == 2
            assert "no problem is left" in capsys.readouterr().err.splitlines()[-1]


@walled
def test_the_command_writes_programs_and_what_was_left_out(
    tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "p.jsonl"
    command = ["data", "leetcode", str(file), "--out", str(out), "--allow-code", "--json"]
    assert main([*command, *(word for dial in FEW for word in ("--set", dial))]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["programs"] == len(read_programs(out)) == len(problems.FINE)
    left = json.loads(out.with_suffix(".left_out.json").read_text())
    assert Counter(f["reason"] for f in left) == said["left_out"] and sum(said["left_out"].values()) == len(
        left
    )
    assert "702 were asked for" in said["note"]
