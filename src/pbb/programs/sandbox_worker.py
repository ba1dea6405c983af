"""The far side of the sandbox: a small interpreter that forks a confined child for every batch of programs.

`sandbox.Worker` starts this file as a script in a fresh interpreter, so it imports nothing but the standard
library and nothing of pbb. The server (`serve`) reads batches from standard input, forks, and watches the
child's pipe: a child that is silent for longer than one program may take is killed from outside, because an
alarm inside the child can hang in C code. The child (`confine`, then `run`) sends one line of JSON a program,
as soon as the program is done.

Contract: one batch in, one reply out, `(ending, lines)`; whatever a program does, the server stays alive.
"""

from __future__ import annotations

import ast
import builtins
import itertools
import json
import marshal
import math
import os
import resource
import select
import signal
import struct
import sys
import time
import unicodedata  # noqa: F401  (compile() loads it for names beyond ASCII; once confined is too late)
from collections.abc import Callable
from contextlib import suppress
from types import CodeType, FrameType
from typing import Any, NoReturn, cast

HEADER = struct.Struct("<cQ")  # how it ended, bytes that follow
ENDED, DEADLINE, FLOOD = b"e", b"d", b"f"  # the child was done or died; was silent too long; wrote too much
MAX_REPLY = 64 << 20  # bytes of one batch's answers
MAX_OUTPUT = 10_000  # characters of one output, about; an answer that long is no use to anyone
MAX_DEPTH = 20  # nesting of one output
NOBODY = 65534
FILE = "<program>"

ALLOWED = (
    "abs all any bin bool chr dict divmod enumerate filter float frozenset hex int isinstance iter len list",
    "map max min next oct ord pow range repr reversed round set slice sorted str sum tuple zip",
    "ArithmeticError AssertionError AttributeError Exception IndexError KeyError LookupError NameError",
    "OverflowError RecursionError RuntimeError StopIteration TypeError ValueError ZeroDivisionError",
)
MODULES = {"math": math, "itertools": itertools}  # written in C: no module of theirs leads any further
# With these (and every name in double underscores) a program climbs from a value to the interpreter round it.
FRAMES = {"gi_frame", "gi_code", "cr_frame", "cr_code", "ag_frame", "ag_code", "tb_frame", "tb_next", "mro",
          "f_back", "f_globals", "f_builtins", "f_locals", "f_code"}  # fmt: skip


def _import(name: str, *_: object) -> object:
    if name not in MODULES:
        raise ImportError(f"a program may import {' and '.join(MODULES)} only, not {name}")
    return MODULES[name]


BUILTINS: dict[str, Any] = {name: getattr(builtins, name) for name in " ".join(ALLOWED).split()}
BUILTINS["__import__"] = _import


class NotALiteral(ValueError):
    """An output that cannot be written down as a short Python literal."""


def encode(value: object, depth: int = 0, room: list[int] | None = None) -> object:
    """A value as JSON that keeps types apart: [..] is a list, {"tuple": [..]}, {"dict": [[key, value], ..]}.

    Raises NotALiteral for other types (also subclasses), floats that are not finite, and what is too long
    or too deep.
    """
    room = [MAX_OUTPUT] if room is None else room
    kind = type(value)
    if kind is str:
        room[0] -= len(value)  # type: ignore[arg-type]
    elif kind is int:
        room[0] -= value.bit_length() // 3  # type: ignore[attr-defined]
        if value.bit_length() > 14_000:  # type: ignore[attr-defined]  # Python itself prints no more than 4,300 digits
            raise NotALiteral("an integer of more than 4,200 digits")
    elif kind is float:
        if not math.isfinite(value):  # type: ignore[arg-type]
            raise NotALiteral(f"{value}")
    elif kind not in (bool, type(None), list, tuple, dict):
        raise NotALiteral(f"a {kind.__name__}")
    room[0] -= 2
    if room[0] < 0:
        raise NotALiteral(f"longer than about {MAX_OUTPUT} characters")
    if kind not in (list, tuple, dict):
        return value
    if depth == MAX_DEPTH:
        raise NotALiteral(f"nested deeper than {MAX_DEPTH}")
    if kind is dict:
        pairs = value.items()  # type: ignore[attr-defined]
        return {"dict": [[encode(k, depth + 1, room), encode(v, depth + 1, room)] for k, v in pairs]}
    items = [encode(item, depth + 1, room) for item in value]  # type: ignore[attr-defined]
    return items if kind is list else {"tuple": items}


