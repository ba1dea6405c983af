"""Faults through the real command line: nothing is lost, nothing wrong is reused, and a person is told in one line.

The damage is done to copies of one finished run. Several faults share a run where they do not hide one another, because a start of
`pbb` costs seconds.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from running import Command, outputs, pbb_says, scores, start, step, until

import pbb
from pbb import folder as folders

FUTURE = 4_000_000_000  # seconds: in the year 2096, as files are after a clock was set back


@pytest.fixture(scope="module", autouse=True)
def _heard() -> Iterator[None]:
    """A shell makes its background jobs deaf to Ctrl-C, and what they start inherits that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def copied(finished: Path, place: Path) -> Path:
    """The finished run where a `pbb run` in `place` looks for it."""
    return Path(shutil.copytree(finished, place / "runs" / "six_arms" / finished.name))


def flip(path: Path) -> None:
    """One bit, in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def training(run: Path, arm: str) -> Path:
    """The folder of the training that ends in an arm's model."""
    record = json.loads((step(run, "evaluate", arm=arm) / "inputs.json").read_text())
    return run / "steps" / str(record["parents"]["model"])


def half_done(folder: Path) -> None:
    """Contents without DONE: half a model, metrics with a cut line, and checkpoints that are no good."""
    (folder / "DONE").unlink()
    flip(folder / "model" / "model.safetensors")
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "lo')
    for number, seal in ((2, None), (5, {"model.safetensors": {"bytes": 1, "sha256": "0" * 64}}), (7, [])):
        checkpoint = folder / "checkpoints" / f"checkpoint-{number}"
        checkpoint.mkdir(parents=True)
        shutil.copy(folder / "model" / "model.safetensors", checkpoint)
        (checkpoint / "trainer_state.json").write_text("{")
        if seal is not None:
            (checkpoint / "sealed.json").write_text(json.dumps(seal))


@dataclass
class BadDay:
    """A run with everything damaged at once, interrupted by impatient Ctrl-C, then finished by two `pbb run` at the same time."""

    run: Path
    damaged: dict[str, Path]
    kept: dict[str, bytes]
    stopped: tuple[int, str]
    both: list[tuple[int, str, str]]


@pytest.fixture(scope="module")
def bad_day(finished: tuple[Path, str], command: Command, tmp_path_factory: pytest.TempPathFactory) -> BadDay:
    place = tmp_path_factory.mktemp("bad-day")
    run = copied(finished[0], place)
    damaged = {
        "a flipped bit in weights": training(run, "stage-2-only"),
        "a flipped bit in JSON lines": step(run, "documents", stage="read"),
        "a cut parquet": step(run, "evaluate", arm="untrained"),
        "an empty DONE": step(run, "evaluate", arm="mixed"),
        "DONE without contents": step(run, "score"),
    }
    names = list(damaged.values())
    flip(names[0] / "model" / "model.safetensors")
    flip(names[1] / "documents.jsonl")
    cut(names[2] / "predictions.parquet")
    (names[3] / "DONE").write_text("")
    for path in names[4].iterdir():
        if path.name != "DONE":
            path.unlink()
    half_done(training(run, "mixed"))
    (step(run, "evaluate", arm="proactive") / "DONE").unlink()
    for number, path in enumerate(sorted(run.rglob("*"))):
        os.utime(path, (FUTURE if number % 2 else 0,) * 2)
    kept = {
        f"{folder.name}/{path.relative_to(folder)}": path.read_bytes()
        for folder in names
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }

    seen = (run / "events.jsonl").stat().st_size
    process = start(*command, cwd=place)
    until(lambda: process.poll() is not None or (run / "events.jsonl").stat().st_size > seen)
    process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()

    pair = [start(*command, cwd=place) for _ in range(2)]
    both = [(out, err, process.returncode) for process in pair for out, err in [process.communicate()]]
    return BadDay(
        run, damaged, kept, (process.returncode, err), [(code, out, err) for out, err, code in both]
    )


def test_a_second_ctrl_c_is_no_error(bad_day: BadDay) -> None:
    code, err = bad_day.stopped
    assert code == 130, err
    assert err.splitlines()[-1].startswith("pbb: stopped; `pbb run ")
    assert "Traceback" not in err and err.count("pbb: ") == 1


