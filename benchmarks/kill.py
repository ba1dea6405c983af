"""SIGKILL at random moments of a shrunken recipe, then the scores of an undisturbed run: equal or not.

    python benchmarks/kill.py [--kills 100] [--seed 0]

The recipe is kill.yaml: six arms by SFT and one by GRPO. All runs go through the real command line, in folders of their own. A run is killed
and started again until it comes to its end, is held against the undisturbed one, and the next begins, until there were so many kills. A moment
is drawn between the start of `pbb run` and a third of what the undisturbed run took, so that kills fall into every kind of step.
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

RECIPE = Path(__file__).parent / "kill.yaml"


def command(out: Path) -> list[str]:
    """The run's command line."""
    return [sys.executable, "-m", "pbb", "run", str(RECIPE), "--out", str(out)]


def scores(out: Path) -> dict[str, object]:
    """Everything of scores.json that must not depend on when the run was interrupted."""
    (path,) = out.glob("*/*/scores.json")
    found = json.loads(path.read_text(encoding="utf-8"))
    return {key: found[key] for key in ("scores", "ratios", "tests")}


def underway(out: Path) -> list[str]:
    """The kinds of the steps that were begun and are not done."""
    return sorted({p.parent.name.rpartition("-")[0] for p in out.glob("*/*/steps/*/inputs.json") if not (p.parent / "DONE").exists()})  # fmt: skip


def storm(out: Path, seconds: float, most: int, rng: random.Random, hit: Counter[str]) -> int:
    """Start and kill until the run comes to its end, `most` times at most; how often it was killed."""
    for kills in range(most):
        with tempfile.TemporaryFile() as log:
            run = subprocess.Popen(command(out), stdout=log, stderr=log)
            moment = rng.uniform(0.5, seconds / 3)
            try:
                run.wait(moment)
            except subprocess.TimeoutExpired:
                run.kill()
                run.wait()
                within = underway(out)
                hit.update(within or ["between steps"])
                print(f"killed after {moment:.1f} s: {', '.join(within) or 'between steps'}", flush=True)
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
        started = time.monotonic()
        subprocess.run(command(calm), check=True, capture_output=True)
        seconds = time.monotonic() - started
        print(f"undisturbed: {seconds:.0f} s", flush=True)
        done = rounds = lost = 0
        while done < given.kills:
            stormy = Path(folder, f"stormy-{rounds}")
            done += storm(stormy, seconds, given.kills - done, rng, hit)
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
