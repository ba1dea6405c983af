"""Programs that a user brings: a recipe's set drawn from a `programs.jsonl`, by hand or by `pbb harvest`.

The file's own words are taken as they are; `pbb data check` holds them against execution. What is looked after here is what a result would
be worthless without: names that tell programs apart, enough inputs, and no w/o IO program that behaves like another one.
"""

from __future__ import annotations

import ast
import hashlib
import random
import re
from collections import Counter
from pathlib import Path
from typing import Literal

from pbb.errors import PbbError
from pbb.programs.calls import Asked, remarks, with_values
from pbb.programs.family import Data, Report
from pbb.programs.isolation import Isolated
from pbb.programs.observed import MODULES
from pbb.programs.program import Program, read_programs
from pbb.programs.twins import twins


def defines(source: str, entry: str) -> bool:
    """Whether a text is Python with a function of that name at its top level; nothing is run."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(isinstance(node, ast.FunctionDef) and node.name == entry for node in tree.body)


def tells(p: Program) -> list[str]:
    """The calls of its own that a source tells: with values in a docstring or comment, or those of its examples, in its code too."""
    return with_values(remarks(p.source), p.entry) + Asked(p, p.examples).told(p.source)


class Brought(Data):
    """Programs from a file. Which of them are w/ IO and w/o IO is drawn by the seed.

    longest: characters of a source, and of a call with its output, beyond which a program or an example is left out.
    allow_code: whether these programs may be executed (isolated), to find twins and to judge the wrong-source arm.
    """

    code = ("pbb.programs.brought", "pbb.programs.calls", "pbb.programs.twins", "pbb.programs.observed")
    templates = "python"
    family: Literal["file"] = "file"
    path: str
    longest: int | None = None
    allow_code: bool = False

    def programs(self, seed: int, asked: int, report: Report) -> list[Program]:
        """`io` and `source_only` of the file's programs, each with as many examples of both splits as asked for, at least one of each.

        Raises:
            PbbError: the file is no programs.jsonl, two programs share a name, or too few are left.
        """
        known = self._read()
        fit = [p for p in map(self._cut, known) if p is not None]
        found = self._twins(fit, asked, report)
        rng = random.Random(f"split:{seed}")
        order = rng.sample(fit, len(fit))
        words = Counter(word for p in fit for word in set(re.findall(r"\w+", p.source)))
        alone = [p for p in order if p.name not in found and words[p.entry] <= 1 and not tells(p)]
        wanted = self.io + self.source_only
        if len(fit) < wanted or len(alone) < self.source_only:
            raise PbbError(
                f"data: {self.path}: {len(known)} programs, {len(fit)} of them with {self.test_inputs} held-out calls and short enough, "
                f"{len(alone)} without a behavioural twin, in no other's source and without a call in their own: "
                f"{self.io} w/ IO and {self.source_only} w/o IO are asked for: "
                "lower data.io or data.source_only, raise data.longest, or bring more"
            )
        unseen = alone[: self.source_only]
        names = {p.name for p in unseen}
        shown = [p for p in order if p.name not in names][: self.io]
        return [p.model_copy(update={"group": "source_only"}) for p in unseen] + [
            p.model_copy(update={"group": "io"}) for p in shown
        ]

    def _read(self) -> list[Program]:
        path = Path(self.path)
        if path.is_dir() or path.suffix == ".py":
            raise PbbError(
                f"data.path: {path} is Python and not yet programs: "
                f"`pbb harvest {path} --out programs.jsonl --allow-code` makes them, then give that file"
            )
        known = read_programs(path)
        for names in ([p.name for p in known], [p.entry for p in known]):
            twice = [name for name, count in Counter(names).items() if count > 1]
            if twice:
                raise PbbError(
                    f"data.path: {path}: {twice[0]} is there twice: `pbb data check {path}` lists all faults"
                )
        for p in known:
            if p.source and not defines(p.source, p.entry):
                raise PbbError(
                    f"data.path: {path}: {p.name}: its source is no Python that defines {p.entry!r}: `pbb data check {path}` lists all faults"
                )
        return known

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
        try:
            return hashlib.sha256(Path(self.path).read_bytes()).hexdigest()[:16]
        except (OSError, ValueError) as e:  # ValueError: no path at all
            if Path(self.path).is_dir():
                self._read()
            why = e.strerror if isinstance(e, OSError) else e
            raise PbbError(f"data.path: cannot read {self.path!r}: {why}: give a programs.jsonl") from e
