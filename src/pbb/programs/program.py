"""What a program is, and the file that holds programs.

One line of `programs.jsonl`, as it passes between the rooms and as a user brings it::

    {"name": "Zibdax", "entry": "Zibdax", "source": "def Zibdax(x):\\n    a = x * 3\\n    return a\\n",
     "prose": "Multiply x by 3 to get a. Return a.", "statements": ["a = x * 3"], "paths": [["a = x * 3"]],
     "family": "arithmetic", "group": "source_only",
     "examples": [{"args": [7], "kwargs": {}, "output": 21, "split": "test", "trace": [...]}],
     "facts": {"length": 1, "ops": ["*"], "branches": 0, "loops": 0}, "origin": {"seed": 0}}
"""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pbb.errors import PbbError

Group = Literal["io", "source_only", "io_composed", "source_only_composed"]
"""What may be trained on. Programs that call others are groups of their own: every accuracy is of one group, so that single programs and
composites never stand in one figure, and whoever asks for `source_only` gets what that has always meant."""
Single = Literal["io", "source_only"]
Split = Literal["train", "test"]


DIGITS = 4_000
HUGE = 10**DIGITS
MOST = 1_000_000  # characters of an example's literal


class TraceStep(BaseModel):
    """One executed statement: `target = expression = value`, taken because `test` came out as `outcome`.

    `expression` is the right-hand side with every variable replaced by its value ("7 * 3"); `line` is the 1-based
    number of the statement within the program's steps.
    """

    model_config = ConfigDict(frozen=True)
    line: int
    target: str
    expression: str
    value: Any
    test: str | None = None
    outcome: bool | None = None


class Example(BaseModel):
    """One call of a program and what it returns.

    In the file, where JSON would change a value (a tuple, a dict whose keys are no strings, an integer beyond 64 bits), a further field holds
    arguments, keyword arguments and output as Python writes them: `"exact": "([(1, 2)], {}, (3, 4))"`. What is read is what was written.

    `trace` holds the executed statements where the family gives them: steps, or lines of working as they are to be written.
    """

    model_config = ConfigDict(extra="forbid")
    args: list[Any]
    kwargs: dict[str, Any] = Field(default_factory=dict)
    output: Any
    split: Split
    trace: Sequence[TraceStep | str] | None = None

    @model_validator(mode="before")
    @classmethod
    def _exactly(cls, record: Any) -> Any:
        if not isinstance(record, dict) or "exact" not in record:
            return record
        try:
            if len(record["exact"]) > MOST:
                raise ValueError
            args, kwargs, output = ast.literal_eval(record["exact"])
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as e:
            raise ValueError("exact: expected a Python literal of (args, kwargs, output)") from e
        return {k: v for k, v in record.items() if k != "exact"} | {
            "args": args,
            "kwargs": kwargs,
            "output": output,
        }

    @model_validator(mode="after")
    def _writable(self) -> Example:
        waiting: list[Any] = [self.args, self.kwargs, self.output]
        while waiting:
            value = waiting.pop()
            if isinstance(value, list | tuple | set | frozenset):
                waiting += value
            elif isinstance(value, dict):
                waiting += [*value.keys(), *value.values()]
            elif isinstance(value, int) and abs(value) >= HUGE:
                raise ValueError(f"an integer of more than {DIGITS} digits, which Python does not write down")
            elif isinstance(value, str) and not value.isascii():
                value.encode()  # half of a character raises a ValueError: no file holds it
        return self

    def exact(self) -> str | None:
        """Arguments, keyword arguments and output as a Python literal; None where JSON keeps all of them as they are."""
        values = (self.args, self.kwargs, self.output)
        return None if all(_kept(v) for v in values) else repr(values)

    def call(self, name: str) -> str:
        """The call as source text, e.g. `Zibdax(7)`."""
        parts = [repr(a) for a in self.args] + [f"{k}={v!r}" for k, v in self.kwargs.items()]
        return f"{name}({', '.join(parts)})"


class Facts(BaseModel):
    """Measures of difficulty that scores are broken down by."""

    length: int
    ops: list[str] = Field(default_factory=list)
    branches: int = 0
    loops: int = 0


