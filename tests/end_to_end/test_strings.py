"""The recipes of ciphers and grammars from end to end on an untrained model of two layers, with a few documents and two of the arms each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from pbb.audit import audit
from pbb.experiment import run
from pbb.recipe_file import load

SMALL: dict[str, Any] = {
    "data": {"io": 8, "source_only": 4, "train_inputs": 6, "test_inputs": 4},
    "evaluation": {"calls": 1, "direct_calls": 2, "io_programs": 2, "io_train": False},
}


ARMS = {
    "ciphers": {"wrong-source", "proactive"},
    "ciphers-shifts": {"skewed-demonstrations", "proactive"},
    "grammars": {"wrong-source", "proactive"},
}


def shrunk(name: str, folder: Path) -> Path:
    """The recipe with a quarter of a document a program and share, in a file that extends it."""
    mixes = {}
    for stage, dials in load(name).stages.items():
        mix = [share.model_dump(mode="json", exclude_none=True) for share in dials.mix]
        mixes[stage] = {"mix": [share | {"per_program": 0.25} for share in mix]} if mix else {}
    arms = {arm: None for arm in load(name).arms if arm not in ARMS[name]}
    small = {"extends": name, "stages": mixes, "arms": arms, **SMALL}
    if name == "ciphers-shifts":  # whose stages choose among the train calls of the recipe
        small["data"] = {"io": 8, "source_only": 4, "letters": [3, 3]}
    more = {"grammars": {"samples": 3}, "ciphers": {"sampled": {"samples": 3, "temperature": 0.8}}}
    small["evaluation"] = small["evaluation"] | more.get(name, {})
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(small), encoding="utf-8")
    return path


def sampled_is_told_and_audited(run: Path, rows: list[dict[str, Any]]) -> None:
    """In scores, page and table, for w/o IO programs alone; and a sample that is turned, or left out, is found."""
    for row in rows:
        sampled = row["group"] == "source_only" and row["ask"] != "recall"
        assert [part["k"] for part in row["pass_at_k"] or []] == ([1, 2, 3] if sampled else []), row
    assert "pass@3" in (run / "report.html").read_text()
    told = pd.read_csv(run / "tables" / "pass-at-k.csv")
    assert len(told) == 3 * sum(row["pass_at_k"] is not None for row in rows)
    path = next(run.glob("steps/evaluate-*/predictions.parquet"))
    frame = pd.read_parquet(path)
    last = frame.index[-1]
    assert frame["sample"][last] == 3
    turned = frame["correct"].where(frame.index != last, ~frame["correct"].astype(bool))
    for fraud, words in ((frame.assign(correct=turned), "answers"), (frame[:-1], "questions")):
        fraud.to_parquet(path, index=False)
        assert any(words in f.check for f in audit(run, ["evaluate"]) if f.verdict == "differs")


@pytest.mark.parametrize("name", list(ARMS))
def test_a_recipe_runs(name: str, model_folder: Path, tmp_path: Path) -> None:
    result = run(shrunk(name, tmp_path), model=str(model_folder), out=tmp_path / "runs", workers=1)
    arms = ARMS[name]
    scores = json.loads((result.directory / "scores.json").read_text())
    assert {row["arm"] for row in scores["scores"]} == arms
    assert {row["group"] for row in scores["scores"]} == {"io", "source_only"}
    assert (result.directory / "report.html").is_file()
    assert [f for f in audit(result.directory, ["evaluate"]) if f.verdict == "differs"] == []
    if name == "ciphers":
        sampled_is_told_and_audited(result.directory, scores["scores"])
    if name == "ciphers-shifts":
        groups = {(arm, group) for arm in arms for group in ("io", "source_only")}
        assert {(row["arm"], row["group"]) for row in scores["shifts"]} == groups
        assert "by the shift of the call" in (result.directory / "report.html").read_text()
    if name == "grammars":
        found = scores["languages"]
        assert {(row["arm"], row["group"]) for row in found} == {
            (arm, group) for arm in arms for group in ("io", "source_only")
        }
        assert {row["n"] for row in found if row["group"] == "source_only"} == {4 * 3}
        planted = {(row["arm"], row["group"]) for row in found if row["planted"] is not None}
        assert planted == {("wrong-source", "source_only")}
        assert all(0 <= row[m] <= 1 for row in found for m in ("member", "distinct", "coverage", "random"))
        assert not {row["ask"] for row in scores["scores"]} & {"sample"}
        assert "Any string of a grammar" in (result.directory / "report.html").read_text()
    else:
        assert "languages" not in scores
