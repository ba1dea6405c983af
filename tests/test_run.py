"""The engine does each step once, in order, whatever kills it, and says in one line what went wrong."""

from __future__ import annotations

import errno
import json
import os
import pty
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # the steps' processes find fake_steps through the sys.path of this one

import fake_steps  # noqa: E402

import pbb  # noqa: E402
from pbb import folder as folders  # noqa: E402
from pbb.errors import PbbError  # noqa: E402
from pbb.graph import Step, ordered  # noqa: E402
from pbb.progress import Plain, Silent  # noqa: E402
from pbb.run import StepCrashed, _Engine, execute  # noqa: E402


class Recorder(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.started: list[str] = []
        self.notes: list[str] = []
        self.left: list[float] = []

    def whole(self, done: int, total: int, left: float) -> None:
        self.left.append(left)

    def start(self, key: str, label: str) -> None:
        self.started.append(label)

    def update(self, key: str, done: float, total: float, note: str, left: float) -> None:
        self.notes.append(note)

    def line(self, text: str) -> None:
        self.lines.append(text)


def run(steps: list[Step], run_dir: Path, workers: int = 2, **more: Any) -> tuple[Recorder, int, int]:
    recorder = Recorder()
    outcome = execute(steps, run_dir, workers=workers, display=recorder, preload=(), **more)
    return recorder, outcome.ran, outcome.reused


def events(run_dir: Path) -> list[tuple[str, str]]:
    lines = (run_dir / "events.jsonl").read_text().splitlines()
    return [(event["event"], event["label"]) for event in map(json.loads, lines)]


def outputs(run_dir: Path) -> dict[str, bytes]:
    """Every file that a step made, without what tells of its attempts."""
    steps = run_dir / "steps"
    return {
        str(path.relative_to(steps)): path.read_bytes()
        for path in sorted(steps.rglob("*"))
        if path.is_file() and path.name not in folders.NOT_OUTPUTS and not path.name.startswith(".")
    }


def script(run_dir: Path, graph: str, workers: int = 2) -> subprocess.Popen[str]:
    command = [sys.executable, str(HERE / "fake_steps.py"), str(run_dir), graph, str(workers)]
    environment = {**os.environ, "PYTHONPATH": str(Path(pbb.__file__).parents[1])}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def until(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait for something that will surely happen; the limit only keeps a broken engine from hanging."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)
    return value


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def place(run_dir: Path, step: Step) -> Path:
    return run_dir / "steps" / step.folder


def test_steps_run_in_order_and_a_finished_run_costs_nothing(tmp_path: Path) -> None:
    steps = fake_steps.diamond()
    recorder, ran, reused = run(steps, tmp_path)
    assert (ran, reused) == (5, 0)
    seen = [label for event, label in events(tmp_path) if event == "done"]
    assert sorted(seen) == sorted(step.label for step in steps)
    assert seen.index("top") < min(seen.index("left"), seen.index("right"))
    assert seen.index("bottom") > max(seen.index("left"), seen.index("right"))
    assert "at 3" in recorder.notes
    values = {step.label: (place(tmp_path, step) / "value.txt").read_text() for step in steps}
    assert values == {"top": "3", "left": "6", "right": "6", "bottom": "15", "beside": "6"}
    record = json.loads((place(tmp_path, steps[3]) / "inputs.json").read_text())
    assert record["parents"] == {"left": steps[1].folder, "right": steps[2].folder}

    told = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    ended = {event["label"]: event["expected"] for event in told if event["event"] == "done"}
    assert ended == {step.label: step.expected_seconds for step in ordered(steps)}
    before = (tmp_path / "events.jsonl").read_bytes()
    recorder, ran, reused = run(fake_steps.diamond(), tmp_path)
    assert (ran, reused, recorder.started) == (0, 5, [])
    assert (tmp_path / "events.jsonl").read_bytes() == before


def test_the_longest_chain_starts_first_and_nothing_overtakes_a_wide_step(tmp_path: Path) -> None:
    recorder, _, _ = run(fake_steps.diamond(), tmp_path / "one", workers=1)
    assert recorder.started == ["top", "right", "left", "bottom", "beside"]
    small = [fake_steps.step(f"small {number}", expected_seconds=number) for number in range(3)]
    wide = fake_steps.step("wide", cores=8, expected_seconds=1.5)
    recorder, _, _ = run([*small, wide], tmp_path / "two", workers=2)
    assert recorder.started == ["small 2", "wide", "small 1", "small 0"]
    names = events(tmp_path / "two")
    assert names.index(("done", "small 2")) < names.index(("started", "wide"))
    assert names.index(("done", "wide")) < names.index(("started", "small 1"))
    threads = {
        s: json.loads((tmp_path / "two" / "steps" / s.folder / "DONE").read_text())["threads"]
        for s in (wide, small[0])
    }
    assert (threads[wide], threads[small[0]]) == (
        2,
        1,
    )  # a step that fills the machine computes with all of it


def test_outputs_do_not_depend_on_workers(tmp_path: Path) -> None:
    for workers in (1, 4):
        run(fake_steps.diamond(), tmp_path / str(workers), workers)
    assert outputs(tmp_path / "1") == outputs(tmp_path / "4")


def test_arms_share_a_step_that_is_the_same(tmp_path: Path) -> None:
    arms = [fake_steps.step(name, {"start": fake_steps.step("stage 1")}) for name in ("one", "two")]
    assert run(arms, tmp_path)[1:] == (3, 0)
    other = fake_steps.step("three", {"start": fake_steps.step("stage 1")})
    assert run([other], tmp_path)[1:] == (1, 1)


def test_a_step_continues_from_what_it_finds(tmp_path: Path) -> None:
    step = fake_steps.step("count", to=5)
    place(tmp_path, step).mkdir(parents=True)
    (place(tmp_path, step) / "counter.txt").write_text("3")  # contents without DONE
    recorder, ran, _ = run([step], tmp_path)
    assert (ran, recorder.notes, recorder.lines) == (1, ["at 4", "at 5"], [])
    assert not list((tmp_path / "steps").glob("*.broken-*"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "DONE").write_text(""),
        lambda folder: (folder / "DONE").write_text('{"seconds": 1.0}'),
        lambda folder: (folder / "DONE").write_text('{"outputs": {"inputs.json": 7}}'),
        lambda folder: (folder / "DONE").write_text("[]"),
        lambda folder: (folder / "value.txt").unlink(),
        lambda folder: (folder / "value.txt").write_text("4"),  # as long as the true one
        lambda folder: [
            path.unlink() for path in folder.rglob("*") if path.is_file() and path.name != "DONE"
        ],
    ],
    ids=[
        "empty",
        "no outputs",
        "bad outputs",
        "no object",
        "output gone",
        "output changed",
        "DONE without contents",
    ],
)
def test_a_damaged_folder_is_set_aside_whole_and_made_again(
    tmp_path: Path, damage: Callable[[Path], Any]
) -> None:
    step = fake_steps.step("count")
    run([step], tmp_path)
    good = outputs(tmp_path)
    for number in (1, 2):
        damage(place(tmp_path, step))
        left = {path.name for path in place(tmp_path, step).iterdir()}
        recorder, ran, _ = run([step], tmp_path)
        aside = place(tmp_path, step).with_name(f"{step.folder}.broken-{number}")
        assert ran == 1
        assert [line for line in recorder.lines if aside.name in line] == recorder.lines
        assert len(recorder.lines) == 1
        assert {path.name for path in aside.iterdir()} == left
        assert {name: data for name, data in outputs(tmp_path).items() if "broken" not in name} == good


def test_checkpoints_go_once_the_step_is_done(tmp_path: Path) -> None:
    step = fake_steps.step("checkpointed", function="checkpointed")
    run([step], tmp_path)
    assert folders.state(place(tmp_path, step)) == "done"
    assert not (place(tmp_path, step) / "checkpoints").exists()


def test_checkpoints_that_a_kill_left_behind_a_finished_step_go(tmp_path: Path) -> None:
    step = fake_steps.step("checkpointed", function="checkpointed")
    run([step], tmp_path)
    left = place(tmp_path, step) / "checkpoints" / "checkpoint-9"
    left.mkdir(parents=True)
    (left / "weights").write_text("w")
    assert run([step], tmp_path)[1:] == (0, 1)
    assert not left.parent.exists() and folders.state(place(tmp_path, step)) == "done"


def test_checkpoints_may_be_deleted_and_large_outputs_are_known_by_every_byte(tmp_path: Path) -> None:
    folder = tmp_path / "train-1"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "weights").write_text("w")
    (folder / "inputs.json").write_text("{}")
    (folder / "large").write_bytes(bytes(2 * folders.SMALL))
    folders.mark_done(folder, {"seconds": 1.0})
    (folder / "checkpoints" / "weights").unlink()
    assert [folders.state(folder) for _ in range(2)] == ["done", "done"]
    assert folders.listed_bytes(folder) == 2 * folders.SMALL + 2
    time.sleep(0.05)  # the clock of a file system ticks in steps
    with (folder / "large").open("r+b") as file:
        file.seek(1_234_567)
        file.write(b"\1")
    assert folders.state(folder) == "broken"


