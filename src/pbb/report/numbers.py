"""The numbers of a run as CSV, for other programs: those of a figure, and all that scores.json holds in rows.

Contract: a list of rows becomes one table; lists within a row (accuracy by length, by operation) are left to the figures that show them, but
for pass@k, which is a table of its own; a mapping (differences by seed) is written as `key: value; ...`. Values are unrounded, and empty where a
measure does not apply.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

TABLES = {
    "scores": "scores",
    "tests": "differences",
    "hypotheses": "verdicts",
    "ratios": "ratios",
    "break_even": "break-even",
    "compositions": "compositions",
    "languages": "languages",
}
"""Lists of scores.json, and the names of their files."""
CELL = ("arm", "seed", "group", "split", "ask")


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """A line a row under the keys of all, in the order in which they first come."""
    flat = [{k: _cell(v) for k, v in row.items() if not isinstance(v, list)} for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(k for row in flat for k in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def _cell(value: Any) -> Any:
    return "; ".join(f"{k}: {v}" for k, v in value.items()) if isinstance(value, dict) else value


def csv_files(scores: Mapping[str, Any]) -> dict[str, str]:
    """{file name: text} for every list of `TABLES` that has rows, and for pass@k where answers were sampled."""
    found = {name: scores[key] for key, name in TABLES.items() if scores.get(key)}
    if sampled := [
        {name: row[name] for name in CELL} | part
        for row in scores.get("scores") or []
        for part in row.get("pass_at_k") or []
    ]:
        found["pass-at-k"] = sampled
    return {f"{name}.csv": csv_text(rows) for name, rows in found.items()}


def curve_files(scores: Mapping[str, Any]) -> dict[str, str]:
    """{file name: text} for every figure of a curve whose arms were tested against each other."""
    figures: dict[str, list[Mapping[str, Any]]] = {}
    for row in scores.get("curve_tests") or ():
        figures.setdefault(f"{row['curve']}-{row['group']}-differences.csv", []).append(row)
    return {name: csv_text(rows) for name, rows in figures.items()}
