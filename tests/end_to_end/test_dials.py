"""A recipe whose arms differ by every dial of a stage, on an untrained model of two layers: it runs, its curves are drawn, its audit agrees."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from pbb.audit import audit
from pbb.experiment import run

RECIPE = """
title: Every dial
data: {io: 8, source_only: 4, train_inputs: 6, test_inputs: 4}
stages:
  learn:
    mix:
      - {kind: declaration, group: io, per_program: 1}
      - {kind: execution, group: io, per_program: 2, ask: trace, inputs: 2}
    batch_size: 4
  read: {mix: [{kind: declaration, group: source_only, per_program: 2}], batch_size: 4}
  learn-few: {like: learn, programs: {io: 3}}
  learn-half: {like: learn, exposures: 0.5}
  learn-prose: {like: learn, represent: prose}
  learn-plain: {like: learn, templates: {prompt: 1, response: 1}}
  learn-fast: {like: learn, learning_rate: 0.01}
  both-half: {of: [learn, read], exposures: 0.5, batch_size: 4}
arms:
  stage-1-only: {stages: [learn]}
  few: {stages: [learn-few]}
  half: {stages: [learn-half]}
  prose: {stages: [learn-prose], represent: prose}
  plain: {stages: [learn-plain]}
  fast: {stages: [learn-fast]}
  both: {stages: [both-half]}
  proactive: {stages: [learn, read]}
curves:
  - {name: fewer, title: Fewer, below: programs, at: [3, all], lines: {one: [few, stage-1-only], two: [null, half]}, group: io}
evaluation: {calls: 1, direct_calls: 1, io_programs: 4, io_train: false, asks: [direct, recite, in-context-direct, recall]}
"""


def test_a_recipe_of_every_dial_runs_and_its_audit_agrees(model_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "dials.yaml"
    path.write_text(RECIPE)
    result = run(path, model=str(model_folder), out=tmp_path / "runs")
    assert (result.directory / "figures" / "fewer-io.svg").is_file()
    assert not (result.directory / "figures" / "fewer-source_only.svg").exists()
    found = audit(result.directory)
    assert {finding.verdict for finding in found} == {"agrees"}, [f for f in found if f.verdict != "agrees"]

    asked: dict[str, pd.DataFrame] = {}
    for record in (result.directory / "steps").glob("evaluate-*/inputs.json"):
        arm = json.loads(record.read_text())["config"]["arm"]
        asked[arm] = pd.read_parquet(record.parent / "predictions.parquet")
    programs = {arm: set(frame[frame.group == "io"].program) for arm, frame in asked.items()}
    assert len(programs["few"]) == 3 and all(len(p) == 4 for arm, p in programs.items() if arm != "few")
    in_context = {arm: frame[frame.ask == "in-context-direct"].prompt.iloc[0] for arm, frame in asked.items()}
    assert "def " not in in_context["prose"] and "def " in in_context["plain"]

    counts = {}
    for record in (result.directory / "steps").glob("train-*/training.json"):
        documents = json.loads((record.parent / "inputs.json").read_text())["parents"]["documents"]
        counts[documents] = json.loads(record.read_text())["exposures"]
    shown = sorted(tuple(sorted(c.values())) for c in counts.values())
    assert (
        shown.count((1, 2)) == 4
    )  # learn and its fast twin, few, prose, plain: of programs that are shown, as often
    assert len(counts) == 7  # the fast one has the documents of the other
