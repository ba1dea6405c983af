"""The base is made phase by phase; what is finished is not made again, and the command line offers every phase."""

from __future__ import annotations

import inspect
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from pbb import cli, pretrain
from pbb.documents import pretraining


def test_every_phase_has_its_settings_its_steps_and_its_number_on_the_command_line() -> None:
    assert len(pretraining.PHASES) == len(pretrain.SETTINGS) == len(pretrain.STEPS)
    assert inspect.signature(cli.pretrain).parameters["steps"].default == pretrain.STEPS


def test_phases_follow_each_other_and_a_finished_one_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    asked: list[int] = []

    def report(done: float, total: float, note: str) -> None:
        seen.append(note.partition(",")[0])

    def in_context(
        model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, seed: int, strings: bool
    ) -> dict[str, float]:
        asked.append(seed)
        return {"in-context-trace source": 0.5}

    monkeypatch.setattr(pretrain, "in_context", in_context)
    for name, value in {"WIDTH": 32, "LAYERS": 1}.items():
        monkeypatch.setattr(pretrain, name, value)
    monkeypatch.setattr(pretraining, "LIBRARY", 20)
    monkeypatch.setattr(pretrain, "TOKENIZER_DOCUMENTS", 200)
    small: dict[str, Any] = {"seed": 3, "steps": (2, 1, 1, 1, 1, 1), "report": report}
    found = pretrain.pretrain(tmp_path, **small)
    accuracy = {f"{name} in-context-trace source": 0.5 for name in ("base", "base-strings")}
    assert list(dict.fromkeys(seen)) == [f"phase {i}" for i in range(1, 7)]
    assert found == json.loads((tmp_path / "accuracy.json").read_text()) == accuracy
    weights = {path: path.read_bytes() for path in sorted(tmp_path.rglob("*.safetensors"))}
    assert [str(path.parent.relative_to(tmp_path)) for path in weights] == [
        "base",
        "base-strings",
        *(f"phase-{i}/model" for i in range(1, 7)),
    ]
    assert len(set(weights.values())) == 8
    config = AutoModelForCausalLM.from_pretrained(tmp_path / "base").config
    assert (config.hidden_size, config.num_hidden_layers) == (32, 1)

    before, after = (AutoTokenizer.from_pretrained(tmp_path / f"phase-{i}" / "model") for i in (5, 6))
    assert len(before) == config.vocab_size < len(after)
    assert after("letters")["input_ids"] != before("letters")["input_ids"]
    for kept in ("What is 7 * 3? Only the answer.", "def Zibdax(x):\n    if x > 4:\n        b = x // 7\n"):
        assert after(kept)["input_ids"] == before(kept)["input_ids"]

    shutil.rmtree(tmp_path / "phase-6" / "model")
    seen.clear()
    assert pretrain.pretrain(tmp_path, **small) == found
    assert set(seen) == {"phase 6"} and asked == [3, 3, 3, 3]
    assert {path: path.read_bytes() for path in weights} == weights