def test_a_done_of_version_0_1_knows_large_outputs_by_their_size(tmp_path: Path) -> None:
    (tmp_path / "inputs.json").write_text("{}")
    outputs = {"inputs.json": {"bytes": 2, "sha256": folders.digest(tmp_path / "inputs.json")}}
    (tmp_path / "large").write_bytes(bytes(9))
    folders.write_json(tmp_path / "DONE", {"outputs": outputs | {"large": {"bytes": 9}}})
    assert folders.state(tmp_path) == "done"
    (tmp_path / "large").write_bytes(bytes(8))
    assert folders.state(tmp_path) == "broken"


def test_what_changed_after_it_was_finished_is_not_read_by_a_later_step(tmp_path: Path) -> None:
    first = fake_steps.step("first")
    spoiler = fake_steps.step("spoiler", {"first": first}, function="spoil")
    last = fake_steps.step("last", {"first": first, "spoiler": spoiler})
    with pytest.raises(PbbError, match=f"last: .*{first.folder}: its files have changed .*: start again"):
        run([last], tmp_path)
    recorder, ran, _ = run([last], tmp_path)
    assert ran == 2 and f"{first.folder}.broken-1" in recorder.lines[0]
    assert (place(tmp_path, last) / "value.txt").read_text() == "9"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"seconds": "x", "attempts": 1}', "\0"])
