"""`pbb` as a process of its own, for tests through the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pbb

RECIPE = Path(__file__).parent / "six_arms.yaml"

Command = list[str]


def start(
    *arguments: str, cwd: Path, source: Path | None = None, within: Command | None = None
) -> subprocess.Popen[str]:
    """source: the folder that holds the package, by default that of this one; within: a command that runs another one."""
    source = source or Path(pbb.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(source), "COLUMNS": "200"}
    return subprocess.Popen(
        [*(within or []), sys.executable, "-m", "pbb", *arguments],
        cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def pbb_says(
    *arguments: str, cwd: Path, source: Path | None = None, within: Command | None = None
) -> tuple[int, str, str]:
    process = start(*arguments, cwd=cwd, source=source, within=within)
    out, err = process.communicate()
    return process.returncode, out, err


def scores(directory: Path) -> dict[str, Any]:
    """scores.json without what a clock or a memory gauge decides."""
    read: dict[str, Any] = json.loads((directory / "scores.json").read_text())
    cost = read.pop("cost")
    return read | {"tokens": cost["tokens"], "steps": [(s["step"], s.get("tokens")) for s in cost["steps"]]}


def outputs(directory: Path) -> dict[str, bytes]:
    """By name, the bytes of every step's models, predictions and data."""
    kinds = ("*.safetensors", "predictions.parquet", "programs.jsonl", "documents.jsonl")
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for kind in kinds
        for path in sorted((directory / "steps").rglob(kind))
        if "checkpoints" not in path.parts
    }


def until(holds: Callable[[], object], seconds: float = 900) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"still not so after {seconds} s"
        time.sleep(0.05)


def step(run: Path, kind: str, **config: object) -> Path:
    """The folder of the step of a kind with these settings."""
    for path in sorted(run.glob(f"steps/{kind}-*")):
        known = json.loads((path / "inputs.json").read_text())["config"]
        if path.is_dir() and all(known.get(key) == value for key, value in config.items()):
            return path
    raise LookupError(kind)
