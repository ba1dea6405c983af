"""Executes programs that pbb has generated itself, with limits: their outputs, and their line-by-line traces.

A `Worker` is a small interpreter beside this process (`sandbox_worker.py`), so that a process with torch
loaded never forks. It forks a child for every batch of programs; the child drops root, has no files, no
further processes, limited memory and processor time, few builtins, and is killed from outside once a program
has had its time. A batch goes on after the program that broke it, so an endless loop costs its own deadline
and nobody else's.

What this does not protect against: a program that somebody wrote in order to break out. Whitelisted builtins
are no wall in Python; a value leads to its class, a class to the interpreter. Names that make such ladders
are refused, which stops the known ones only. Programs of a batch share one interpreter, so one that broke out
could forge the answers of its neighbours; an ordinary user's process could signal that user's other
processes; nothing here closes the network by itself (it takes a file descriptor, and none can be opened).
Third-party programs belong in bubblewrap, not here.

Contract: outputs are literals (int, bool, str, list, tuple, dict, None, finite floats) with their exact
types, the same in every run (the hash seed is fixed); every other ending is an error text; the worker is
alive after each of them.

    with Worker() as worker:
        worker.execute("def Zibble(x):\\n    return 2 * x + 3", "Zibble", [[7], ["a"]])
    [Outcome(value=17, error=None), Outcome(value=None, error='TypeError: can only concatenate str ...')]
"""

from __future__ import annotations

import json
import marshal
import os
import struct
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from pbb.errors import PbbError
from pbb.programs import sandbox_worker as far

BATCH = 256
"""Programs a child runs before the next is forked: a fork costs about as much as twenty programs."""

UNREADABLE = "Killed: an answer that cannot be read"
FORGED = (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError)
"""What decoding an answer raises that `encode` never wrote."""

Job = tuple[str, str, Sequence[Sequence[object]]]
"""Source, entry, inputs: one sequence of positional arguments a call."""

TraceJob = tuple[str, str, Sequence[object]]
"""Source, entry, the positional arguments of one call."""


class Outcome(NamedTuple):
    """What one call gave: its value, or the text of its error (then the value is None)."""

    value: object = None
    error: str | None = None


class TracedLine(NamedTuple):
    """One executed line. Locals hold the values that are literals; functions and iterators are left out."""

    function: str
    lineno: int  # 1 is the first line of the source
    before: dict[str, object]
    after: dict[str, object]
    returned: Outcome | None  # of the line that returns; None for every other


class Traced(NamedTuple):
    """A whole trace, in the order in which the lines began; `error` (or None) says why it is cut short."""

    lines: list[TracedLine]
    error: str | None


