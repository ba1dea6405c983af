"""How long third-party programs take behind the wall: milliseconds a program with 20 inputs, on one core.

    python benchmarks/isolation.py [--programs 400]

Each program runs in a child of its own within one persistent bubblewrap worker; the peer in the same run is a fresh `bwrap` process for
every program, which loads nothing but what it needs.
"""

from __future__ import annotations

import argparse
import subprocess
import time

from pbb.programs.isolation import Isolated, interpreter, walls

INPUTS = list(range(20))
SOURCE = """from collections import Counter

def digits{k}(n):
    total = {k}
    for digit, count in sorted(Counter(str(n * {k})).items()):
        total += int(digit) ** count
    return total
"""


def main() -> None:
    """Prints milliseconds a program and the ratio to a fresh process each time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=400)
    count = parser.parse_args().programs
    sources = [(SOURCE.format(k=k), f"digits{k}") for k in range(count)]
    with Isolated(allowed=True) as worker:
        worker.execute(*sources[0], [[1]])
        started = time.perf_counter()
        outcomes = list(worker.execute_many((*source, [[x] for x in INPUTS]) for source in sources))
        persistent = (time.perf_counter() - started) / count
    peers = sources[:: max(1, count // 40)]
    started = time.perf_counter()
    answers = [
        subprocess.run(
            [*walls(), *interpreter(), "-c", f"{source}\nprint([{entry}(x) for x in {INPUTS}])"],
            capture_output=True,
            text=True,
            env={},
        ).stdout
        for source, entry in peers
    ]
    fresh = (time.perf_counter() - started) / len(peers)
    assert [str([o.value for o in row]) for row in outcomes[:: max(1, count // 40)]] == [
        a.strip() for a in answers
    ]
    print(
        f"persistent worker, {count} programs with {len(INPUTS)} inputs: {1000 * persistent:.2f} ms a program"
    )
    print(
        f"a fresh bwrap process for each of {len(peers)}: {1000 * fresh:.1f} ms; ratio {fresh / persistent:.0f}"
    )


if __name__ == "__main__":
    main()
