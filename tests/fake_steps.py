"""Step functions for tests of the engine: tiny, resumable by a counter file, and free of torch.

Run as a script it executes one of the graphs below, so that a test can kill it from outside:
python fake_steps.py RUN_DIR GRAPH [WORKERS]
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

from pbb.errors import PbbError
from pbb.graph import Step
from pbb.progress import Progress


def count(config: dict[str, Any], inputs: dict[str, Path], out: Path, progress: Progress) -> None:
    """Counts to config["to"], continuing from counter.txt; value.txt depends on config and inputs alone."""
    counter = out / "counter.txt"
    start = int(counter.read_text()) if counter.exists() else 0
    for number in range(start, config["to"]):
        time.sleep(config.get("sleep", 0.0))
        temporary = out / ".counter.tmp"
        temporary.write_text(str(number + 1))
        temporary.replace(counter)
        progress(number + 1, config["to"], f"at {number + 1}")
    total = config["to"] + sum(int((folder / "value.txt").read_text()) for folder in inputs.values())
    (out / "nested").mkdir(exist_ok=True)
    (out / "nested" / "inputs.txt").write_text(",".join(sorted(inputs)))
    (out / "value.txt").write_text(str(total))


def checkpointed(config: dict[str, Any], inputs: dict[str, Path], out: Path, progress: Progress) -> None:
    (out / "checkpoints" / "checkpoint-1").mkdir(parents=True)
    (out / "checkpoints" / "checkpoint-1" / "weights").write_text("w")
    (out / "value.txt").write_text("1")


def refuse(config: dict[str, Any], inputs: dict[str, Path], out: Path, progress: Progress) -> None:
    raise PbbError("data.programs: 0: give at least one program")


def crash(config: dict[str, Any], inputs: dict[str, Path], out: Path, progress: Progress) -> None:
    raise KeyError("no such key")


def leave(config: dict[str, Any], inputs: dict[str, Path], out: Path, progress: Progress) -> None:
    sys.exit(0)


def vanish(config: dict[str, Any], inputs: dict[str, Path], out: Path, progress: Progress) -> None:
    os.kill(os.getpid(), 9)


def fill_disk(config: dict[str, Any], inputs: dict[str, Path], out: Path, progress: Progress) -> None:
    raise OSError(28, "No space left on device", str(out / "model.safetensors"))


def fill_disk_in_rust(config: dict[str, Any], inputs: dict[str, Path], out: Path, progress: Progress) -> None:
    raise RuntimeError('IoError(Os { code: 28, kind: StorageFull, message: "No space left on device" })')


def spoil(config: dict[str, Any], inputs: dict[str, Path], out: Path, progress: Progress) -> None:
    """Changes a parent, once, which no step may."""
    value = inputs["first"] / "value.txt"
    if not list(inputs["first"].parent.glob("*.broken-*")):
        value.write_text("8")
    (out / "value.txt").write_text("3")


def speak(config: dict[str, Any], inputs: dict[str, Path], out: Path, progress: Progress) -> None:
    print("from python")
    print("to stderr", file=sys.stderr)
    os.write(1, b"from the library\n")
    (out / "threads.txt").write_text(os.environ["OMP_NUM_THREADS"])


def sleep(config: dict[str, Any], inputs: dict[str, Path], out: Path, progress: Progress) -> None:
    """Starts a child of its own, tells both ids, and never ends by itself."""
    import subprocess

    child = subprocess.Popen(["sleep", "1000"])
    temporary = out / ".pids.tmp"
    temporary.write_text(json.dumps([os.getpid(), child.pid]))
    temporary.replace(out / "pids.json")
    progress(1, 10, "asleep")
    time.sleep(1000)


def fault(config: dict[str, Any], inputs: dict[str, Path], out: Path, progress: Progress) -> None:
    """Ends the first so many times as a fault in native code ends a process."""
    tries = out / "tries"
    made = int(tries.read_text()) + 1 if tries.exists() else 1
    tries.write_text(str(made))
    if made <= config["times"]:
        os.kill(os.getpid(), signal.SIGSEGV)
        time.sleep(60)


def together(config: dict[str, Any], inputs: dict[str, Path], out: Path, progress: Progress) -> None:
    """In each of several processes: tells who it is; then what config["then"] of the second one says, while the first one waits."""
    rank = os.environ["RANK"]
    told = {name: os.environ[name] for name in ("WORLD_SIZE", "OMP_NUM_THREADS")} | {"pid": os.getpid()}
    temporary = out / f".rank-{rank}.tmp"
    temporary.write_text(json.dumps(told))
    temporary.replace(out / f"rank-{rank}.json")
    progress(1, 10, f"from {rank}")
    then = config.get("then")
    if rank == "1" and then == "crash":
        raise KeyError("no such key")
    if rank == "1" and then == "disk":
        raise OSError(28, "No space left on device", str(out / "rng_state_1.pth"))
    if rank == "1" and then == "vanish":
        os.kill(os.getpid(), signal.SIGKILL)
    if then:
        time.sleep(1000)


def scores(config: dict[str, Any], inputs: dict[str, Path], out: Path, progress: Progress) -> None:
    (out / "scores.json").write_text(json.dumps(config["scores"]))


def report(config: dict[str, Any], inputs: dict[str, Path], out: Path, progress: Progress) -> None:
    (out / "figures").mkdir(exist_ok=True)
    (out / "figures" / "accuracy.svg").write_text("<svg/>")
    (out / "report.html").write_text("<html>report</html>")


def data(config: dict[str, Any], inputs: dict[str, Path], out: Path, progress: Progress) -> None:
    source = "def Zibble(x):\n    return x\n"
    if config["name"] == "programs.jsonl":
        told = {"family": "fake", "group": "source_only", "examples": [], "facts": {"length": 1}}
        record: dict[str, Any] = {"name": "Zibble", "entry": "Zibble", "source": source} | told
    else:
        told = {"program": "Zibble", "group": "source_only", "kind": "declaration"}
        record = {"prompt": "Zibble(x)?", "completion": source} | told
    (out / config["name"]).write_text(json.dumps(record) + "\n")
    (out / "metrics.jsonl").write_text("{}\n")
    (out / "value.txt").write_text("1")


def kill_worker(config: dict[str, Any], inputs: dict[str, Path], out: Path, progress: Progress) -> None:
    """Kills, the first time, the process that asked for the step, as a machine that goes down would."""
    mark = Path(config["marks"]) / "killed"
    if not mark.exists():
        mark.touch()
        asker = parent_process()
        assert asker is not None and asker.pid is not None
        os.kill(asker.pid, signal.SIGKILL)
        time.sleep(60)
    count(config, inputs, out, progress)


def step(label: str, parents: dict[str, Step] | None = None, function: str = "count", **config: Any) -> Step:
    seconds = config.pop("expected_seconds", 1.0)
    cores = config.pop("cores", 1)
    kind = config.pop("kind", "fake")
    processes = config.pop("processes", 1)
    config = {"name": label, "to": 3} | config
    return Step(
        kind,
        label,
        config,
        parents or {},
        f"fake_steps:{function}",
        cores=cores,
        processes=processes,
        expected_seconds=seconds,
    )


def diamond(sleep_for: float = 0.0, to: int = 3) -> list[Step]:
    """top -> left, right -> bottom, and one step beside them."""
    top = step("top", to=to, sleep=sleep_for)
    left = step("left", {"top": top}, to=to, sleep=sleep_for)
    right = step("right", {"top": top}, to=to, sleep=sleep_for, expected_seconds=9.0)
    bottom = step("bottom", {"left": left, "right": right}, to=to, sleep=sleep_for)
    beside = step("beside", to=2 * to, sleep=sleep_for)
    return [top, left, right, bottom, beside]


GRAPHS = {
    "diamond": lambda: diamond(),
    "slow": lambda: diamond(sleep_for=0.002, to=30),
    "asleep": lambda: [step("asleep", function="sleep")],
    "asleep together": lambda: [step("asleep", function="together", processes=2, cores=2, then="sleep")],
}


def main() -> int:
    from pbb.progress import display
    from pbb.run import Stopped, execute

    run_dir, graph, workers = Path(sys.argv[1]), sys.argv[2], int((sys.argv[3:] or ["2"])[0])
    try:
        outcome = execute(GRAPHS[graph](), run_dir, workers=workers, preload=(), display=display())
    except Stopped as stopped:
        return stopped.exit_code
    print(json.dumps({"ran": outcome.ran, "reused": outcome.reused}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
