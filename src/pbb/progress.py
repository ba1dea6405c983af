"""How far a run is: what a step says, what becomes of it on the screen, and how long it will still take.

A step calls `progress(done, total, note)` as often as it likes, in its own process; at most five of those
calls a second cross to the run's process, which draws them (on a terminal: a bar a step and a line for the
whole; elsewhere: plain lines, few enough to read in a log). Everything here goes to standard error, so that
standard output holds results only.

Contract in one sentence: progress never changes an outcome, and a display may be swapped for `Silent`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import TaskID


def _nothing(*_: object) -> None:
    pass


class Progress:
    """Handed to a step's function; `Progress()` alone does nothing, for calling such a function by hand.

    send: takes (done, total, note), at most once in `every` seconds and always when done reaches total.
    save: called at most once in `save_every` seconds; the engine keeps the seconds worked with it.
    """

    def __init__(
        self,
        send: Callable[[float, float, str], None] = _nothing,
        save: Callable[[], None] = _nothing,
        every: float = 0.2,
        save_every: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send, self._save, self._clock = send, save, clock
        self._every, self._save_every = every, save_every
        self._sent = self._saved = clock() - max(every, save_every)

    def __call__(self, done: float, total: float, note: str = "") -> None:
        now = self._clock()
        if now - self._sent >= self._every or done >= total:
            self._sent = now
            self._send(done, total, note)
        if now - self._saved >= self._save_every:
            self._saved = now
            self._save()


class Pace:
    """How fast a step goes, measured from its first word in this attempt (a resumed one starts ahead)."""

    def __init__(self, expected: float, now: float) -> None:
        self.expected, self.begun = expected, now
        self._first: tuple[float, float] | None = None  # (when, done)
        self._last: tuple[float, float, float] | None = None  # (when, done, total)

    def report(self, now: float, done: float, total: float) -> None:
        if self._first is None or done < self._first[1]:  # a step that counts a second pass anew
            self._first = (now, done)
        self._last = (now, done, total)

    def seconds_left(self, now: float, scale: float = 1.0) -> float:
        """From the measured rate once a twentieth of the work was seen (at once where nothing is expected), before it from `expected`."""
        if self._first is not None and self._last is not None:
            (when, start), (last, done, total) = self._first, self._last
            enough = total / 20 if self.expected else 0
            if total > 0 and done > start and done - start >= enough and last > when:
                return max(0.0, (total - done) * (last - when) / (done - start) - (now - last))
        return max(0.0, self.expected * scale - (now - self.begun))


class Display(Protocol):
    """What a run tells about itself; `key` is a step's hash, `seconds` a wall time."""

    def begin(self, total: int, reused: int) -> None: ...
    def start(self, key: str, label: str) -> None: ...
    def update(self, key: str, done: float, total: float, note: str, left: float) -> None: ...
    def end(self, key: str, seconds: float, word: str) -> None: ...
    def whole(self, done: int, total: int, left: float) -> None: ...
    def line(self, text: str) -> None: ...
    def close(self) -> None: ...


class Silent:
    """No display; notices are dropped too."""

    def begin(self, total: int, reused: int) -> None: ...
    def start(self, key: str, label: str) -> None: ...
    def update(self, key: str, done: float, total: float, note: str, left: float) -> None: ...
    def end(self, key: str, seconds: float, word: str) -> None: ...
    def whole(self, done: int, total: int, left: float) -> None: ...
    def line(self, text: str) -> None: ...
    def close(self) -> None: ...


