"""Progress is cheap, honest about the time left, and quiet where nobody watches."""

from __future__ import annotations

import io
from typing import Any

import pytest

from pbb import progress
from pbb.progress import Pace, Plain, Progress, Silent, Terminal, duration, overview


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_calls_are_thinned_but_the_first_and_the_last_are_sent() -> None:
    clock, sent, saved = Clock(), [], []
    report = Progress(lambda *args: sent.append(args), lambda: saved.append(clock.now), clock=clock)
    for number in range(1, 1001):
        report(number, 1000, "loss 1.0")
        clock.now += 0.01
    assert sent[0] == (1, 1000, "loss 1.0")
    assert sent[-1] == (1000, 1000, "loss 1.0")
    assert 45 <= len(sent) <= 55
    assert len(saved) == 2


def test_progress_alone_does_nothing() -> None:
    Progress()(1, 2, "by hand")


def test_pace_follows_the_measured_rate_and_not_the_guess() -> None:
    pace = Pace(expected=1000.0, now=0.0)
    assert pace.seconds_left(10.0) == pytest.approx(990)
    assert pace.seconds_left(10.0, scale=0.5) == pytest.approx(490)
    pace.report(10.0, 50, 100)  # resumed at the half
    pace.report(20.0, 60, 100)
    assert pace.seconds_left(20.0) == pytest.approx(40)
    assert pace.seconds_left(25.0) == pytest.approx(35)
    pace.report(30.0, 100, 100)
    assert pace.seconds_left(99.0) == 0
    pace.report(31.0, 1, 10)  # a second pass
    pace.report(32.0, 2, 10)
    assert pace.seconds_left(32.0) == pytest.approx(8)


def test_pace_never_promises_less_than_nothing() -> None:
    assert Pace(expected=1.0, now=0.0).seconds_left(50.0) == 0
    silent = Pace(expected=5.0, now=0.0)
    silent.report(1.0, 3, 0)  # a step that does not know its total
    assert silent.seconds_left(2.0) == pytest.approx(3)


def test_plain_lines_are_few() -> None:
    clock, lines = Clock(), []
    display = Plain(lines.append, clock=clock)
    display.begin(3, 1)
    display.start("a", "train proactive/stage-1")
    for number in range(240):
        display.update("a", number, 240, f"loss {number}", 60.0)
        display.whole(1, 3, 90.0)
        clock.now += 0.125
    display.end("a", 200.0, "done")
    assert lines[:2] == ["3 steps, 1 of them there already", "train proactive/stage-1: started"]
    assert lines[-1] == "train proactive/stage-1: done, 3 min 20 s"
    assert len(lines) == 5
    assert lines[2] == "1/3 steps; train proactive/stage-1 33% (loss 80); about 1 min 30 s left"


def test_the_terminal_shows_steps_notes_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "160")
    display = Terminal()
    display.begin(2, 0)
    display.start("a", "train [proactive]/stage-1")
    display.update("a", 5, 10, "loss 0.5", 12.0)
    display.whole(0, 2, 61.0)
    display._live.refresh()
    display.end("a", 12.0, "done")
    display.close()
    shown = stream.getvalue()
    for part in (
        "train [proactive]/stage-1",
        "50%",
        "loss 0.5",
        "12 s left",
        "0/2 steps, about 1 min 01 s left",
    ):
        assert part in shown, part
    assert "stage-1: done, 12 s" in shown


def test_display_goes_by_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stream(io.StringIO):
        tty = False

        def isatty(self) -> bool:
            return self.tty

    stream = Stream()
    monkeypatch.setattr("sys.stderr", stream)
    assert isinstance(progress.display(), Plain)
    stream.tty = True
    assert isinstance(progress.display(), Terminal)


def test_silent_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    display: Any = Silent()
    display.begin(1, 0)
    display.start("a", "a")
    display.line("notice")
    display.end("a", 1.0, "done")
    display.close()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 05 min"),
    ],
)
def test_duration(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_overview() -> None:
    assert overview(3, 3) == "all 3 steps are there already"
    assert overview(3, 0) == "3 steps"
    assert overview(1, 0) == "1 step"


def test_watched_shows_one_function() -> None:
    lines: list[str] = []
    with progress.watched("pretrain", Plain(lines.append, every=0.0)) as report:
        report(1, 4, "loss 2.5")  # no pace is known yet
        report(4, 4, "loss 2.0")
    assert lines[:2] == ["1 step", "pretrain: started"]
    assert lines[2].startswith("0/1 steps; pretrain 100% (loss 2.0); about ")
    assert lines[3].startswith("pretrain: done")