class Program(BaseModel):
    """A named function with source code, a prose twin, and examples; `group` says what may be trained on.

    `statements` are the body's lines without the return; `paths` holds, for each statement, the ways through it as a trace
    would show them with variables in place of values (two for a branch). Both come from the source alone. `statement` says what the
    program is for, where that belongs to the pointer (a word problem); it holds no example of a call.

    `needs` names the programs that this one calls, in the order in which they run, each on what the one before returns; `parts` are those
    themselves, put in by `link`. Such a composite without a source is *only named*: it is asked for as the nested call.
    """

    name: str
    entry: str
    source: str
    prose: str | None = None
    statement: str = ""
    statements: list[str] = Field(default_factory=list)
    paths: list[list[str]] = Field(default_factory=list)
    needs: list[str] = Field(default_factory=list)
    parts: list[Program] = Field(default_factory=list, exclude=True, repr=False)
    family: str
    group: Group
    examples: list[Example]
    facts: Facts
    origin: dict[str, Any] = Field(default_factory=dict)

    def head(self) -> str:
        """The call that declarations point with, parameters in place of values: `Zibdax(x)`."""
        if self.only_named:
            return self._nested(self.parts[0].head())
        parameters = next(
            (
                [a.arg for a in [*node.args.posonlyargs, *node.args.args]]
                + [f"*{a.arg}" for a in [node.args.vararg] if a]
                for node in ast.walk(ast.parse(self.source))
                if isinstance(node, ast.FunctionDef) and node.name == self.entry
            ),
            ["x"],
        )
        return f"{self.entry}({', '.join(parameters)})"

    @property
    def only_named(self) -> bool:
        """Whether it is a composite without a source of its own."""
        return bool(self.needs) and not self.source

    def call(self, e: Example) -> str:
        """The call as it is asked: `Zibdax(7)`; where only the parts have names, `Flurb(Zibdax(7))`."""
        return self._nested(e.call(self.needs[0])) if self.only_named else e.call(self.entry)

    def _nested(self, call: str) -> str:
        for name in self.needs[1:]:
            call = f"{name}({call})"
        return call

    def job(self, calls: Sequence[Example]) -> tuple[str, str, list[list[Any]]]:
        """What executes calls (see `pbb.programs.sandbox`): source, entry, and their inputs; keyword arguments go by a function of their own."""
        if not any(e.kwargs for e in calls):
            return self.definitions(), self.entry, [list(e.args) for e in calls]
        return *with_keywords(self.definitions(), self.entry), [[list(e.args), e.kwargs] for e in calls]

    def definitions(self) -> str:
        """All source that running it takes: that of its parts, then its own, which for one that is only named is made here."""
        if not self.needs:
            return self.source
        own = self.source
        if self.only_named:
            head = self.parts[0].head()
            own = f"def {self.entry}{head[head.index('(') :]}:\n    return {self._nested(head)}\n"
        return "".join([*(q.definitions().rstrip("\n") + "\n" for q in self.parts), own])

    def calls(self, split: Split) -> list[Example]:
        """The examples of one split, in file order."""
        return [e for e in self.examples if e.split == split]

    def twins(self) -> list[str]:
        """The programs that `origin` says give the same outputs."""
        stated = self.origin.get("twins")
        return [name for name in stated if isinstance(name, str)] if isinstance(stated, list) else []


def link(programs: Sequence[Program]) -> list[Program]:
    """The programs, composites with the programs that they need.

    Raises:
        PbbError: one needs a program that is not among them, or that is a composite itself.
    """
    known = {p.name: p for p in programs if not p.needs}
    linked = []
    for p in programs:
        if unknown := [name for name in p.needs if name not in known]:
            raise PbbError(f"programs: {p.name} needs {unknown[0]}: bring that program, which calls no other")
        linked.append(p.model_copy(update={"parts": [known[name] for name in p.needs]}) if p.needs else p)
    return linked


def write_programs(programs: Iterable[Program], path: Path) -> None:
    """Write `programs.jsonl` so that a reader sees either the whole file or none; what fails leaves nothing beside it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")  # a name that no user's file has
    try:
        with temporary.open("w", encoding="utf-8") as f:
            for p in programs:
                f.write(json.dumps(_record(p), separators=(",", ":")) + "\n")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)  # nothing is there any more where all went well


def _kept(value: object) -> bool:
    """Whether any reader of JSON gives a literal back with its types; many know integers of 64 bits only."""
    if isinstance(value, list):
        return all(map(_kept, value))
    if isinstance(value, dict):
        return all(isinstance(k, str) and _kept(v) for k, v in value.items())
    return not (isinstance(value, tuple) or (isinstance(value, int) and not -(2**63) <= value < 2**63))


def _plain(value: object) -> object:
    """As near as JSON comes to a literal."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {k if isinstance(k, str) else repr(k): _plain(v) for k, v in value.items()}
    return value if _kept(value) else str(value)


def _record(p: Program) -> dict[str, Any]:
    """The line of a program, without the optional fields that are empty; an output of None is no empty field."""
    record = p.model_dump()
    if p.prose is None:
        del record["prose"]
    if not p.statement:
        del record["statement"]
    if not p.needs:
        del record["needs"]
    for example, e in zip(record["examples"], p.examples, strict=True):
        if exact := e.exact():
            example |= {"exact": exact} | {k: _plain(example[k]) for k in ("args", "kwargs", "output")}
        if example["trace"] is None:
            del example["trace"]
        for step in example.get("trace", ()):
            if isinstance(step, dict) and step["test"] is None:
                del step["test"], step["outcome"]
    return record


def with_keywords(source: str, entry: str) -> tuple[str, str]:
    """A source with a function, and that function's name, which calls `entry` with a list of arguments and a dict of keyword arguments."""
    return f"{source}\ndef _pbb_called(args, kwargs):\n    return {entry}(*args, **kwargs)\n", "_pbb_called"


def read_programs(path: Path) -> list[Program]:
    """Read `programs.jsonl`.

    Raises:
        PbbError: the file is missing, a line is not a program (with its number and the first fault), or a composite's part is missing.
    """
    return link(list(_programs(path)))


def _programs(path: Path) -> Iterator[Program]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as e:
        raise PbbError(f"cannot read programs: {path}: {e}") from e
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield Program.model_validate_json(line)
            except ValidationError as e:
                first = e.errors()[0]
                where = ".".join(str(part) for part in first["loc"]) or "line"
                raise PbbError(f"not a program: {path}:{number}: {where}: {first['msg']}") from e