class Plain:
    """Lines for a log: one for each step's start and end, and at most one in `every` seconds between."""

    def __init__(
        self,
        write: Callable[[str], None] | None = None,
        every: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write or self._to_stderr
        self._every, self._clock = every, clock
        self._labels: dict[str, str] = {}
        self._latest: dict[str, str] = {}
        self._spoke = clock()

    @staticmethod
    def _to_stderr(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def begin(self, total: int, reused: int) -> None:
        self.line(overview(total, reused))

    def start(self, key: str, label: str) -> None:
        self._labels[key] = label
        self.line(f"{label}: started")

    def update(self, key: str, done: float, total: float, note: str, left: float) -> None:
        share = f"{done / total:.0%}" if total > 0 else f"{done:g}"
        self._latest[key] = f"{self._labels[key]} {share}" + (f" ({note})" if note else "")

    def end(self, key: str, seconds: float, word: str) -> None:
        self._latest.pop(key, None)
        self.line(f"{self._labels.pop(key)}: {word}, {duration(seconds)}")

    def whole(self, done: int, total: int, left: float) -> None:
        if self._latest and self._clock() - self._spoke >= self._every:
            self._spoke = self._clock()
            self.line(
                f"{done}/{total} steps; {'; '.join(self._latest.values())}; about {duration(left)} left"
            )

    def line(self, text: str) -> None:
        self._write(text)

    def close(self) -> None:
        pass


class Terminal:
    """A live display: a bar for each running step, what is done scrolls away above, the whole at the foot."""

    def __init__(self) -> None:
        from rich.console import Console, Group
        from rich.live import Live
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn
        from rich.progress import Progress as Bars

        self._console = Console(stderr=True, highlight=False)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[left]}", markup=False),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
        )
        self._bars = Bars(*columns, console=self._console)
        self._foot = Bars(TextColumn("{task.description}", markup=False, style="bold"), console=self._console)
        self._whole = self._foot.add_task("")
        self._tasks: dict[str, tuple[TaskID, str]] = {}
        self._live = Live(
            Group(self._bars, self._foot), console=self._console, transient=True, refresh_per_second=4
        )

    def begin(self, total: int, reused: int) -> None:
        self.line(overview(total, reused))
        if reused < total:
            self._live.start()

    def start(self, key: str, label: str) -> None:
        self._tasks[key] = (self._bars.add_task(label, total=None, left="", note=""), label)

    def update(self, key: str, done: float, total: float, note: str, left: float) -> None:
        task, _ = self._tasks[key]
        self._bars.update(task, completed=done, total=total, note=note, left=f"{duration(left)} left")

    def end(self, key: str, seconds: float, word: str) -> None:
        task, label = self._tasks.pop(key)
        self._bars.remove_task(task)
        self.line(f"{label}: {word}, {duration(seconds)}")

    def whole(self, done: int, total: int, left: float) -> None:
        self._foot.update(self._whole, description=f"{done}/{total} steps, about {duration(left)} left")

    def line(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)

    def close(self) -> None:
        self._live.stop()


def display() -> Display:
    """The live display on a terminal, plain lines elsewhere."""
    return Terminal() if sys.stderr.isatty() else Plain()


@contextmanager
def watched(label: str, shown: Display | None = None) -> Iterator[Progress]:
    """Progress of one long function in this process, on a display of its own."""
    shown = shown or display()
    pace = Pace(0.0, time.monotonic())

    def send(done: float, total: float, note: str) -> None:
        now = time.monotonic()
        pace.report(now, done, total)
        left = pace.seconds_left(now)
        if not left and done < total:  # nothing to reckon from yet
            return
        shown.update(label, done, total, note, left)
        shown.whole(0, 1, left)

    shown.begin(1, 0)
    shown.start(label, label)
    try:
        yield Progress(send)
        shown.end(label, time.monotonic() - pace.begun, "done")
    finally:
        shown.close()


def overview(total: int, reused: int) -> str:
    if reused == total:
        return f"all {total} steps are there already" if total > 1 else "the step is there already"
    steps = "1 step" if total == 1 else f"{total} steps"
    return steps + (f", {reused} of them there already" if reused else "")


def duration(seconds: float) -> str:
    """ "4 s", "3 min 20 s", "2 h 05 min": two units at most, the way that people say it."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
