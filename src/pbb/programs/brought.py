"""Programs that a user brings: a recipe's set drawn from a `programs.jsonl`, by hand or by `pbb harvest`.

The file's own words are taken as they are; `pbb data check` holds them against execution. What is looked after here is what a result would
be worthless without: names that tell programs apart, one output a call, values that a file of JSON holds, enough inputs, no training example that
is held out too, and no w/o IO program that behaves like another one, stands in another one or tells its own answers.
"""

from __future__ import annotations

import ast
import hashlib
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pbb.errors import PbbError
from pbb.programs.apart import apart, known_as
from pbb.programs.calls import uses, with_values
from pbb.programs.family import Data, Report
from pbb.programs.isolation import Isolated
from pbb.programs.observed import MODULES
from pbb.programs.own_lines import (
    composed,
    contradictions,
    in_both,
    keys,
    loaded,
    spoken,
    told,
    unwritable,
)
from pbb.programs.pairs import in_tables, in_words
from pbb.programs.program import Program, read_programs
from pbb.programs.twins import twins

MARK = b"\xef\xbb\xbf"
"""Of byte order: some editors write it, and JSON has none."""


def defines(source: str, entry: str) -> bool:
    """Whether a text is Python with a function of that name at its top level; nothing is run."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(isinstance(node, ast.FunctionDef) and node.name == entry for node in tree.body)


def tells(p: Program) -> list[str]:
    """What it tells of its own answers, each in words that say what to do about it.

    Calls with values in words or in statements outside of its functions, calls of its examples anywhere, outputs beside their inputs.
    """
    names, words = known_as(p), spoken(p)
    spelled = [call for name in names for call in with_values(words, name)]
    beside = [] if spelled else [*in_words(p, words, names), *in_tables(p)]
    below = uses(p.source, names)
    rest = [] if below else [call for call in told(p) if call not in spelled]
    return [
        *(f"{_in_line(call)} stands in a docstring, a comment or its prose: take it out" for call in spelled),
        *(f"{_in_line(row)} stands outside of its functions and uses it: take it out" for row in below),
        *(f"{_in_line(call)} stands in its code: take that example out" for call in rest),
        *(
            f"{_in_line(call)} stands beside its output, in words or in a table: take it out"
            for call in beside
        ),
    ]


def _in_line(name: str) -> str:
    """A name as far as one line can say it."""
    return " ".join(name.split())[:80]


def _faults(p: Program, line: str) -> Iterator[str]:
    """What is wrong with a program that has been read from a line."""
    try:
        record, twice = loaded(line)
    except (ValueError, RecursionError) as e:
        yield f"no JSON that Python reads: {' '.join(str(e).split())[:120]}"
        return
    yield from keys(record, twice)
    yield from composed(p)
    if not defines(p.source, p.entry):
        yield f"its source is no Python that defines {p.entry!r}"
    yield from unwritable(p)
    yield from contradictions(p)


def _without_held_out(p: Program) -> Program:
    """Without the train examples whose call is held out too."""
    both = {id(e) for e in in_both(p)}
    return p.model_copy(update={"examples": [e for e in p.examples if id(e) not in both]}) if both else p


class Brought(Data):
    """Programs from a file. Which of them are w/ IO and w/o IO is drawn by the seed.

    longest: characters of a source, and of a call with its output, beyond which a program or an example is left out.
    allow_code: whether these programs may be executed (isolated), to find twins and to judge the wrong-source arm.
    """

    code = (
        "pbb.programs.brought",
        "pbb.programs.apart",
        "pbb.programs.calls",
        "pbb.programs.equality",
        "pbb.programs.own_lines",
        "pbb.programs.pairs",
        "pbb.programs.renaming",
        "pbb.programs.twins",
        "pbb.programs.observed",
    )
    templates = "python"
    family: Literal["file"] = "file"
    path: str
    longest: int | None = None
    allow_code: bool = False

    def programs(self, seed: int, asked: int, report: Report) -> list[Program]:
        """`io` and `source_only` of the file's programs, each with as many examples of both splits as asked for, at least one of each.

        Raises:
            PbbError: the file is no programs.jsonl or holds none, a line says what no recipe can use, two programs share a name, or too
                few are left.
        """
        known = [_without_held_out(p) for p in self._read()]
        fit = [p for p in map(self._cut, known) if p is not None]
        found = self._twins(fit, asked, report)
        rng = random.Random(f"split:{seed}")
        order = rng.sample(fit, len(fit))
        here, hidden = {p.name for p in fit}, apart(fit)
        telling = {
            p.name for p in known if p.name in here and tells(p)
        }  # an example that is left out tells as much
        alone = [p for p in order if p.name in hidden and p.name not in {*found, *telling}]
        wanted = self.io + self.source_only
        if len(fit) < wanted or len(alone) < self.source_only:
            raise PbbError(
                f"data: {self.path}: {len(known)} programs, {len(fit)} of them with {self.test_inputs} held-out calls and short enough, "
                f"{len(alone)} of these fit to be w/o IO ({len(found)} have a behavioural twin, {len(here - hidden)} are named or shown by "
                f"another, {len(telling)} tell a call or an output of their own): "
                f"{self.io} w/ IO and {self.source_only} w/o IO are asked for: "
                "lower data.io, data.source_only or data.test_inputs, raise data.longest, or bring more; "
                f"`pbb data check {self.path}` names those that tell"
            )
        unseen = alone[: self.source_only]
        names = {p.name for p in unseen}
        shown = [p for p in order if p.name not in names][: self.io]
        return [p.model_copy(update={"group": "source_only"}) for p in unseen] + [
            p.model_copy(update={"group": "io"}) for p in shown
        ]

    def notices(self, traced: bool = False) -> list[str]:
        """What of the file is set aside without being refused, in a line; nothing where there is no such thing.

        traced: whether calls will be answered by trace, which none but a program with traces can be judged by or taught.

        Raises:
            PbbError: as `programs`, but for too few; or `traced`, and an example that would be used has no trace.
        """
        known = self._read()
        for p in (p for p in map(self._cut, map(_without_held_out, known)) if traced and p is not None):
            if bare := next((e for e in p.examples if e.trace is None), None):
                raise PbbError(
                    f"data.path: {self.path}: {bare.call(p.entry)[:80]} has no trace: take trace out of evaluation.asks and stages "
                    "(ask direct or recite), or bring traces"
                )
        twice, telling = sum(len(in_both(p)) for p in known), sum(bool(tells(p)) for p in known)
        words = [f"{twice} training examples whose call is held out too are left out"] if twice else []
        words += (
            [f"{telling} programs that tell a call or an output of their own are w/ IO at most"]
            if telling
            else []
        )
        said = f"data.path: {self.path}: {'; '.join(words)}: `pbb data check {self.path}` names them"
        return [said] if words else []

    def _read(self) -> list[Program]:
        self._bytes()  # whose refusals say more
        known = read_programs(Path(self.path))
        if not known:
            raise PbbError(
                f"data.path: {self.path} holds no programs: one JSON object a line is expected, as `pbb harvest` writes them"
            )
        lines = Path(self.path).read_text(encoding="utf-8").split("\n")
        numbers = [number for number, line in enumerate(lines, 1) if line.strip()]
        for what in ("name", "entry"):
            self._apart([getattr(p, what) for p in known], numbers, what)
        for number, p in zip(numbers, known, strict=True):
            if fault := next(_faults(p, lines[number - 1]), None):
                raise PbbError(
                    f"data.path: {self.path}:{number}: {_in_line(p.name)}: {fault}; `pbb data check {self.path}` lists all faults"
                )
        return known

    def _apart(self, names: list[str], numbers: list[int], what: str) -> None:
        """Raises PbbError where a name is there twice."""
        for name, count in Counter(names).items():
            if count > 1:
                at = [str(n) for n, other in zip(numbers, names, strict=True) if other == name]
                raise PbbError(
                    f"data.path: {self.path}: the {what} {_in_line(name)} is there twice, in lines {' and '.join(at[:2])}: rename one; "
                    f"`pbb data check {self.path}` lists all faults"
                )

    def _cut(self, p: Program) -> Program | None:
        """With the wanted number of examples; None where there are too few, or the source is too long."""
        most = self.longest
        examples = [
            e for e in p.examples if most is None or len(e.call(p.entry)) + len(repr(e.output)) <= most
        ]
        train = [e for e in examples if e.split == "train"][: self.train_inputs]
        test = [e for e in examples if e.split == "test"][: self.test_inputs]
        if len(test) < self.test_inputs or not train or (most is not None and len(p.source) > most):
            return None
        return p.model_copy(update={"examples": train + test})

    def _twins(self, programs: list[Program], asked: int, report: Report) -> dict[str, list[str]]:
        """By name, programs with a twin among these: as the file says, as its examples show, and by execution if that is allowed."""
        here = {p.name for p in programs}
        stated = {p.name: [t for t in p.twins() if t in here] for p in programs}
        if self.allow_code:
            with Isolated(True, MODULES, what=self.path) as worker:
                found = twins(programs, asked, worker, report)
        else:
            found = twins(programs, asked)
        return {name: both for name in stated if (both := [*stated[name], *found.get(name, [])])}

    def isolate(self) -> bool:
        return self.allow_code

    def digest(self) -> str:
        """Of the file's bytes."""
        return hashlib.sha256(self._bytes()).hexdigest()[:16]

    def _bytes(self) -> bytes:
        """Raises PbbError where there is no such file, or where it is Python."""
        path = Path(self.path)
        try:
            if path.is_dir() or path.suffix == ".py":
                raise PbbError(
                    f"data.path: {path} is Python and not yet programs: "
                    f"`pbb harvest {path} --out programs.jsonl --allow-code` makes them, then give that file"
                )
            data = path.read_bytes()
        except (OSError, ValueError) as e:  # ValueError: no path at all
            why = e.strerror if isinstance(e, OSError) else e
            raise PbbError(f"data.path: cannot read {self.path!r}: {why}: give a programs.jsonl") from e
        if data.startswith(MARK):
            raise PbbError(
                f"data.path: {path}:1: the file begins with a byte order mark: save it as UTF-8 without one"
            )
        return data
