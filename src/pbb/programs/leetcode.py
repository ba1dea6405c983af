"""LeetCode problems as programs (the paper's second data set): each with its word problem as the pointer, verified inputs, no twins.

The source is LeetCodeDataset (arXiv 2504.14655), from a file of the user's or from the hub; none of it comes with pbb. A problem becomes

    {"name": "Zibdax", "source": "def Zibdax(nums, target):\\n    ...", "statement": "Given an array of integers nums ...",
     "examples": [{"args": [[2, 7, 11], 9], "output": [0, 1], "split": "test"}, ...], "origin": {"task": "two-sum", ...}}

The solutions are third-party code: they are executed in isolation, and only with allow_code. Where the paper is silent: its 702 problems are
"curated", here a problem is in when its solution is one function of literals that stands up to execution, and `prepare` says of every other why not.

Contract: the same file, dials and seed give the same programs. No call that a statement publishes is held out, and no statement tells an output.
"""

from __future__ import annotations

import ast
import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from pbb.errors import PbbError
from pbb.programs.family import MOST, Data, Report
from pbb.programs.isolation import Isolated
from pbb.programs.leetcode_probe import PROBE, probed, watched
from pbb.programs.leetcode_read import Fallen, is_hub, read_problems, word_problem
from pbb.programs.leetcode_unwrap import ENTRY
from pbb.programs.leetcode_verify import Call, Candidate, Needs, Verifier
from pbb.programs.names import names
from pbb.programs.program import Example, Facts, Group, Program, write_programs
from pbb.programs.renaming import rename, variables
from pbb.programs.sandbox import Job, Worker

PAPER = 702
LICENSE = "solutions: MIT, as the makers of LeetCodeDataset label them; statements: LeetCode's"
Rename = Literal["function", "all"]
OPERATORS = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**", ast.BitAnd: "&",
    ast.BitOr: "|", ast.BitXor: "^", ast.LShift: "<<", ast.RShift: ">>",
}  # fmt: skip


class Leetcode(Data):
    """LeetCode problems in a recipe; see docs/leetcode.md for the dials. Lengths are in characters of Python's repr."""

    code = (
        *(
            f"pbb.programs.leetcode{part}"
            for part in ("", "_inputs", "_probe", "_read", "_unwrap", "_verify")
        ),
        "pbb.programs.renaming",
        "pbb.programs.isolation",
        "pbb.programs.isolation_worker",
    )
    templates = "leetcode"
    family: Literal["leetcode"] = "leetcode"
    path: str = ""
    io: int = Field(PAPER - 100, ge=1, le=MOST)
    source_only: int = Field(100, ge=1, le=MOST)
    max_lines: int = Field(60, ge=2)
    max_input: int = Field(120, ge=1)
    max_output: int = Field(60, ge=1)
    max_trace: int = Field(0, ge=0)
    statement: int = Field(400, ge=0)
    rename: Rename = "function"
    allow_code: bool = False

    def programs(self, seed: int, asked: int, report: Report) -> list[Program]:
        """`io` and `source_only` problems, drawn by seed; fewer w/ IO ones where the file does not give as many."""
        count = self.io + self.source_only
        with two_workers(self.allow_code) as workers:
            found, _ = prepare(
                self.path, count + 5 + count // 20, seed, self.needs(), workers=workers, report=report
            )
            kept = without_twins(found, self.source_only, asked, workers[0])[:count]
            if len(kept) <= self.source_only:
                raise PbbError(
                    f"data: {self.path} gives {len(kept)} programs within these dials, {count} are asked for: "
                    "lower data.source_only, or raise data.max_lines, data.max_input or data.max_output"
                )
            if len(kept) < count:
                report(1, 1, f"{len(kept)} programs, all that there are, not {count}")
            groups: list[Group] = ["source_only" if i < self.source_only else "io" for i in range(len(kept))]
            return records(kept, groups, seed, self.rename, self.statement, workers[0])

    def needs(self) -> Needs:
        return Needs(
            train=self.train_inputs,
            test=self.test_inputs,
            max_lines=self.max_lines,
            max_input=self.max_input,
            max_output=self.max_output,
            max_trace=self.max_trace,
        )

    def isolate(self) -> bool:
        return self.allow_code

    def digest(self) -> str | None:
        """Of the file's bytes; of a hub id there are none here."""
        if not self.path:
            raise PbbError(
                "data.path: no file of LeetCodeDataset: give one by --set data.path=FILE.jsonl.gz (docs/leetcode.md says where from)"
            )
        path = Path(self.path)
        if is_hub(self.path):
            return None
        try:
            return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        except (OSError, ValueError) as e:  # ValueError: no path at all
            why = e.strerror if isinstance(e, OSError) else e
            raise PbbError(f"data.path: cannot read {self.path!r}: {why}: give a .jsonl or .jsonl.gz") from e


