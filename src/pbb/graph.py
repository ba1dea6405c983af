"""What an experiment is made of: steps, each named by a hash of all that its outcome depends on.

A step is a function, a configuration and the steps whose outputs it reads. Two arms that describe the same
stage 1 describe the same step, so that it is trained once; a recipe that changes one number of stage 2 finds
stage 1 done. The idea is that of content-addressed build systems (Nix, Bazel), kept to what one experiment
needs.

Contract in one sentence: the same (kind, function, configuration, source code, parents) gives the same hash
in any process, and any other gives another.
"""

from __future__ import annotations

import ast
import hashlib
import heapq
import importlib.util
import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

ALL = 1 << 10  # cores: of a step that runs beside no other


@dataclass(frozen=True, eq=False)
class Step:
    """One step of an experiment; `hash` names it, `folder` is its place under `<run>/steps/`.

    kind: what sort of step ("train"); label: for people ("train proactive/stage-2"), not part of the hash.
    config: JSON-able, everything that the outcome depends on besides code and parents.
    parents: input name -> the step whose folder is handed to the function under that name.
    function: "package.module:name" of `f(config, inputs, out, progress) -> None`.
    code: names of the modules (or packages, with all their files) whose source is part of the hash; that of the function itself, and of
    what it uses of its own module, always is.
    cores: how many of the run's workers the step takes the place and the threads of; processes: how many call the function side by side
    (see pbb.ranks); expected_seconds: a guess, which only orders the work and feeds the time left, never the outcome.
    """

    kind: str
    label: str
    config: dict[str, Any]
    parents: dict[str, Step]
    function: str
    code: tuple[str, ...] = field(default=())
    cores: int = 1
    processes: int = 1
    expected_seconds: float = 1.0

    @cached_property
    def code_digest(self) -> str:
        """sha256 over the function's source and the names and sources of `code`, in order of name."""
        digest = hashlib.sha256(f"{self.function}={function_digest(self.function)}\n".encode())
        for name in sorted(set(self.code)):
            digest.update(f"{name}={source_digest(name)}\n".encode())
        return digest.hexdigest()

    @cached_property
    def hash(self) -> str:
        """12 hexadecimal digits; TypeError or ValueError where config is no plain JSON."""
        parents = {name: parent.hash for name, parent in self.parents.items()}
        text = json.dumps(
            [self.kind, self.function, self.config, self.code_digest, parents],
            sort_keys=True, separators=(",", ":"), allow_nan=False,
        )  # fmt: skip
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def folder(self) -> str:
        return f"{self.kind}-{self.hash}"

    def inputs_record(self) -> dict[str, Any]:
        """What `inputs.json` holds: enough to see by eye what the folder was made from."""
        return {
            "kind": self.kind,
            "function": self.function,
            "config": self.config,
            "parents": {name: parent.folder for name, parent in self.parents.items()},
            "code": self.code_digest,
        }


def source_files(module: str) -> tuple[Path, list[Path]]:
    """The folder that a module lies in, and its source file or every file of a package; nothing is imported.

    Importing would cost seconds where it pulls in torch, and hashing must stay cheap: a finished run that is
    asked for again does nothing else. Raises ModuleNotFoundError where there is no such module.
    """
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"no source for module {module!r}")
    origin = Path(spec.origin)
    place = (origin.parent if spec.submodule_search_locations else origin.with_suffix("")).joinpath(*rest)
    if place.is_dir():
        files = [
            path for path in sorted(place.rglob("*")) if path.is_file() and "__pycache__" not in path.parts
        ]
    elif place.with_suffix(".py").is_file():
        files = [place.with_suffix(".py")]
    else:
        raise ModuleNotFoundError(f"no source for module {module!r}")
    return place.parent, files


@cache
def source_digest(module: str) -> str:
    """sha256 of what a module's source does, or of every file of a package."""
    folder, files = source_files(module)
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(folder).as_posix()}\0".encode())
        text = path.read_bytes()
        done = doing(text.decode()).encode() if path.suffix == ".py" else text
        digest.update(hashlib.sha256(done).digest())
    return digest.hexdigest()


