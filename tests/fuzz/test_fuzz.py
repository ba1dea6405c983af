"""Whatever is read from outside is taken or refused in one line: no stack trace, no hang, no flood. `benchmarks/fuzz.py` runs more."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

sys.path.insert(0, str(Path(__file__).parent))
from parsers import PARSERS  # noqa: E402

SLOW = 5.0  # seconds of a core


@pytest.mark.parametrize("name", PARSERS)
def test_nothing_that_is_read_ends_in_a_stack_trace(name: str) -> None:
    parser, inputs = PARSERS[name]
    seen: set[str] = set()

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(inputs)
    def reads(data: Any) -> None:
        begun = time.process_time()
        first = not seen  # imports what is needed
        seen.add(parser(data))
        assert first or time.process_time() - begun < SLOW

    reads()
    assert seen == {"taken", "refused"}  # else it is the first line of a parser that is tested, or nothing