@contextmanager
def two_workers(allowed: bool) -> Iterator[tuple[Worker, Worker]]:
    """Isolated processes that differ in the order of their sets.

    Raises:
        PbbError: not allowed, or there is no isolation here.
    """
    what = "solutions of LeetCode problems; in a recipe it is --set data.allow_code=true"
    with Isolated(allowed, what=what) as first, Isolated(allowed, what=what, hash_seed=1) as second:
        yield first, second


def prepare(
    source: str,
    count: int | None,
    seed: int,
    needs: Needs,
    *,
    workers: tuple[Worker, Worker],
    report: Report = lambda done, total, what: None,
) -> tuple[list[Candidate], list[Fallen]]:
    """The first `count` problems (None: all), in an order drawn by seed, that hold; and what was left out on the way there.

    Raises:
        PbbError: the source cannot be read, or nothing in it holds.
    """
    problems, fallen = read_problems(source, lambda lines: report(0, 1, f"{lines} lines read"))
    problems.sort(key=lambda p: p.name)
    random.Random(f"leetcode:{seed}").shuffle(problems)
    found: list[Candidate] = []
    sources: set[str] = set()
    goal = min(count or len(problems), len(problems))
    results = Verifier(*workers).verify(problems, seed, needs)
    for tried, result in enumerate(results, 1):
        if isinstance(result, Fallen):
            fallen.append(result)
        elif (text := ast.unparse(result.function)) in sources:
            fallen.append(Fallen(result.problem.name, "duplicate solution"))
        else:
            sources.add(text)
            found.append(result)
        report(
            *((len(found), goal) if count else (tried, len(problems))),
            f"{len(found)} of {tried} problems hold",
        )
        if len(found) == count:
            break
    if not found:
        most = "; ".join(f"{n} {reason}" for reason, n in Counter(f.reason for f in fallen).most_common(4))
        raise PbbError(
            f"leetcode: {source}: no problem is left ({most or 'the file is empty'}): give a file of LeetCodeDataset"
        )
    report(1, 1, "problems hold")
    return found, fallen