def test_a_damaged_count_of_seconds_stops_nothing(tmp_path: Path, text: str) -> None:
    step = fake_steps.step("count")
    place(tmp_path, step).mkdir(parents=True)
    (place(tmp_path, step) / "spent.json").write_text(text)
    assert run([step], tmp_path)[1] == 1


def test_what_libraries_print_goes_to_the_log_and_threads_are_set(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    step = fake_steps.step("speak", function="speak")
    run([step], tmp_path, threads=3)
    log = (place(tmp_path, step) / "log.txt").read_text()
    assert all(text in log for text in ("from python", "to stderr", "from the library"))
    assert capfd.readouterr() == ("", "")
    assert (place(tmp_path, step) / "threads.txt").read_text() == "3"
    done = json.loads((place(tmp_path, step) / "DONE").read_text())
    assert done["threads"] == 3
    assert done["seconds"] >= 0
    assert done["peak_bytes"] > 1_000_000


def test_a_refusal_is_one_line_and_stops_the_others(tmp_path: Path) -> None:
    after = fake_steps.step("after", {"x": fake_steps.step("refuse", function="refuse")})
    asleep = fake_steps.step("asleep", function="sleep")
    with pytest.raises(PbbError, match="data.programs: 0: give at least one program"):
        run([asleep, after], tmp_path)
    assert ("started", "after") not in events(tmp_path)
    assert ("stopped", "asleep") in events(tmp_path)


def test_what_stopped_beside_a_failure_is_not_shown_as_running_by_what_comes_after(tmp_path: Path) -> None:
    """A sweep shows all its points on one display."""
    lines: list[str] = []
    display = Plain(lines.append, every=0.0)
    first = fake_steps.step("first", to=20, sleep=0.05)
    asleep = fake_steps.step("asleep", function="sleep")
    with pytest.raises(PbbError):
        refuse = fake_steps.step("refuse", {"x": first}, function="refuse")
        execute([asleep, refuse], tmp_path, workers=2, display=display, preload=())
    assert any("asleep 10%" in line for line in lines) and any("asleep: stopped" in line for line in lines)
    shown = len(lines)
    other = fake_steps.step("other", to=30, sleep=0.05)
    execute([other], tmp_path, workers=2, display=display, preload=())
    assert any("other" in line for line in lines[shown:])
    assert not any("asleep" in line for line in lines[shown:])


@pytest.mark.parametrize("function", ["fill_disk", "fill_disk_in_rust"])
def test_a_full_disk_is_one_line(tmp_path: Path, function: str) -> None:
    with pytest.raises(PbbError, match="No space left on device: .*: free some space"):
        run([fake_steps.step("full", function=function)], tmp_path)


@pytest.mark.parametrize(
    ("function", "summary"), [("crash", "KeyError: 'no such key'"), ("leave", "SystemExit: 0")]
)
def test_a_crash_names_the_file_with_its_traceback(tmp_path: Path, function: str, summary: str) -> None:
    step = fake_steps.step(function, function=function)
    with pytest.raises(StepCrashed) as caught:
        run([step], tmp_path)
    error = place(tmp_path, step) / "error.txt"
    assert str(caught.value) == f"{function} failed: {summary}; its traceback is in {error}"
    assert "Traceback" in error.read_text()
    assert folders.state(place(tmp_path, step)) == "open"


def test_a_step_killed_from_outside_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(StepCrashed, match="vanish failed: its process ended .killed.*log.txt"):
        run([fake_steps.step("vanish", function="vanish")], tmp_path)


def test_a_librarys_fault_is_tried_once_more_and_no_more(tmp_path: Path) -> None:
    once, always = (
        fake_steps.step(name, function="fault", times=n) for name, n in (("once", 1), ("always", 9))
    )
    recorder, ran, _ = run([once], tmp_path)
    assert ran == 1 and folders.state(place(tmp_path, once)) == "done"
    line = "once: its process ended in a library's fault (exit code -11): tried once more"
    assert line in recorder.lines
    assert [word for word, _ in events(tmp_path)] == ["started", "failed", "resumed", "done"]
    with pytest.raises(StepCrashed, match="always failed: its process ended .exit code -11.*log.txt"):
        run([always], tmp_path)
    assert (place(tmp_path, always) / "tries").read_text() == "2"
    assert "Fatal Python error: Segmentation fault" in (place(tmp_path, always) / "log.txt").read_text()


@pytest.mark.parametrize("numbers", [{"workers": 0}, {"threads": 0}])
def test_senseless_numbers_are_refused(tmp_path: Path, numbers: dict[str, int]) -> None:
    with pytest.raises(PbbError, match="whole numbers from 1"):
        execute(fake_steps.diamond(), tmp_path, **numbers)


def test_killed_at_any_moment_the_outputs_are_the_same(tmp_path: Path) -> None:
    undisturbed = tmp_path / "undisturbed"
    begun = time.monotonic()
    assert script(undisturbed, "slow").wait() == 0
    whole = time.monotonic() - begun
    moments, rounds = random.Random(0), 0
    disturbed = tmp_path / "0"
    for _ in range(20):
        process = script(disturbed, "slow")
        time.sleep(moments.uniform(0.1, 0.9) * whole)
        process.kill()
        process.communicate(timeout=60)
        finished = all(
            folders.state(place(disturbed, step)) == "done" for step in fake_steps.GRAPHS["slow"]()
        )
        if finished:
            assert outputs(disturbed) == outputs(undisturbed)
            rounds += 1
            disturbed = tmp_path / str(rounds)
    process = script(disturbed, "slow")
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert outputs(disturbed) == outputs(undisturbed)
    assert not list(tmp_path.glob("*/steps/*.broken-*"))


def asleep(run_dir: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """A run whose only step sleeps, and the ids of that step's process and of the step's own child."""
    process = script(run_dir, "asleep")
    step = fake_steps.GRAPHS["asleep"]()[0]
    pids = until(lambda: folders.read_json(place(run_dir, step) / "pids.json"))
    assert all(alive(pid) for pid in pids)
    return process, pids


def test_a_killed_run_takes_its_steps_along(tmp_path: Path) -> None:
    process, pids = asleep(tmp_path)
    process.kill()
    process.communicate(timeout=60)
    until(lambda: not any(alive(pid) for pid in pids))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_the_run_and_its_steps(tmp_path: Path, number: int, code: int) -> None:
    process, pids = asleep(tmp_path)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert not any(alive(pid) for pid in pids)
    assert events(tmp_path)[-1] == ("stopped", "asleep")
    assert out == ""
    said = [line for line in err.splitlines() if line != "loading the libraries"]  # on a busy machine
    assert said[:2] == ["1 step", "asleep: started"]
    assert len(said) == 3 and said[2].startswith("asleep: stopped, ")


def test_ctrl_c_on_a_terminal(tmp_path: Path) -> None:
    command = [sys.executable, str(HERE / "fake_steps.py"), str(tmp_path), "asleep"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, command)
    shown, pressed = b"", False
    with suppress(OSError):  # the terminal's end
        while data := os.read(terminal, 4096):
            shown += data
            if b"10%" in shown and not pressed:
                pressed = True
                os.write(terminal, b"\x03")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130
    assert b"Traceback" not in shown
    step = fake_steps.GRAPHS["asleep"]()[0]
    assert not any(alive(pid) for pid in folders.read_json(place(tmp_path, step) / "pids.json"))


def test_ctrl_c_while_the_libraries_load(tmp_path: Path) -> None:
    (tmp_path / "slow_library.py").write_text(
        f"import time; open({str(tmp_path / 'loading')!r}, 'w').close(); time.sleep(1000)"
    )
    code = f"""
import sys; sys.path.insert(0, {str(HERE)!r})
from pathlib import Path
import fake_steps
from pbb.run import Stopped, execute
try:
    execute([fake_steps.step("a")], Path({str(tmp_path / "run")!r}), preload=("slow_library",))
except Stopped:
    print("stopped")
"""
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    until((tmp_path / "loading").exists)
    os.killpg(process.pid, signal.SIGINT)
    out = process.stdout.readline() if process.stdout else ""
    os.killpg(process.pid, signal.SIGKILL)  # the server would go on importing
    _, err = process.communicate(timeout=60)
    assert (out, err) == ("stopped\n", "")


def test_a_broken_installation_is_told(tmp_path: Path) -> None:
    (tmp_path / "broken_library.py").write_text("raise OSError('libcudart.so: no such file')")
    code = f"""
import sys; sys.path.insert(0, {str(HERE)!r})
from pathlib import Path
import fake_steps
from pbb.errors import PbbError
from pbb.run import execute
try:
    execute([fake_steps.step("a")], Path({str(tmp_path / "run")!r}), preload=("broken_library",))
except PbbError as error:
    print(error)
"""
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment).stdout
    why = "OSError: libcudart.so: no such file"
    assert out == f"cannot start the processes of steps: {why}: mend the installation\n"


def test_two_runs_at_once_share_the_work(tmp_path: Path) -> None:
    first, second = script(tmp_path, "slow"), script(tmp_path, "slow")
    counts = []
    for process in (first, second):
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        counts.append(json.loads(out)["ran"])
    assert sum(counts) == len(ordered(fake_steps.GRAPHS["slow"]()))
    assert not list((tmp_path / "steps").glob("*.broken-*"))
    names = [label for event, label in events(tmp_path) if event == "started"]
    assert len(names) == len(set(names))


def test_a_record_that_cannot_be_written_ends_the_run_and_not_the_listening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is no closed pipe: to wait for the step would be to wait for ever, once it has more to say than the pipe holds."""
    event = _Engine._event

    def full(self: Any, word: str, step: Step, **more: Any) -> None:
        if word == "progress":
            raise OSError(errno.ENOSPC, "No space left on device", "events.jsonl")
        event(self, word, step, **more)

    monkeypatch.setattr(_Engine, "_event", full)
    with pytest.raises(OSError, match="No space left"):
        run(fake_steps.GRAPHS["asleep"](), tmp_path)


def test_a_slow_machine_is_told_more_time(tmp_path: Path) -> None:
    steps = fake_steps.GRAPHS["slow"]()
    seconds = sum(step.expected_seconds for step in ordered(steps))
    plain, _, _ = run(steps, tmp_path / "plain", workers=1)
    slow, _, _ = run(steps, tmp_path / "slow", workers=1, slower={step.kind: 50.0 for step in steps})
    assert plain.left[0] <= seconds < 25 * seconds < slow.left[0] <= 50 * seconds


def test_a_second_run_says_whom_it_waits_for(tmp_path: Path) -> None:
    first, pids = asleep(tmp_path)
    second = script(tmp_path, "asleep")
    step = fake_steps.GRAPHS["asleep"]()[0]
    until(lambda: ("waiting", "asleep") in events(tmp_path))
    first.kill()
    first.communicate(timeout=60)
    pids_now = until(
        lambda: (found := folders.read_json(place(tmp_path, step) / "pids.json")) != pids and found
    )
    second.send_signal(signal.SIGINT)
    _, err = second.communicate(timeout=60)
    assert f"asleep: waiting for process {first.pid}, which is working on it" in err.splitlines()
    assert not any(alive(pid) for pid in pids_now)
    assert ("resumed", "asleep") in events(tmp_path)


def test_a_script_without_a_main_guard_is_not_run_again_by_its_steps(tmp_path: Path) -> None:
    code = f"""
import sys; sys.path.insert(0, {str(HERE)!r})
from pathlib import Path
import fake_steps
from pbb.run import execute
print("once", execute([fake_steps.step("a")], Path({str(tmp_path / "run")!r}), preload=()).ran)
"""
    (tmp_path / "script.py").write_text(code)
    out = subprocess.run([sys.executable, str(tmp_path / "script.py")], capture_output=True, text=True)
    assert (out.stdout, out.stderr) == ("once 1\n", "")


def test_the_environment_is_put_back(tmp_path: Path) -> None:
    before = dict(os.environ)
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    run([fake_steps.step("a")], tmp_path)
    assert dict(os.environ) == before
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert sys.modules["__main__"].__name__ == "__main__"
