"""The numbers of a run as CSV, for other programs: those of a figure, and all that scores.json holds in rows.

Contract: a list of rows becomes one table; lists within a row (accuracy by length, by operation) are left to the figures that show them.
Values are unrounded, and empty where a measure does not apply.
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


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """A line a row under the keys of all, in the order in which they first come."""
    flat = [{k: v for k, v in row.items() if not isinstance(v, list | dict)} for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(k for row in flat for k in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def csv_files(scores: Mapping[str, Any]) -> dict[str, str]:
    """{file name: text} for every list of `TABLES` that has rows."""
    return {f"{name}.csv": csv_text(scores[key]) for key, name in TABLES.items() if scores.get(key)}


def curve_files(scores: Mapping[str, Any]) -> dict[str, str]:
    """{file name: text} for every figure of a curve whose arms were tested against each other."""
    figures: dict[str, list[Mapping[str, Any]]] = {}
    for row in scores.get("curve_tests") or ():
        figures.setdefault(f"{row['curve']}-{row['group']}-differences.csv", []).append(row)
    return {name: csv_text(rows) for name, rows in figures.items()}
