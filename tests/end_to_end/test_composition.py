"""The recipe of composition, as small as it goes, through the real command line: composites are groups of their own from data to report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import pbb
from pbb.audit import audit
from pbb.models.place import BASE

RECIPE = Path(__file__).parent / "composition.yaml"


def pbb_says(*arguments: str, cwd: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(Path(pbb.__file__).parents[1]), "COLUMNS": "200"}
    command = [sys.executable, "-m", "pbb", *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_recipe_runs_to_its_report(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    embedded = (BASE / "model.safetensors").exists()
    model = [] if embedded else ["--model", str(request.getfixturevalue("model_folder"))]
    pbb_says("run", str(RECIPE), *model, cwd=tmp_path)
    (directory,) = (tmp_path / "runs" / "composition").iterdir()
    scores = json.loads((directory / "scores.json").read_text())
    counts = {"source_only": 6, "source_only_composed": 4, "io_composed": 2}
    for row in scores["scores"]:
        assert row["programs"] == counts.get(row["group"], row["programs"])
        assert (row["group"], row["ask"]) != ("source_only_composed", "recall")  # nothing to recall
    assert {row["group"] for row in scores["scores"]} == {*counts, "io"}
    planted = [
        r for r in scores["scores"] if r["arm"] == "wrong-source" and r["group"] == "source_only_composed"
    ]
    assert planted and all(row["planted"] is not None for row in planted)
    rows = {(row["arm"], row["group"], row["ask"]): row for row in scores["compositions"]}
    for ask in ("direct", "trace", "recite"):
        assert rows["proactive", "source_only_composed", ask]["programs"] == 4
        assert rows["proactive", "io_composed", ask]["programs"] == 2
    assert {row["group"] for row in scores["hypotheses"]} == {"source_only_composed"}
    page = (directory / "report.html").read_text(encoding="utf-8")
    assert "Composites and their parts" in page and "w/o IO, composed" in page
    assert (directory / "figures" / "accuracy-source_only_composed.csv").is_file()
    assert [f for f in audit(directory, ["evaluate"]) if f.verdict == "differs"] == []

    records = map(
        json.loads, next((directory / "steps").glob("programs-*/programs.jsonl")).read_text().splitlines()
    )
    p = next(r for r in records if r["group"] == "source_only_composed")
    e = p["examples"][0]
    call = f"{p['needs'][1]}({p['needs'][0]}({e['args'][0]}))"
    answers = json.loads(pbb_says("ask", "composition", call, "--json", cwd=tmp_path))
    assert [row["true"] for row in answers] == [repr(e["output"])] * 3
    assert all(call in row["prompt"] and row["group"] == "source_only_composed" for row in answers)
