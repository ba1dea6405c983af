"""The tables of a run read back as what scores.json holds."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from fake_run import Run  # noqa: E402

from pbb.report.numbers import TABLES, csv_files, csv_text  # noqa: E402


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_rows_of_different_keys_share_one_head() -> None:
    text = csv_text([{"a": 0.1 + 0.2, "by_length": [1]}, {"a": None, "b": 'x, "y"\nz'}])
    assert read(text) == [{"a": "0.30000000000000004", "b": ""}, {"a": "", "b": 'x, "y"\nz'}]


def test_pass_at_k_has_a_line_a_cell_and_k() -> None:
    cell = {"arm": "a", "seed": "all", "group": "source_only", "split": "test", "ask": "trace"}
    row = cell | {"accuracy": 0.5}
    parts = [{"k": k, "accuracy": k / 8, "low": 0.0, "high": 1.0} for k in (1, 2)]
    found = csv_files({"scores": [row | {"pass_at_k": parts}, row | {"pass_at_k": None, "ask": "direct"}]})
    assert read(found["pass-at-k.csv"]) == [
        cell | {"k": str(k), "accuracy": str(k / 8), "low": "0.0", "high": "1.0"} for k in (1, 2)
    ]
    assert "pass-at-k.csv" not in csv_files({"scores": [row | {"pass_at_k": None}]})


def test_every_list_of_the_scores_has_its_table(shared_run: Run) -> None:
    scores: dict[str, Any] = shared_run.content()
    found = {path.name: path.read_text(encoding="utf-8") for path in (shared_run.out / "tables").iterdir()}
    assert found == csv_files(scores)
    assert {"scores.csv", "differences.csv"} <= set(found)
    assert set(found) == {f"{name}.csv" for key, name in TABLES.items() if scores.get(key)}
    (first, *_), (row, *_) = read(found["differences.csv"]), scores["tests"]
    assert (first["arm_a"], float(first["difference"])) == (row["arm_a"], row["difference"])
    assert "by_length" not in read(found["scores.csv"])[0]
