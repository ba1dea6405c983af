"""Feed every parser many damaged inputs and count what becomes of them: taken, refused in one line, or a fault.

    python benchmarks/fuzz.py [--inputs 10000] [--seed 0] [--only "model answers"]

The inputs are those of tests/fuzz/parsers.py, drawn by hypothesis from the seed. A fault is an exception other than a refusal, an answer
that takes more than five seconds of a core, or a process that has grown by more than a gigabyte; its smallest form is printed.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fuzz"))
from parsers import PARSERS  # noqa: E402

SLOW = 5.0  # seconds of a core
LARGE = 1 << 20  # kilobytes


def fuzz(name: str, inputs: int, number: int) -> bool:
    """Print the counts of one parser; whether there was no fault."""
    parser, strategy = PARSERS[name]
    counts: Counter[str] = Counter()
    slowest = 0.0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    @seed(number)
    @settings(
        max_examples=inputs, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )  # fmt: skip
    @given(strategy)
    def feed(data: Any) -> None:
        nonlocal slowest
        begun = time.process_time()  # not of the clock: the machine may be busy with other things
        counts[parser(data)] += 1
        took = time.process_time() - begun
        assert took < SLOW or not slowest, f"{took:.1f} s"  # the first one imports what is needed
        slowest = max(slowest, took)

    fault = ""
    begun = time.perf_counter()
    try:
        feed()
    except BaseException as error:  # hypothesis groups them
        if isinstance(error, KeyboardInterrupt):
            raise
        notes = " ".join(getattr(error, "__notes__", []))
        fault = f"{type(error).__name__}: {error}\n{notes}"
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    if not fault and grown > LARGE:
        fault = f"the process has grown by {grown >> 10} MB"
    print(
        f"{name}: {sum(counts.values())} inputs, {counts['taken']} taken, {counts['refused']} refused, {int(bool(fault))} faults; "
        f"slowest {slowest:.2f} s, grown by {grown >> 10} MB, {time.perf_counter() - begun:.0f} s",
        flush=True,
    )
    if fault:
        print(fault, flush=True)
    return not fault


def main() -> int:
    """Exit status 0 where no parser has a fault."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--inputs", type=int, default=10_000)
    ask.add_argument("--seed", type=int, default=0)
    ask.add_argument("--only", choices=list(PARSERS), action="append")
    given_ = ask.parse_args()
    print(f"{given_.inputs} inputs a parser, seed {given_.seed}", flush=True)
    return int(not all([fuzz(name, given_.inputs, given_.seed) for name in given_.only or PARSERS]))


if __name__ == "__main__":
    sys.exit(main())