def without_twins(
    found: Sequence[Candidate], source_only: int, asked: int, worker: Worker
) -> list[Candidate]:
    """The candidates without those that answer like another one, which may become a w/o IO program, on the calls that it is asked.

    The w/o IO programs are the first `source_only` of what is returned.
    """
    kept: list[Candidate] = []
    for first in (min(len(found), source_only + 5 + source_only // 10), len(found)):
        dropped = _twins(found, first, asked, worker)
        kept = [c for i, c in enumerate(found) if i not in dropped]
        if first - sum(i < first for i in dropped) >= source_only:
            break
    return kept


def _twins(found: Sequence[Candidate], first: int, asked: int, worker: Worker) -> set[int]:
    """The later one of every two of which one is among the first, and the other answers like it."""
    shown = [(i, c, [call.args for call in c.chosen["test"][:asked]]) for i, c in enumerate(found[:first])]
    dropped: set[int] = set()
    for j, other in enumerate(found):
        rivals = [(i, c, inputs) for i, c, inputs in shown if i != j and _alike(c, other)]
        jobs: list[Job] = [
            (probed(other.function), PROBE, [args for _, _, inputs in rivals for args in inputs])
        ]
        outcomes = iter(next(worker.execute_many(jobs, seconds=30.0)))
        for i, c, _ in rivals:
            calls = c.chosen["test"][:asked]
            same = [
                o.error is None and repr(watched(o)[0]) == repr(call.output)
                for call, o in zip(calls, outcomes, strict=False)
            ]
            if all(same) and i not in dropped and j not in dropped:
                dropped.add(max(i, j))
    return dropped


def _alike(a: Candidate, b: Candidate) -> bool:
    """Whether b can be called with what a is called with."""
    left, right = a.chosen["test"][0].args, b.chosen["test"][0].args
    return [type(v) for v in left] == [type(v) for v in right]


def records(
    found: Sequence[Candidate],
    groups: Sequence[Group],
    seed: int,
    spelling: Rename,
    statement: int,
    worker: Worker,
) -> list[Program]:
    """The programs under nonsense names, each call executed once more under them.

    Raises:
        PbbError: a source gives something else under other names, which would be a fault of pbb's.
    """
    made = [
        _record(c, name, group, seed, spelling, statement)
        for c, name, group in zip(found, names(len(found), seed), groups, strict=True)
    ]
    jobs: list[Job] = [(p.source, p.entry, [e.args for e in p.examples]) for p in made]
    for p, outcomes in zip(made, worker.execute_many(jobs, seconds=30.0), strict=True):
        for e, outcome in zip(p.examples, outcomes, strict=True):
            if outcome.error or repr(outcome.value) != repr(e.output):
                raise PbbError(
                    f"leetcode: {p.origin['task']}: {e.call(p.entry)[:80]} gives {outcome.error or repr(outcome.value)[:80]} "
                    f"under new names, {e.output!r:.80} before: report this problem"
                )
    return made


def _record(c: Candidate, name: str, group: Group, seed: int, spelling: Rename, statement: int) -> Program:
    function = ast.parse(ast.unparse(c.function)).body[0]
    assert isinstance(function, ast.FunctionDef)
    words = {ENTRY: name}
    if spelling == "all":
        old = variables(function)
        # of another shelf than programs' names, so that no variable is called like a program
        fresh = names(len(old), int(hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()[:8], 16), "passing")
        words |= dict(zip(old, (word.lower() for word in fresh), strict=True))
    rename(function, words)
    source = ast.unparse(function) + "\n"
    examples = [
        Example(args=call.args, output=call.output, split=split, trace=_spelled(call, words))
        for split, calls in c.chosen.items()
        for call in calls
    ]
    return Program(
        name=name,
        entry=name,
        source=source,
        statement=word_problem(c.problem, statement),
        family="leetcode",
        group=group,
        examples=examples,
        facts=_facts(function),
        origin={
            "data": "LeetCodeDataset",
            "task": c.problem.name,
            **c.problem.about,
            "seed": seed,
            "license": LICENSE,
        },
    )


def _spelled(call: Call, words: dict[str, str]) -> list[str] | None:
    """The lines of working, with the variables as the source has them now."""
    if call.trace is None:
        return None
    rows = (row.partition(" = ") for row in call.trace)
    return [words.get(variable, variable) + equals + value for variable, equals, value in rows]


def _facts(function: ast.FunctionDef) -> Facts:
    nodes = list(ast.walk(function))
    return Facts(
        length=ast.unparse(function).count("\n"),
        ops=sorted(
            {
                OPERATORS[type(n.op)]
                for n in nodes
                if isinstance(n, (ast.BinOp, ast.AugAssign)) and type(n.op) in OPERATORS
            }
        ),
        branches=sum(isinstance(n, (ast.If, ast.IfExp, ast.Match)) for n in nodes),
        loops=sum(isinstance(n, (ast.For, ast.While, ast.comprehension)) for n in nodes),
    )


def make(
    source: str, count: int, seed: int, allow_code: bool, report: Report, settings: Sequence[str] = ()
) -> tuple[list[Program], list[Fallen]]:
    """`pbb data leetcode`: the programs (all w/ IO: whoever reads the file divides them), and what was left out.

    settings: dials as KEY=VALUE.

    Raises:
        PbbError: no such dial, not allowed, or nothing is left.
    """
    dials = dict(setting.partition("=")[::2] for setting in settings)
    try:
        data = Leetcode.model_validate({**dials, "path": source, "allow_code": allow_code})
    except ValidationError as e:
        first = e.errors()[0]
        raise PbbError(f"--set {first['loc'][0]}: {first['msg']}: docs/leetcode.md lists the dials") from e
    with two_workers(allow_code) as workers:
        found, fallen = prepare(source, count, seed, data.needs(), workers=workers, report=report)
        groups: list[Group] = ["io"] * len(found)
        return records(found, groups, seed, data.rename, data.statement, workers[0]), fallen


def write(programs: Sequence[Program], fallen: Sequence[Fallen], count: int, out: Path) -> dict[str, Any]:
    """Write the programs and, beside them, NAME.left_out.json; returns what to say of both."""
    reasons = dict(sorted(Counter(f.reason for f in fallen).items(), key=lambda item: (-item[1], item[0])))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_programs(programs, out)
        beside = out.with_suffix(".left_out.json")
        beside.write_text(json.dumps([f._asdict() for f in fallen], indent=1) + "\n", encoding="utf-8")
    except OSError as e:
        raise PbbError(f"--out {out}: cannot be written: {e.strerror}: give another place") from e
    tried = len(programs) + len(fallen)
    few = "" if len(programs) == count else f", all that there are: {count} were asked for"
    note = f"{out}: {len(programs)} programs of {tried} problems tried{few}; {beside}: what was left out"
    return {"programs": len(programs), "tried": tried, "left_out": reasons, "note": note}
