"""`pbb` as a process of its own, for tests through the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pbb

RECIPE = Path(__file__).parent / "six_arms.yaml"

Command = list[str]


def start(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(pbb.__file__).parents[1]), "COLUMNS": "200"}
    return subprocess.Popen(
        [sys.executable, "-m", "pbb", *arguments],
        cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def pbb_says(*arguments: str, cwd: Path) -> tuple[int, str, str]:
    process = start(*arguments, cwd=cwd)
    out, err = process.communicate()
    return process.returncode, out, err