class Worker:
    """A sandbox to be used from one thread, as a context manager; it takes 30 ms to start, so keep it."""

    _batch = BATCH

    def __init__(self) -> None:
        if not hasattr(os, "fork"):
            raise PbbError("sandbox: this system cannot fork: run pbb on Linux (on Windows, under WSL)")
        self._server = self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the worker; harmless when it has ended already."""
        self._server.kill()  # it holds nothing that would have to be put in order
        self._server.wait()
        for stream in (self._server.stdin, self._server.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):  # half a request may still be in the buffer
                    stream.close()

    def execute(
        self,
        source: str,
        entry: str,
        inputs: Sequence[Sequence[object]],
        *,
        seconds: float = 2.0,
        megabytes: int = 256,
    ) -> list[Outcome]:
        """One program on its inputs; in `seconds` for all of them. If killed, it fails on all of them."""
        return next(self.execute_many([(source, entry, inputs)], seconds=seconds, megabytes=megabytes))

    def execute_many(
        self, jobs: Iterable[Job], *, seconds: float = 2.0, megabytes: int = 256
    ) -> Iterator[list[Outcome]]:
        """Many programs, lazily, in order: for each the outcomes of its inputs, in `seconds`."""
        plain = ((source, entry, [tuple(args) for args in inputs]) for source, entry, inputs in jobs)
        for job, reply in self._batches("call", plain, seconds, megabytes):
            if isinstance(reply, str):
                yield [Outcome(None, reply)] * len(job[2])
                continue
            try:
                outputs, errors = reply
                # a JSON object or array stands for a list, tuple or dict; all else is the value itself
                outcomes = [Outcome(_decode(v) if type(v) in (list, dict) else v) for v in outputs]
                for index, text in errors.items():
                    outcomes[int(index)] = Outcome(None, str(text))
            except FORGED:
                outcomes = []
            yield outcomes if len(outcomes) == len(job[2]) else [Outcome(None, UNREADABLE)] * len(job[2])

    def trace(
        self, source: str, entry: str, args: Sequence[object], *, max_steps: int = 1000, seconds: float = 2.0
    ) -> list[TracedLine]:
        """The lines that one call executes. Raises PbbError if it fails or takes more than max_steps."""
        traced = next(self.trace_many([(source, entry, args)], max_steps=max_steps, seconds=seconds))
        if traced.error is not None:
            raise PbbError(
                f"trace: {entry}({', '.join(map(repr, args))}): {traced.error}: trace another input"
            )
        return traced.lines

    def trace_many(
        self, jobs: Iterable[TraceJob], *, max_steps: int = 1000, seconds: float = 2.0, megabytes: int = 256
    ) -> Iterator[Traced]:
        """Many traces, lazily, in order; a call that fails is a `Traced` with an error."""
        plain = ((source, entry, tuple(args), max_steps) for source, entry, args in jobs)
        for _, reply in self._batches("trace", plain, seconds, megabytes):
            if isinstance(reply, str):
                yield Traced([], reply)
                continue
            try:
                lines = [
                    TracedLine(
                        name,
                        lineno,
                        _locals(before),
                        _locals(after),
                        Outcome(_decode(end[0])) if end else None,
                    )
                    for name, lineno, before, after, end in reply[0]
                ]
                yield Traced(lines, reply[1])
            except FORGED:
                yield Traced([], UNREADABLE)

    def _batches(
        self, kind: str, jobs: Iterator[tuple[Any, ...]], seconds: float, megabytes: int
    ) -> Iterator[tuple[tuple[Any, ...], Any]]:
        """Every job with its reply: what the child sent, or the text of how it brought its child down."""
        waiting: list[tuple[Any, ...]] = []
        while waiting := waiting + list(islice(jobs, self._batch - len(waiting))):
            ending, lines = self._ask(kind, waiting, seconds, megabytes)
            replies: list[Any] = [_read(line) for line in lines[: len(waiting)]]
            if ending == far.DEADLINE and len(replies) < len(waiting):
                replies.append(f"Deadline: no answer in {seconds:g} s")
            elif not replies:
                # The first of a batch had a child to itself, so it is to blame. A later one may have suffered
                # from what its neighbours left behind: it stays in line, and is the first of the next batch.
                replies.append(
                    "Killed: too many answers" if ending == far.FLOOD else "Killed: the process ended"
                )
            yield from zip(waiting, replies, strict=False)
            waiting = waiting[len(replies) :]

    def _ask(
        self, kind: str, jobs: list[tuple[Any, ...]], seconds: float, megabytes: int
    ) -> tuple[bytes, list[bytes]]:
        try:
            request = marshal.dumps((kind, jobs, seconds, megabytes))
        except ValueError as error:
            raise PbbError(
                f"sandbox: inputs of {jobs[0][1]} or after: {error}: give plain Python literals"
            ) from error
        stdin, stdout = self._server.stdin, self._server.stdout
        assert stdin is not None and stdout is not None  # both are pipes
        try:
            stdin.write(far.HEADER.pack(b"q", len(request)))
            stdin.write(request)
            stdin.flush()
            header = stdout.read(far.HEADER.size)
            ending, size = far.HEADER.unpack(header)
            lines = stdout.read(size).split(b"\n")
        except (BrokenPipeError, struct.error):  # a program that broke out has killed the server
            self.close()
            self._server = self._start()
            return far.ENDED, []
        return ending, lines[:-1]  # what follows the last line end is a line that was never finished

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
            env=self._environment(),
            start_new_session=True,  # a Ctrl-C in the terminal is for pbb, which then closes this
        )

    def _command(self) -> list[str]:
        # -I would also ignore the hash seed, without which the order of a set differs from run to run.
        return [sys.executable, "-s", "-S", "-P", str(Path(far.__file__).resolve())]

    def _environment(self) -> dict[str, str]:
        keep = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
        return {name: os.environ[name] for name in keep if name in os.environ} | {"PYTHONHASHSEED": "0"}


def _read(line: bytes) -> Any:
    """One line of the child's; a program that broke out may have written anything."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return UNREADABLE


def _decode(value: Any) -> object:
    """The inverse of `sandbox_worker.encode`."""
    if isinstance(value, list):
        return [_decode(item) for item in value]
    if isinstance(value, dict):
        if "tuple" in value:
            return tuple(_decode(item) for item in value["tuple"])
        return {_decode(key): _decode(item) for key, item in value["dict"]}
    return value


def _locals(names: dict[str, Any]) -> dict[str, object]:
    return {name: _decode(value) for name, value in names.items()}