def test_everything_damaged_is_made_again_as_it_was(bad_day: BadDay, finished: tuple[Path, str]) -> None:
    for code, _, err in bad_day.both:
        assert code == 0, err
    aside = {path.name: path for path in bad_day.run.glob("steps/*.broken-*")}
    assert sorted(aside) == sorted(f"{folder.name}.broken-1" for folder in bad_day.damaged.values())
    for path in aside.values():
        shutil.move(path, bad_day.run / path.name)  # so that the steps are those of the other run
    assert outputs(bad_day.run) == outputs(finished[0])
    assert scores(bad_day.run) == scores(finished[0])
    for path in aside.values():
        shutil.move(bad_day.run / path.name, path)
    done = [folders.state(p) for p in (bad_day.run / "steps").iterdir() if p.is_dir() and p.name not in aside]
    assert done == ["done"] * 18


def test_what_was_damaged_is_set_aside_whole_with_one_line_each(bad_day: BadDay) -> None:
    for name, data in bad_day.kept.items():
        folder, _, inner = name.partition("/")
        assert (bad_day.run / "steps" / f"{folder}.broken-1" / inner).read_bytes() == data, name
    said = "\n".join([bad_day.stopped[1], *(err for _, _, err in bad_day.both)])
    for what, folder in bad_day.damaged.items():
        assert said.count(f"did not match its DONE and was set aside as {folder.name}.broken-1") == 1, what


def test_two_runs_at_once_share_the_work(bad_day: BadDay) -> None:
    counts = [re.search(r"(\d+) steps run, (\d+) reused", out) for _, out, _ in bad_day.both]
    assert all(counts) and {int(c[1]) + int(c[2]) for c in counts if c} == {18}
    before = bad_day.stopped[1].count(": done, ")
    # the damaged and the two without DONE, each once, and nothing that rests on them; those two that were at work at Ctrl-C may have
    # ended without a word
    again = len(bad_day.damaged) + 2
    assert again - 2 <= sum(int(c[1]) for c in counts if c) + before <= again
    events = [json.loads(line) for line in (bad_day.run / "events.jsonl").read_text().splitlines()]
    assert all(events)  # two writers, and every line is whole


def test_a_damaged_run_is_not_asked_nor_compared(finished: tuple[Path, str], tmp_path: Path) -> None:
    run = copied(finished[0], tmp_path)
    flip(training(run, "proactive") / "model" / "model.safetensors")
    flip(step(run, "evaluate", arm="mixed") / "predictions.parquet")
    for arguments in (["ask", "six_arms", "Zibble(7)"], ["compare", "six_arms", "six_arms"]):
        code, out, err = pbb_says(*arguments, cwd=tmp_path)
        assert (code, out, len(err.splitlines())) == (2, "", 1), err
        assert (
            "its files are not those that the step ended with: the same `pbb run` again makes it anew" in err
        )


def test_after_a_change_of_the_code_its_steps_are_made_again(
    finished: tuple[Path, str], command: Command, tmp_path: Path
) -> None:
    """Those that it changes: a comment changes none."""
    run = copied(finished[0], tmp_path)
    before = {path.name: folders.state(path) for path in (run / "steps").iterdir()}
    code_of = tmp_path / "source" / "pbb" / "evaluation"
    shutil.copytree(Path(pbb.__file__).parent, code_of.parent)
    for name, text in (("score.py", "\nCHANGED = True\n"), ("ask.py", "\n# said in other words\n")):
        with (code_of / name).open("a") as file:
            file.write(text)
    code, out, err = pbb_says(*command, cwd=tmp_path, source=tmp_path / "source")
    assert code == 0, err
    assert re.search(r"^2 steps run, 16 reused", out, re.MULTILINE)  # scores and report
    assert {name: folders.state(run / "steps" / name) for name in before} == before
    assert scores(run) == scores(finished[0])


def boxed(*arguments: str) -> Command:
    """The beginning of a command that sees the same machine but for what the arguments of bubblewrap say."""
    return ["bwrap", "--dev-bind", "/", "/", *arguments]


def without_bubblewrap() -> str | None:
    if shutil.which("bwrap") is None:
        return "bubblewrap is missing"
    tried = subprocess.run(boxed("--size", "4096", "--tmpfs", "/mnt", "true"), capture_output=True, text=True)
    return f"bubblewrap does not work here: {tried.stderr.strip()}" if tried.returncode else None


REASON = without_bubblewrap()
needs_bubblewrap = pytest.mark.skipif(
    REASON is not None, reason=f"no small disk, no read-only folder: {REASON}"
)


