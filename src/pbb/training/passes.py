"""Into how many passes the batch of an update is cut, so that it takes no more memory than it has to.

Contract: the update is that of the whole batch, to rounding.
"""

from __future__ import annotations

ROWS = 16
"""Documents of a pass on a CPU: 32 are no faster there, and take 1.6 GB with the base in place of 1.2 (docs/hardware.md)."""


def passes(batch_size: int, accumulate: int, processes: int, on_cpu: bool) -> int:
    """`accumulate`, the fewest that were asked for; on a CPU the next number that divides each process's share evenly into at most ROWS.

    A share that only many small passes would divide evenly (17 documents) stays as it was asked for.
    """
    share = batch_size // processes
    if not on_cpu or share <= ROWS * accumulate:
        return accumulate
    few = -(-share // ROWS)
    return next((n for n in range(few, 2 * few + 1) if share % n == 0), accumulate)
