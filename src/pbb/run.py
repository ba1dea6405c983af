"""Executes a graph of steps over local processes, each cached under a hash of all that it depends on.

A step that is done is not done again, within a run and between runs of the same recipe; a step that was
stopped goes on from what its function finds in the folder. Which steps run side by side, and in which order,
changes no outcome.

Contract in one sentence: after `execute` every step's folder is finished as `pbb.folder` defines it, or one
exception says which is not and why.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import connection
from pathlib import Path
from types import FrameType
from typing import Any

from pbb import folder as folders
from pbb import forked
from pbb.durations import BELIEF, expected
from pbb.errors import PbbError
from pbb.graph import Step, critical_seconds, modules_needed, ordered, seconds_left
from pbb.machine import available_cores
from pbb.progress import Display, Pace, Silent
from pbb.worker import Task, work

EVENT_EVERY = 5.0  # seconds between two "progress" events of one step
DRAW_EVERY = 0.5  # seconds between two estimates of the time left
GRACE = 10.0  # seconds that a stopped step has before it is killed
FAULTS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT)
"""How a process ends whose libraries fail below Python. It has happened by chance, once in some hundreds; so its step is tried once more."""


class StepCrashed(Exception):
    """A step failed otherwise than by a PbbError; the message is one line and names a file with more."""


class Stopped(Exception):
    """The run was stopped by a signal; everything that is on disk serves the next attempt."""

    def __init__(self, number: int) -> None:
        super().__init__("stopped")
        self.exit_code = 128 + number


@dataclass(frozen=True)
class Outcome:
    """What `execute` did: steps that it ran, steps found done (or done by another process), wall seconds."""

    ran: int
    reused: int
    seconds: float


def at_once(workers: int | None, threads: int) -> int:
    """How many steps run at once: `workers`, by default as many as the cores allow; PbbError where either is less than 1."""
    if threads < 1 or (workers is not None and workers < 1):
        raise PbbError(f"workers and threads: {workers} and {threads}: give whole numbers from 1")
    return workers or max(1, available_cores() // threads)


def execute(
    steps: Sequence[Step],
    run_dir: Path,
    *,
    workers: int | None = None,
    threads: int = 1,
    display: Display | None = None,
    preload: Sequence[str] | None = None,
    slower: Mapping[str, float] | None = None,
) -> Outcome:
    """Make every step, and all that they rest on, done.

    workers: steps at once, by default as many as the cores allow; threads: numeric threads within each step.
    preload: modules for the server that the steps' processes are forked from to import once, by default those
    that the steps' functions and code name; it takes effect with the first call of a process that has
    something to run.
    slower: by kind of step, how many times as long as expected they take here (see `pbb.durations.shown`).

    Raises PbbError where a step did, StepCrashed where a step failed otherwise, Stopped
    after SIGINT or SIGTERM. The other steps that were running are stopped in each case, and go on from where
    they were at the next call.
    """
    places = at_once(workers, threads)
    return _Engine(
        ordered(steps), run_dir, places, threads, display or Silent(), preload, slower or {}
    ).execute()


@dataclass
class _Running:
    step: Step
    process: Any  # multiprocessing.context.ForkServerProcess, which exists on POSIX only
    pipe: connection.Connection
    pace: Pace
    last: tuple[Any, ...] = ()  # the closing message, once it came
    event_at: float = field(default=0.0)
    resumed: bool = False


class _Engine:
    def __init__(
        self,
        steps: list[Step],
        run_dir: Path,
        workers: int,
        threads: int,
        display: Display,
        preload: Sequence[str] | None,
        slower: Mapping[str, float],
    ) -> None:
        self.steps, self.run_dir, self.display = steps, run_dir.absolute(), display
        self.workers, self.threads, self.preload = workers, threads, preload
        self.critical = critical_seconds(steps)
        self.guessed = expected(steps, slower)
        self.running: dict[str, _Running] = {}
        self.done: set[str] = set()
        self.faulty: set[str] = set()
        self.signals: list[int] = []
        self.taken = self.expected = 0.0  # seconds, over the steps that ran to their end here
        self.ran = 0
        self.drawn = 0.0

    def folder(self, step: Step) -> Path:
        return self.run_dir / "steps" / step.folder

    def execute(self) -> Outcome:
        begun = time.monotonic()
        self.done = {step.hash for step in self.steps if folders.state(self.folder(step)) == "done"}
        for step in self.steps:  # left where a kill struck just after the last word
            if step.hash in self.done:
                shutil.rmtree(self.folder(step) / folders.RESUME_FROM, ignore_errors=True)
        self.display.begin(len(self.steps), len(self.done))
        if len(self.done) < len(self.steps):
            (self.run_dir / "steps").mkdir(parents=True, exist_ok=True)
            with _signals(self.signals), forked.environment(self.threads):
                try:
                    left = (step for step in self.steps if step.hash not in self.done)
                    preload = modules_needed(left) if self.preload is None else self.preload
                    forked.start(preload, self._obey_signals, self.display)
                    while len(self.done) < len(self.steps):
                        self._start_ready()
                        self._listen()
                        self._draw()
                finally:
                    self._stop_running()
                    self.display.close()
        return Outcome(self.ran, len(self.steps) - self.ran, time.monotonic() - begun)

    def _start_ready(self) -> None:
        ready = [
            step
            for step in self.steps
            if step.hash not in self.done
            and step.hash not in self.running
            and all(parent.hash in self.done for parent in step.parents.values())
        ]
        for step in sorted(ready, key=lambda step: -self.critical[step.hash]):
            taken = sum(min(running.step.cores, self.workers) for running in self.running.values())
            # none overtakes: a step that wants many cores would else wait for ever behind small ones
            if taken + min(step.cores, self.workers) > self.workers:
                break
            self._start(step)

    def _start(self, step: Step) -> None:
        inputs = {name: self.folder(parent) for name, parent in step.parents.items()}
        folder, record = self.folder(step), step.inputs_record()
        threads = self.threads * min(step.cores, self.workers)
        task = Task(step.label, step.function, step.config, inputs, folder, record, threads, step.processes)
        pipe, theirs = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.get_context("forkserver").Process(target=work, args=(task, theirs))
        process.start()
        theirs.close()
        self.running[step.hash] = _Running(
            step, process, pipe, Pace(self.guessed[step.hash], time.monotonic())
        )
        self.display.start(step.hash, step.label)

    def _listen(self) -> None:
        """Take in what the running steps say, for a quarter of a second at most without news."""
        sources: dict[Any, _Running] = {}
        for running in self.running.values():
            sources[running.process.sentinel] = running
            sources[running.pipe] = running
        news = {sources[ready].step.hash: sources[ready] for ready in connection.wait(list(sources), 0.25)}
        for running in news.values():
            ended = bool(connection.wait([running.process.sentinel], 0))
            messages, closed = _received(running.pipe)
            for message in messages:
                self._hear(running, message)
            if closed:
                running.process.join()
            if ended or closed:
                self._close(running)
        self._obey_signals()

    def _hear(self, running: _Running, message: tuple[Any, ...]) -> None:
        word, *rest = message
        key, label, now = running.step.hash, running.step.label, time.monotonic()
        if word == "progress":
            done, total, note = rest
            running.pace.report(now, done, total)
            self.display.update(key, done, total, note, running.pace.seconds_left(now, self._scale()))
            if now - running.event_at >= EVENT_EVERY:
                running.event_at = now
                self._event("progress", running.step, done=done, total=total, note=note)
        elif word == "started":
            running.pace, running.resumed = Pace(self.guessed[key], now), rest[0]
            self._event("resumed" if rest[0] else "started", running.step)
        elif word == "waiting":
            self.display.line(f"{label}: waiting for {rest[0]}, which is working on it")
            self._event("waiting", running.step, on=rest[0])
        elif word == "notice":
            self.display.line(rest[0])
            self._event("set aside", running.step, note=rest[0])
        else:
            running.last = message

    def _close(self, running: _Running) -> None:
        """A step's process has ended: with its closing message, or killed."""
        running.process.join()
        _kill(running.process, signal.SIGKILL)  # whatever the step has left of its own children
        running.pipe.close()
        del self.running[running.step.hash]
        step, seconds = running.step, time.monotonic() - running.pace.begun
        word, *rest = running.last or ("killed",)
        if word == "done":
            self.ran += 1
            self.taken += seconds
            self.expected += self.guessed[step.hash]
        if word in ("done", "reused"):
            self.done.add(step.hash)
            whole = word == "done" and not running.resumed
            guess = {"expected": round(step.expected_seconds, 3)} if whole else {}
            self._event(word, step, seconds=round(seconds, 3), **guess)
            self.display.end(
                step.hash, seconds, "done" if word == "done" else "was finished by another process"
            )
            return
        self.display.end(step.hash, seconds, "stopped" if self.signals else "failed")
        self._event("failed", step, seconds=round(seconds, 3), why=rest[0] if rest else word)
        if word == "refused":
            raise PbbError(rest[0])
        if word == "crashed":
            where = f"its traceback is in {rest[1]}" if rest[1] else "its traceback could not be written"
            raise StepCrashed(f"{step.label} failed: {rest[0]}; {where}")
        self._obey_signals()
        code = running.process.exitcode
        if -code in FAULTS and step.hash not in self.faulty:
            self.faulty.add(step.hash)
            self.display.line(
                f"{step.label}: its process ended in a library's fault (exit code {code}): tried once more"
            )
            return
        why = "killed, which is mostly for want of memory" if code == -signal.SIGKILL else f"exit code {code}"
        raise StepCrashed(
            f"{step.label} failed: its process ended ({why}); see {self.folder(step) / 'log.txt'}"
        )

    def _obey_signals(self) -> None:
        if self.signals:
            raise Stopped(self.signals[0])

    def _stop_running(self) -> None:
        """SIGTERM to every running step, SIGKILL after a grace or at a further signal."""
        had = len(self.signals)
        for running in self.running.values():
            _kill(running.process, signal.SIGTERM)
        until = time.monotonic() + GRACE
        for running in self.running.values():
            while running.process.exitcode is None and time.monotonic() < until and len(self.signals) == had:
                running.process.join(0.05)
            _kill(running.process, signal.SIGKILL)
            running.process.join()
        with suppress(OSError):  # a full disk, perhaps, which the error on its way already tells
            for running in self.running.values():
                # a display may serve other runs after this one, as that of a sweep does
                self.display.end(running.step.hash, time.monotonic() - running.pace.begun, "stopped")
                self._event("stopped", running.step)
        self.running.clear()

    def _draw(self) -> None:
        now, scale = time.monotonic(), self._scale()
        if now - self.drawn < DRAW_EVERY:
            return
        self.drawn = now
        left = {key: guess * scale for key, guess in self.guessed.items() if key not in self.done}
        left.update({key: running.pace.seconds_left(now, scale) for key, running in self.running.items()})
        rest = seconds_left(self.steps, left, self.running, self.workers)
        self.display.whole(len(self.done), len(self.steps), rest)

    def _scale(self) -> float:
        """How much slower than expected this machine is; steps of a second or two say little about it."""
        return (self.taken + BELIEF) / (self.expected + BELIEF)

    def _event(self, word: str, step: Step, **more: Any) -> None:
        event = {
            "time": round(time.time(), 3),
            "event": word,
            "step": step.folder,
            "label": step.label,
            **more,
        }
        with open(self.run_dir / "events.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(event, ensure_ascii=False) + "\n")


def _received(pipe: connection.Connection) -> tuple[list[tuple[Any, ...]], bool]:
    """What has come, and whether no more can: closed, and perhaps in the middle of a message if the step was killed."""
    messages: list[tuple[Any, ...]] = []
    try:
        while pipe.poll():
            messages.append(pipe.recv())
    except (EOFError, OSError):
        return messages, True
    return messages, False


def _kill(process: Any, number: int) -> None:
    """Signal a step's process group; it may not have made one yet, or be gone."""
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        if process.exitcode is None:
            process.kill()


@contextmanager
def _signals(seen: list[int]) -> Iterator[None]:
    """Note SIGINT and SIGTERM instead of dying of them; only a main thread can, elsewhere nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def note(number: int, _: FrameType | None) -> None:
        seen.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
