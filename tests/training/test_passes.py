"""A batch is cut into passes only where that saves memory, and always evenly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbb.training.passes import ROWS, passes


@pytest.mark.parametrize(
    ("asked", "expected"),
    [((16, 1, 1), 1), ((8, 2, 1), 2), ((32, 1, 1), 2), ((64, 1, 1), 4), ((64, 1, 2), 2), ((64, 8, 1), 8), ((24, 1, 1), 2), ((17, 1, 1), 1)],
)  # fmt: skip
def test_large_batches_are_cut_on_a_cpu_alone(asked: tuple[int, int, int], expected: int) -> None:
    assert passes(*asked, on_cpu=True) == expected
    assert passes(*asked, on_cpu=False) == asked[1]


@given(st.integers(1, 40), st.integers(1, 8), st.integers(1, 4))
def test_every_process_and_pass_has_as_many_documents(rows: int, accumulate: int, processes: int) -> None:
    batch = rows * accumulate * processes
    found = passes(batch, accumulate, processes, on_cpu=True)
    assert found >= accumulate and batch % (found * processes) == 0
    assert batch // (found * processes) <= max(ROWS, rows)
