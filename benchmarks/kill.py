"""SIGKILL at random moments of a shrunken recipe, then the scores of an undisturbed run: equal or not.

    python benchmarks/kill.py [--kills 100] [--seed 0]

The recipe is kill.yaml: six arms by SFT and one by GRPO. All runs go through the real command line, in folders of their own. A run is killed
and started again until it comes to its end, is held against the undisturbed one, and the next begins, until there were so many kills. Of four
moments one is drawn from the start of `pbb run` to when it begins its first step, and three from there on within twice what its longest step
took undisturbed, so that kills fall into every kind of step and a step comes to its end now and then.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

RECIPE = Path(__file__).parent / "kill.yaml"


def command(out: Path) -> list[str]:
    """The run's command line."""
    return [sys.executable, "-m", "pbb", "run", str(RECIPE), "--out", str(out)]


def scores(out: Path) -> dict[str, object]:
    """Everything of scores.json that must not depend on when the run was interrupted."""
    (path,) = out.glob("*/*/scores.json")
    found = json.loads(path.read_text(encoding="utf-8"))
    return {key: found[key] for key in ("scores", "ratios", "tests")}


def begun(out: Path) -> int:
    """How many steps the run's journal has seen begin."""
    return sum(path.read_text(encoding="utf-8").count('"event": "started"') for path in out.glob("*/*/events.jsonl"))  # fmt: skip


def kind(step: Path) -> str:
    """What a step does; of a training also how, and whether it has taken optimizer steps."""
    name = step.name.rpartition("-")[0]
    if name != "train":
        return name
    settings = json.loads((step / "inputs.json").read_text(encoding="utf-8"))["config"]["settings"]
    metrics = step / "metrics.jsonl"
    midst = " in its midst" if metrics.exists() and metrics.stat().st_size else ""
    return ("GRPO" if "grpo" in settings else "SFT") + midst


def underway(out: Path) -> list[str]:
    """The kinds of the steps that were begun and are not done."""
    return sorted(kind(p.parent) for p in out.glob("*/*/steps/*/inputs.json") if not (p.parent / "DONE").exists())  # fmt: skip


class Pace:
    """Seconds of an undisturbed run: to its first step, of its longest step, in all."""

    def __init__(self, out: Path) -> None:
        started = time.monotonic()
        run = subprocess.Popen(command(out), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        first = until_begun(run, out, 0)
        _, said = run.communicate()
        if run.returncode:
            raise SystemExit(said.decode())
        self.first, self.all = first, time.monotonic() - started
        done = [json.loads(path.read_text(encoding="utf-8")) for path in out.glob("*/*/steps/*/DONE")]
        self.longest = max(float(record["seconds"]) for record in done)


def until_begun(run: subprocess.Popen[Any], out: Path, before: int) -> float:
    """Wait until the run has begun a step or ended; the seconds that it took."""
    started = time.monotonic()
    while run.poll() is None and begun(out) <= before:
        time.sleep(0.02)
    return time.monotonic() - started


def storm(out: Path, pace: Pace, most: int, rng: random.Random, hit: Counter[str]) -> int:
    """Start and kill until the run comes to its end, `most` times at most; how often it was killed."""
    for kills in range(most):
        before = begun(out)
        with tempfile.TemporaryFile() as log:
            run = subprocess.Popen(command(out), stdout=log, stderr=log)
            early = rng.random() < 0.25
            moment = rng.uniform(0.2, pace.first if early else 2 * pace.longest)
            if not early:
                until_begun(run, out, before)
            try:
                run.wait(moment)
            except subprocess.TimeoutExpired:
                run.kill()
                run.wait()
                within = underway(out)
                hit.update(within or ["between steps"])
                where = "the start" if early else "its first step"
                print(
                    f"killed {moment:.1f} s after {where}: {', '.join(within) or 'between steps'}", flush=True
                )
                continue
            if run.returncode:
                log.seek(0)
                raise SystemExit(log.read().decode())
            return kills
    subprocess.run(command(out), check=True, capture_output=True)
    return most


def main() -> int:
    """Exit status 0 where all runs agree."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng, hit = random.Random(given.seed), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        calm = Path(folder, "calm")
        pace = Pace(calm)
        print(
            f"undisturbed: {pace.all:.0f} s, first step after {pace.first:.1f} s, longest {pace.longest:.1f} s",
            flush=True,
        )
        done = rounds = lost = 0
        while done < given.kills:
            stormy = Path(folder, f"stormy-{rounds}")
            done += storm(stormy, pace, given.kills - done, rng, hit)
            rounds += 1
            equal = scores(calm) == scores(stormy)
            lost += not equal
            print(
                f"{done} kills, run {rounds} to its end: scores {'equal' if equal else 'DIFFERENT'}",
                flush=True,
            )
    print(f"{done} kills over {rounds} runs, {lost} with other scores; struck: {dict(hit.most_common())}")
    return int(lost > 0)


if __name__ == "__main__":
    sys.exit(main())
