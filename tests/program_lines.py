"""Lines of a programs.jsonl, right unless changed, and what `pbb data check` finds in them."""

import json
from pathlib import Path
from typing import Any

from pbb.check import check


def record(name: str, k: int = 2, **changes: Any) -> dict[str, Any]:
    """A program that multiplies by k, right and complete unless changed."""
    examples = [{"args": [x], "output": k * x, "split": "test" if x > 8 else "train"} for x in range(1, 13)]
    return {
        "name": name, "entry": name, "source": f"def {name}(x):\n    return {k} * x\n", "family": "mine", "group": "io",
        "examples": examples, "facts": {"length": 1}, **changes,
    }  # fmt: skip


def written(folder: Path, *records: Any) -> Path:
    path = folder / "programs.jsonl"
    path.write_text(
        "".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in records), encoding="utf-8"
    )
    return path


def faults(path: Path, allow_code: bool = False) -> list[tuple[int, str]]:
    return [(f.line, f.rule) for f in check(path, allow_code, lambda done, total, what: None)[1]]
