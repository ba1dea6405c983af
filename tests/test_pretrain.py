"""The base is made phase by phase; what is finished is not made again, and the command line offers every phase."""

from __future__ import annotations

import inspect
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from pbb import cli, pretrain
from pbb.documents import pretraining
from pbb.documents.pretraining_phases import PHASES
from pbb.errors import PbbError
from pbb.models.place import EMBEDDED


def test_every_phase_has_its_settings_its_steps_and_its_number_on_the_command_line() -> None:
    assert len(PHASES) == len(pretrain.SETTINGS) == len(pretrain.STEPS)
    assert inspect.signature(cli.pretrain).parameters["steps"].default == pretrain.STEPS


def test_phases_follow_each_other_and_a_finished_one_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    shares: list[float] = []
    asked: list[int] = []

    def report(done: float, total: float, note: str) -> None:
        seen.append(note.partition(",")[0])
        shares.append(done / total)

    def in_context(
        model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, seed: int, phase: int
    ) -> dict[str, float]:
        asked.append(seed)
        return {"in-context-trace source": 0.5}

    monkeypatch.setattr(pretrain, "in_context", in_context)
    monkeypatch.setattr(pretraining, "LIBRARY", 20)
    monkeypatch.setattr(pretrain, "TOKENIZER_DOCUMENTS", 200)
    small: dict[str, Any] = {
        "seed": 3,
        "steps": (2, 1, 1, 1, 1, 1, 1, 1, 1),
        "width": 32,
        "layers": 1,
        "report": report,
    }
    found = pretrain.pretrain(tmp_path, **small)
    accuracy = {f"{name} in-context-trace source": 0.5 for name in EMBEDDED}
    assert list(dict.fromkeys(seen)) == [f"phase {i}" for i in range(1, 10)]
    assert shares == sorted(shares) and shares[0] < 0.3 and shares[-1] == 1
    assert found == json.loads((tmp_path / "accuracy.json").read_text()) == accuracy
    weights = {path: path.read_bytes() for path in sorted(tmp_path.rglob("*.safetensors"))}
    assert [str(path.parent.relative_to(tmp_path)) for path in weights] == [
        "base",
        "base-strings",
        *(f"phase-{i}/model" for i in range(1, 10)),
    ]
    assert len(set(weights.values())) == 11
    assert not list(tmp_path.rglob("checkpoints"))
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
    assert set(seen) == {"phase 6"} and asked == [3] * 4
    assert {path: path.read_bytes() for path in weights} == weights

    # Strings and long programs both go on from the fifth phase: what the sixth leaves does not move the seventh.
    for phase in (6, 7, 8, 9):
        shutil.rmtree(tmp_path / f"phase-{phase}")
    pretrain.pretrain(tmp_path, **small | {"steps": (2, 1, 1, 1, 1, 0, 1, 0, 0)})
    assert (tmp_path / "base" / "model.safetensors").read_bytes() != weights[
        tmp_path / "base" / "model.safetensors"
    ]
    long = tmp_path / "phase-7" / "model" / "model.safetensors"
    assert long.read_bytes() == weights[long]
    assert len(AutoTokenizer.from_pretrained(long.parent)) == len(before)

    for change in ({"layers": 2}, {"seed": 4}, {"steps": (3, 1, 1, 1, 1, 1, 1, 1, 1)}):
        with pytest.raises(
            PbbError, match="phase-1 is of another seed, number of steps or size: give another"
        ):
            pretrain.pretrain(tmp_path, **small | change)
    (tmp_path / "phase-1" / "made.json").unlink()  # as versions before 0.5 left it
    with pytest.raises(PbbError, match="phase-1 is of a model of another size: give another --out"):
        pretrain.pretrain(tmp_path, **small | {"layers": 2})
    for name in ("base", "base-strings"):
        shutil.rmtree(tmp_path / name)
    assert pretrain.pretrain(tmp_path, **small | {"steps": (2, 1, 1, 1, 1, 0, 0, 0, 0)}) == {
        "base in-context-trace source": 0.5
    }
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("base")] == ["base"]


class OnCpu:
    """Random numbers that no tensor of another device can be multiplied by."""

    def __init__(self, numbers: torch.Tensor) -> None:
        self.numbers = numbers

    def __getitem__(self, where: torch.Tensor) -> OnCpu:
        return OnCpu(self.numbers[where])

    def to(self, device: torch.device) -> torch.Tensor:
        return self.numbers.to(device)


def test_embeddings_are_drawn_on_the_cpu_and_taken_to_where_the_model_is(
    tiny_llama: Callable[[int], LlamaForCausalLM],
    tokenizer: PreTrainedTokenizerFast,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, moved = tiny_llama(0), tiny_llama(0)
    pretrain._embed_anew(plain, tokenizer, ["What is 7?"], 3)
    drawn = torch.randn
    monkeypatch.setattr(torch, "randn", lambda *shape, **named: OnCpu(drawn(*shape, **named)))
    pretrain._embed_anew(moved, tokenizer, ["What is 7?"], 3)
    weights = [model.get_input_embeddings().weight for model in (plain, moved, tiny_llama(0))]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2][: len(tokenizer)])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"width": 72}, "a width is a multiple of 32"),
        ({"width": 0}, "a width is a multiple of 32"),
        ({"layers": 0}, "has a layer at least"),
        ({"steps": (1, 1, 0, 1, 1, 1, 1, 1, 1)}, "only the last four phases may be left out"),
        ({"steps": (1, 1, 1, 1, 1, 1, 0, 1, 1)}, "phase 8 goes on from the one before"),
        ({"steps": (1, 1, 1, 1, 1, 1, 1, 0, 1)}, "phase 9 goes on from the one before"),
    ],
)
def test_a_size_or_a_schedule_that_makes_no_base_is_refused(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(PbbError, match=said):
        pretrain.pretrain(tmp_path / "base", **{"report": lambda *_: None, **change})
    assert not (tmp_path / "base").exists()