@needs_bubblewrap
def test_a_full_disk_is_one_line_and_loses_nothing(
    finished: tuple[Path, str], command: Command, tmp_path: Path
) -> None:
    """On a disk of its own: full from the start, then while a model is saved, then with room again."""
    run = copied(finished[0], tmp_path)
    for arm in ("stage-1-only", "stage-2-only", "wrong-source", "proactive"):
        folder = training(run, arm)
        (folder / "model" / "model.safetensors").unlink()  # large, and not needed here
        done = folders.read_json(folder / "DONE")
        folders.mark_done(folder, {key: value for key, value in done.items() if key != "outputs"})
    shutil.rmtree(training(run, "mixed"))
    shutil.rmtree(step(run, "score"))
    disk = tmp_path / "disk"
    disk.mkdir()
    script = f"""
    cp -r {tmp_path}/runs {disk} && cd {disk} || exit 9
    fill() {{ cat /dev/zero > filler 2>/dev/null; [ -z "$1" ] || truncate -s -$1 filler; }}
    fill; "$@" 2> {tmp_path}/full; echo $? >> {tmp_path}/codes
    fill 4M; "$@" 2> {tmp_path}/while; echo $? >> {tmp_path}/codes
    rm filler; "$@" 2> {tmp_path}/after; echo $? >> {tmp_path}/codes
    cp -r {disk}/runs {tmp_path}/saved
    """
    megabytes = 40
    code, out, err = pbb_says(
        *command, cwd=tmp_path, within=boxed("--size", str(megabytes << 20), "--tmpfs", str(disk), "bash", "-c", script, "-")
    )  # fmt: skip
    assert code == 0, err
    for name in ("full", "while"):
        said = (tmp_path / name).read_text()
        assert "Traceback" not in said and said.count("pbb: ") == 1, said
        last = said.splitlines()[-1]
        assert last.startswith("pbb: No space left on device: ") and "free some space and start again" in last
    assert (tmp_path / "codes").read_text().split() == ["2", "2", "0"], (tmp_path / "after").read_text()
    saved = tmp_path / "saved" / "six_arms" / run.name
    assert scores(saved)["scores"] == scores(finished[0])["scores"]
    model = Path("model", "model.safetensors")
    assert (training(saved, "mixed") / model).read_bytes() == (
        training(finished[0], "mixed") / model
    ).read_bytes()


@needs_bubblewrap
def test_a_read_only_folder_is_read_and_one_line_where_it_must_be_written(
    finished: tuple[Path, str], command: Command, tmp_path: Path
) -> None:
    run = copied(finished[0], tmp_path)
    walled = boxed("--ro-bind", str(tmp_path), str(tmp_path))
    code, out, err = pbb_says(*command, cwd=tmp_path, within=walled)
    assert code == 0 and "0 steps run, 18 reused" in out, err
    (step(run, "score") / "DONE").unlink()
    code, out, err = pbb_says(*command, cwd=tmp_path, within=walled)
    assert (code, out, len(err.splitlines())) == (2, "", 1), err
    assert err.startswith("pbb: Read-only file system: ") and "choose a folder that you may write to" in err


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc to see how far pbb is")
@pytest.mark.parametrize("loaded", ["pydantic_core", "numpy", "six_arms"])
def test_ctrl_c_while_it_starts(command: Command, tmp_path: Path, loaded: str) -> None:
    """When a library has just been loaded, then when the run's folder has just been made."""
    process = start(*command, cwd=tmp_path)
    maps = Path(f"/proc/{process.pid}/maps")
    until(
        lambda: (
            process.poll() is not None or (tmp_path / "runs" / loaded).exists() or loaded in maps.read_text()
        )
    )
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    _, err = process.communicate()
    assert process.returncode == 130, err
    assert "Traceback" not in err and err.splitlines()[-1].startswith("pbb: stopped")


def test_ctrl_c_while_a_library_runs_a_string_of_code_has_the_same_exit_code(tmp_path: Path) -> None:
    """As dataclasses and named tuples do when a module is imported."""
    (tmp_path / "typer.py").write_text('exec("raise KeyboardInterrupt")')
    source = Path(f"{tmp_path}{os.pathsep}{Path(pbb.__file__).parents[1]}")
    assert pbb_says("--help", cwd=tmp_path, source=source) == (130, "", "pbb: stopped\n")
