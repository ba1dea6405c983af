"""A run for the tests of the report to read; it is made by hand in fake_run.py."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fake_run import Run, build_run  # noqa: E402


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Run]:
    """Builds a run of the given seeds, arms and size under tmp_path."""
    return lambda **options: build_run(tmp_path / "run", **options)


@pytest.fixture(scope="session")
def shared_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run with every arm, three seeds, and its written report: tests that only read share it."""
    from pbb.report.page import write_report

    run = build_run(tmp_path_factory.mktemp("shared"), seeds=(0, 1, 2), count=6, calls=1)
    write_report(**vars(run))
    return run
