"""SIGKILL at random moments of a shrunken recipe, then the scores of an undisturbed run: equal or not.

    python benchmarks/kill.py [--kills 20] [--seed 0]

Both runs go through the real command line, all six arms, in folders of their own. A moment is drawn between the start of `pbb run` and
the time that the undisturbed run took for a fifth of its work, so that kills fall into every kind of step.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SHRUNKEN = {
    "data.io": "30",
    "data.source_only": "12",
    "evaluation.calls": "2",
    "evaluation.io_programs": "10",
}


def command(out: Path) -> list[str]:
    """The run's command line."""
    settings = [part for item in SHRUNKEN.items() for part in ("--set", "=".join(item))]
    return [sys.executable, "-m", "pbb", "run", "arithmetic", *settings, "--out", str(out)]


def scores(out: Path) -> dict[str, object]:
    """Everything of scores.json that must not depend on when the run was interrupted."""
    (path,) = out.glob("*/*/scores.json")
    found = json.loads(path.read_text(encoding="utf-8"))
    return {key: found[key] for key in ("scores", "ratios", "tests")}


def main() -> int:
    """Exit status 0 where both runs agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as folder:
        calm, stormy = Path(folder, "calm"), Path(folder, "stormy")
        started = time.monotonic()
        subprocess.run(command(calm), check=True, capture_output=True)
        seconds = time.monotonic() - started
        print(f"undisturbed: {seconds:.0f} s")
        done = 0
        while done < given.kills:
            with tempfile.TemporaryFile() as log:
                run = subprocess.Popen(command(stormy), stdout=log, stderr=log)
                moment = rng.uniform(0.5, seconds / 5)
                try:
                    run.wait(moment)
                except subprocess.TimeoutExpired:
                    run.send_signal(signal.SIGKILL)
                    run.wait()
                    done += 1
                    print(f"kill {done} after {moment:.1f} s", flush=True)
                    continue
                if run.returncode:
                    log.seek(0)
                    print(log.read().decode())
                    return 1
                print(f"finished after {done} kills")
                break
        subprocess.run(command(stormy), check=True, capture_output=True)
        equal = scores(calm) == scores(stormy)
        print(f"{done} kills, scores {'equal' if equal else 'DIFFERENT'}")
        return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
