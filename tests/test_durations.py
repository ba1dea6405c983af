"""A guess of a step's time grows with what it does and with what the model weighs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pbb import estimate, machine
from pbb.durations import SMOLLM2, answering, expected, shown, training
from pbb.estimate import KNOWN
from pbb.graph import Step
from pbb.recipe_stages import Stage


@pytest.fixture(autouse=True)
def plain_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "amx", lambda: False)
    monkeypatch.setattr(machine, "devices", lambda: 0)


def test_documents_updates_and_checkpointing_count() -> None:
    adamw, muon = Stage(optimizer="adamw", batch_size=16), Stage(optimizer="muon", batch_size=16)
    assert training(adamw, 200, "base") == pytest.approx(2 * training(adamw, 100, "base"))
    smaller = Stage(optimizer="muon", batch_size=8)
    assert training(adamw, 160, "base") < training(muon, 160, "base") < training(smaller, 160, "base")
    again = Stage(optimizer="adamw", batch_size=16, checkpointing=True)
    assert training(again, 160, "base") == pytest.approx(4 / 3 * training(adamw, 160, "base"))


def test_what_is_drawn_counts() -> None:
    eight, two = (Stage.model_validate({"method": "dpo", "dpo": {"group_size": n}}) for n in (8, 2))
    assert training(eight, 64, "smollm2") == pytest.approx(4 * training(two, 64, "smollm2"))
    grpo = Stage.model_validate({"method": "grpo", "grpo": {"group_size": 8}})
    assert training(grpo, 64, "smollm2") == pytest.approx(1.5 * training(eight, 64, "smollm2"))
    assert training(grpo, 65, "smollm2") == training(grpo, 72, "smollm2")  # steps of eight prompts


def test_amx_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    without = answering(100, "base")
    monkeypatch.setattr(machine, "amx", lambda: True)
    assert answering(100, "base") < without


def test_other_models_take_as_long_as_they_are_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = replace(KNOWN["smollm2 (135 million)"], weights=3 * SMOLLM2)
    monkeypatch.setattr(estimate, "shape", lambda folder: large)
    heavy = str(tmp_path)
    assert answering(100, heavy) == pytest.approx(3 * answering(100, "smollm2"))
    assert answering(100, "owner/name") == answering(100, "smollm2")
    without = answering(100, heavy)
    monkeypatch.setattr(machine, "devices", lambda: 1)
    assert answering(100, heavy) < without / 100
    (tmp_path / "model.safetensors").write_bytes(b"0")  # of a size with the base
    assert answering(100, heavy) == answering(100, "base")


def test_a_folder_of_runs_shows_how_fast_a_machine_is(tmp_path: Path) -> None:
    assert shown(tmp_path) == {}
    ended = {"event": "done", "step": "train-1a2b", "seconds": 300.0, "expected": 135.0}
    lines = [
        json.dumps(ended),
        json.dumps({**ended, "step": "evaluate-3c", "seconds": 10.0, "expected": 10.0}),
        json.dumps({"event": "done", "step": "train-4d", "seconds": 5.0}),  # resumed: not the whole of it
        json.dumps({**ended, "seconds": None}),
        json.dumps({**ended, "seconds": float("nan")}),
        json.dumps({**ended, "expected": float("inf")}),
        json.dumps({**ended, "step": 7}),
        '["expected"]',
        json.dumps(ended)[:-9] + '"expected"',
    ]
    (tmp_path / "recipe" / "hash").mkdir(parents=True)
    (tmp_path / "recipe" / "hash" / "events.jsonl").write_text("\n".join(lines))
    found = shown(tmp_path)
    assert found == {"train": pytest.approx(330 / 165), "evaluate": 1.0}
    train, score = (
        Step(kind, kind, {}, {}, "pbb.errors:f", expected_seconds=10) for kind in ("train", "score")
    )
    assert expected([train, score], found) == {train.hash: 20.0, score.hash: 10.0}