def _error(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {str(error)[:200]}"
    except Exception:  # such as a KeyError of an integer too long to print
        return type(error).__name__


def _refuse_ladders(code: CodeType) -> None:
    """Raise NameError where a program names something from which it can climb out of its own values."""
    names = list(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            _refuse_ladders(constant)
        elif isinstance(constant, tuple):  # the attributes that a class pattern (`case f(x=y)`) asks for
            names += [name for name in constant if isinstance(name, str)]
    for name in names:
        if name in FRAMES or (name.startswith("__") and name.endswith("__")):
            raise NameError(f"a program may not use the name {name}")


Load = Callable[["str | ast.Module", str], Any]
"""From source (or what it parses to) and entry to the function, which is the entry's value once the source has been executed."""
Confine = Callable[[float, int], None]
"""Give up rights, within seconds of processor time and megabytes of memory."""


def load(source: str | ast.Module, entry: str) -> Any:
    """The function that a program defines, with nothing in reach but the allowed builtins."""
    code = compile(source, FILE, "exec")
    _refuse_ladders(code)
    space: dict[str, Any] = {"__builtins__": BUILTINS.copy(), "__name__": "program"}
    exec(code, space)
    return space[entry]


def call_all(load: Load, source: str, entry: str, inputs: list[tuple[object, ...]]) -> object:
    """[outputs, {index: error}]; outputs are encoded, and null where there is an error."""
    try:
        function = load(source, entry)
    except BaseException as error:
        return [[None] * len(inputs), dict.fromkeys(range(len(inputs)), _error(error))]
    outputs: list[object] = []
    errors: dict[int, str] = {}
    for args in inputs:
        try:
            value = function(*args)
            # most outputs are small integers: spare them the call
            outputs.append(value if type(value) is int and -(2**63) < value < 2**63 else encode(value))
        except BaseException as error:
            errors[len(outputs)] = _error(error)
            outputs.append(None)
    return [outputs, errors]


class TooManySteps(BaseException):
    """The trace is full; a BaseException, so that a program's `except Exception` lets it pass."""


class _Apart(ast.NodeTransformer):
    """Gives every comprehension a frame of its own, which the trace passes over.

    Since Python 3.12 it has none (PEP 709): each of its rounds would be a line of the function, and its variables the function's.
    """

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        """A class body's own comprehensions stay: from a frame of their own they would not see the names of the class."""
        scopes = (ast.FunctionDef, ast.ClassDef)
        node.body = [self.visit(s) if isinstance(s, scopes) else s for s in node.body]
        return node

    def _apart(self, node: ast.expr) -> ast.expr:
        # A generator expression and no lambda, so that := inside still binds a name of the function.
        apart: Any = ast.parse("(*(0 for pbb_once in (0,)),)[0]", mode="eval").body
        for new in ast.walk(apart):
            ast.copy_location(new, node)
        apart.value.elts[0].value.elt = self.generic_visit(node)
        return cast(ast.expr, apart)

    visit_ListComp = visit_SetComp = visit_DictComp = _apart


def trace(load: Load, source: str, entry: str, args: tuple[object, ...], max_steps: int) -> object:
    """[lines, error]; a line is [function, line number, locals before, locals after, [returned] or []]."""
    lines: list[list[Any]] = []
    running: dict[FrameType, list[Any]] = {}  # the line that each frame is in
    bound: dict[
        FrameType, dict[str, None]
    ] = {}  # its names as they were bound, an order that f_locals has up to 3.12
    raising: set[FrameType] = set()
    cut = f"TooManySteps: more than {max_steps}"
    error: str | None = None

    def snapshot(frame: FrameType) -> dict[str, object]:
        now, seen = frame.f_locals, dict[str, object]()
        before = bound.get(frame, {})
        bound[frame] = {name: None for name in before if name in now} | dict.fromkeys(now)
        for name in bound[frame]:
            try:
                seen[name] = encode(now[name])
            except NotALiteral:
                continue  # a function or an iterator has no value that could be written into a trace
        return seen

    def event(frame: FrameType, what: str, result: object) -> Any:
        nonlocal error
        if frame.f_code.co_filename != FILE or frame.f_code.co_name.startswith("<"):
            return None  # the tracer's own calls, comprehensions, lambdas and the module body
        if what == "exception":
            raising.add(frame)
        if what not in ("line", "return"):
            return event
        now = snapshot(frame)
        last = running.pop(frame, None)
        if last is not None:
            last[3] = now
            if what == "return" and frame not in raising:
                with suppress(NotALiteral):
                    last[4] = [encode(result)]
        raising.discard(frame)
        if what == "line":
            if len(lines) == max_steps:
                error = cut
                raise TooManySteps
            running[frame] = [frame.f_code.co_name, frame.f_lineno, now, {}, []]
            lines.append(running[frame])
        return event

    try:
        function = load(_Apart().visit(ast.parse(source, FILE)), entry)
        sys.settrace(event)
        try:
            value = function(*args)
        finally:
            sys.settrace(None)
        encode(value)
    except BaseException as failure:
        error = error or _error(failure)
    return [lines, error]


def confine(seconds: float, megabytes: int) -> None:
    """Give up for good what this process can do without: first the user, whom limits are counted for."""
    if os.geteuid() == 0:  # root is exempt from the limit on processes, and reads every file
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        except OSError:  # a container without the right to change users: the other limits still hold
            pass
    cpu = math.ceil(seconds) + 1  # later than the deadline, which says better what happened
    for limit, soft, hard in (
        (resource.RLIMIT_CPU, cpu, cpu + 1),
        (resource.RLIMIT_AS, megabytes << 20, megabytes << 20),
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_NPROC, 0, 0),
        (resource.RLIMIT_NOFILE, 0, 0),  # what is open stays open; nothing else can be opened
    ):
        resource.setrlimit(limit, (soft, hard))


def run(kind: str, jobs: list[tuple[Any, ...]], pipe: int, load: Load) -> None:
    """Do the jobs in order; one line of JSON for each into the pipe, at once."""
    works: dict[str, Callable[..., object]] = {"call": call_all, "trace": trace}
    for job in jobs:
        line = memoryview(json.dumps(works[kind](load, *job)).encode() + b"\n")
        while line:
            line = line[os.write(pipe, line) :]


def _child(
    pipe: int,
    load: Load,
    confine: Confine,
    kind: str,
    jobs: list[tuple[Any, ...]],
    seconds: float,
    megabytes: int,
) -> NoReturn:
    try:
        for descriptor in range(3):
            os.close(descriptor)
        # the deadline is one for each program, but the processor's clock counts the whole batch
        confine(seconds * len(jobs), megabytes)
        run(kind, jobs, pipe, load)
        os._exit(0)
    finally:
        os._exit(1)


def _watch(pipe: int, seconds: float, jobs: int) -> tuple[bytes, bytes]:
    """All that the child wrote, at most a line for each job, and how it ended."""
    chunks: list[bytes] = []
    size = lines = 0
    deadline = time.monotonic() + seconds
    while size < MAX_REPLY:
        ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return DEADLINE, b"".join(chunks)
        chunk = os.read(pipe, 1 << 20)
        if not chunk:
            return ENDED, b"".join(chunks)
        chunks.append(chunk)
        size += len(chunk)
        if b"\n" in chunk:  # a program is done: the next one has all of its own time
            lines += chunk.count(b"\n")
            if lines > jobs:  # a program that broke out may write lines for ever
                break
            deadline = time.monotonic() + seconds
    return FLOOD, b"".join(chunks)


def _forked(
    load: Load, confine: Confine, kind: str, jobs: list[tuple[Any, ...]], seconds: float, megabytes: int
) -> tuple[bytes, bytes]:
    near, far = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(near)
        _child(far, load, confine, kind, jobs, seconds, megabytes)
    os.close(far)
    try:
        return _watch(near, seconds, len(jobs))
    finally:
        os.close(near)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def serve(load: Load = load, confine: Confine = confine) -> None:
    """Answer batches from standard input until it is closed; other code than pbb's own needs another load and confine."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while header := source.read(HEADER.size):
        _, size = HEADER.unpack(header)
        ending, lines = _forked(load, confine, *marshal.loads(source.read(size)))
        sink.write(HEADER.pack(ending, len(lines)))
        sink.write(lines)
        sink.flush()


if __name__ == "__main__":
    serve()