def doing(source: str) -> str:
    """A module without what changes no outcome: comments, docstrings (those of attributes too) and blank lines; all else to the letter.

    A better word in a docstring is to retrain nothing.
    """
    lines = [line.encode() for line in source.split("\n")]  # places in a syntax tree count bytes
    gone: set[int] = set()
    strings: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr) or (
            isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
        ):
            last = node.end_lineno or node.lineno
            for row in range(node.lineno, last + 1):
                start = node.col_offset if row == node.lineno else -1
                end = node.end_col_offset if row == last else None
                strings[row].append((start, math.inf if end is None else end))
        body = getattr(node, "body", None)
        said = [s for s in body if _said(s)] if isinstance(body, list) else []
        for statement in said:
            gone.update(range(statement.lineno, (statement.end_lineno or 0) + 1))
        if said and said == body:  # which must not be empty
            gone.remove(said[0].lineno)
            lines[said[0].lineno - 1] = b" " * said[0].col_offset + b'""'
    for row, line in enumerate(lines, 1):
        for found in re.finditer(b"#", line):
            if not any(start <= found.start() < end for start, end in strings[row]):
                lines[row - 1] = line[: found.start()].rstrip()
                break
        if not lines[row - 1].strip() and not any(start < 0 for start, _ in strings[row]):
            gone.add(row)
    return b"\n".join(line for row, line in enumerate(lines, 1) if row not in gone).decode()


def _said(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(getattr(statement.value, "value", None), str)


@cache
def function_digest(function: str) -> str:
    """sha256 of the source of a "package.module:name", and of all that it names of its own module, imports too, and so on.

    The whole module would not do: the one that joins the rooms changes often, and mostly for other steps.
    """
    module, _, name = function.partition(":")
    _, (path,) = source_files(module)
    text = doing(path.read_text(encoding="utf-8"))
    places: dict[str, list[ast.stmt]] = {}
    for node in ast.parse(text).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        imported = node.names if isinstance(node, ast.Import | ast.ImportFrom) else []
        named = [
            getattr(node, "name", None),
            *(n.id for t in targets if t for n in ast.walk(t) if isinstance(n, ast.Name)),
            *((alias.asname or alias.name).partition(".")[0] for alias in imported),
        ]
        for known in filter(None, named):
            places.setdefault(known, []).append(node)
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        if (known := waiting.pop()) in places and known not in seen:
            seen.add(known)
            waiting += [n.id for node in places[known] for n in ast.walk(node) if isinstance(n, ast.Name)]
    lines = text.splitlines(keepends=True)
    digest = hashlib.sha256()
    for known in sorted(seen):
        for node in places[known]:
            first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
            digest.update(f"{known}\0{''.join(lines[first - 1 : node.end_lineno])}\0".encode())
    return digest.hexdigest()


def modules_needed(steps: Iterable[Step]) -> list[str]:
    """The modules that hold the steps' functions or that `code` names, packages with all of theirs."""
    needed = set()
    for name in {name for step in steps for name in (step.function.partition(":")[0], *step.code)}:
        folder, files = source_files(name)
        parent = name.rpartition(".")[0]
        for path in files:
            if path.suffix == ".py" and path.name != "__main__.py":
                inner = ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
                needed.add(f"{parent}.{inner}" if parent else inner)
    return sorted(needed)


def ordered(steps: Iterable[Step]) -> list[Step]:
    """The steps and all that they rest on, each hash once, parents first, else in the order given."""
    seen: dict[str, Step] = {}

    def visit(step: Step) -> None:
        if step.hash not in seen:
            for parent in step.parents.values():
                visit(parent)
            seen[step.hash] = step

    for step in steps:
        visit(step)
    return list(seen.values())


def critical_seconds(steps: Iterable[Step]) -> dict[str, float]:
    """By hash: expected seconds from a step's start to the end of the longest chain that waits for it."""
    order = ordered(steps)
    longest = {step.hash: step.expected_seconds for step in order}
    for step in reversed(order):
        for parent in step.parents.values():
            longest[parent.hash] = max(longest[parent.hash], parent.expected_seconds + longest[step.hash])
    return longest


def seconds_left(
    steps: Iterable[Step], left: Mapping[str, float], running: Iterable[str], workers: int
) -> float:
    """Seconds until all is done if every step takes what `left` says (by hash; a step not in it is done).

    Plays the schedule of `run.execute` forward: longest critical path first, `workers` at once, none
    overtaking.
    """
    order = [step for step in ordered(steps) if step.hash in left]
    critical = critical_seconds(order)
    cores = {step.hash: min(step.cores, workers) for step in order}
    missing = {step.hash: {p.hash for p in step.parents.values() if p.hash in left} for step in order}
    started = {key for key in running if key in left}
    ends = [(left[key], key) for key in started]
    heapq.heapify(ends)
    free = workers - sum(cores[key] for key in started)
    now = 0.0
    while True:
        ready = [key for key, waits in missing.items() if not waits and key not in started]
        for key in sorted(ready, key=lambda key: -critical[key]):
            if cores[key] > free:
                break
            started.add(key)
            free -= cores[key]
            heapq.heappush(ends, (now + left[key], key))
        if not ends:
            return now
        now, finished = heapq.heappop(ends)
        free += cores[finished]
        for waits in missing.values():
            waits.discard(finished)
