"""How long Random Arithmetic takes: programs with examples and traces a second, on one core.

    python benchmarks/generate.py [--programs 100000]

Every program is drawn, accepted on its whole input range, and given an output and a trace for ten inputs; the peer in the same run is the
sandbox executing the same calls from source.
"""

from __future__ import annotations

import argparse
import time
from itertools import islice

from pbb.programs.arithmetic import Dials, candidates
from pbb.programs.random_arithmetic import program
from pbb.programs.sandbox import Worker

INPUTS = list(range(10))


def main() -> None:
    """Prints seconds and the ratio to the sandbox."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=100_000)
    count = parser.parse_args().programs
    dials = Dials(input_range=(0, 29), bound=99, constants=(1, 9))
    started = time.perf_counter()
    jobs = []
    for index, body, _ in islice(candidates(0, dials), count):
        p = program(f"P{index}", body, "io", {"train": INPUTS}, {})
        jobs.append((p.source, p.entry, [[x] for x in INPUTS]))
    generated = time.perf_counter() - started
    started = time.perf_counter()
    with Worker() as worker:
        calls = sum(len(outcomes) for outcomes in worker.execute_many(jobs))
    executed = time.perf_counter() - started
    print(f"{count} programs with {len(INPUTS)} examples and traces: {generated:.1f} s")
    print(f"sandbox, the same {calls} calls: {executed:.1f} s; ratio {generated / executed:.2f}")


if __name__ == "__main__":
    main()
