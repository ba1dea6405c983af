"""Trainings that are to be killed save at every step, however long a save takes beside a step of so small a model."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pbb.training import loop


@pytest.fixture(scope="module", autouse=True)
def saved_at_every_step() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "DEAR", 0)
        yield
