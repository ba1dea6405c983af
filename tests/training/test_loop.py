"""What every way of training has in common: when it saves, and what it asks of the libraries where there are several GPUs or processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import PartialState
from accelerate.state import AcceleratorState
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, TrainerControl, TrainingArguments
from trl.trainer import dpo_trainer, grpo_trainer

from pbb.models.decode import decode
from pbb.training import loop
from pbb.training import sft as finetuning
from pbb.training.dpo import dpo
from pbb.training.grpo import grpo
from pbb.training.loop import Journal, Settings
from pbb.training.pairs import Dpo
from pbb.training.rollouts import Grpo, Reward
from pbb.training.sft import sft

STEPS = 4_000


@pytest.mark.parametrize(("cost", "pause"), [(0, 31), (1, 31), (10, 201), (600, None)])
def test_training_lasts_longer_than_saving(
    cost: int, pause: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step takes a second. pause: steps from the end of the first checkpoint to the next one."""
    clock = [0]
    monkeypatch.setattr(loop, "DEAR", 20)
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: float(clock[0])))

    def written(*_: Any) -> None:
        clock[0] += cost

    monkeypatch.setattr(loop, "seal", written)
    journal = Journal(tmp_path, lambda *_: None, 30, columns=lambda *_: {}, span=1)
    arguments: Any = SimpleNamespace(output_dir=tmp_path)
    state: Any = SimpleNamespace(global_step=0, max_steps=STEPS)
    journal.on_train_begin(arguments, state, TrainerControl())
    saved = []
    for step in range(1, STEPS):
        clock[0] += 1
        state.global_step = step
        control = TrainerControl()
        journal.on_step_end(arguments, state, control)
        if control.should_save:
            saved.append(step)
            journal.on_save(arguments, state, control)
    assert saved[0] == 31
    assert saved[1] - saved[0] == pause if pause else saved == [31]


class Seen(Exception):
    pass


@pytest.fixture
def fresh() -> Iterator[None]:
    """Accelerate has been asked for nothing yet; afterwards neither, so that others find their own."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def test_the_group_of_processes_is_made_by_what_says_how_long_to_wait(
    fresh: None, tiny_llama: Any, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accelerate makes it at once, with torch's timeout, where its state is asked for before there are arguments."""

    def arguments(**_: Any) -> TrainingArguments:
        assert not PartialState._shared_state
        raise Seen

    monkeypatch.setattr(finetuning, "SFTConfig", arguments)
    with pytest.raises(Seen):
        sft(tiny_llama(0), tokenizer, [([2, 5], [7, 1])], Settings(), tmp_path, lambda *_: None)


@pytest.mark.parametrize("way", ["grpo", "dpo"])
def test_the_reference_is_loaded_for_one_device(
    way: str,
    model_folder: Path,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded: list[dict[str, Any]] = []

    def create(path: str, **named: Any) -> None:
        assert path == str(model_folder)
        loaded.append(named)
        raise Seen

    monkeypatch.setattr({"grpo": grpo_trainer, "dpo": dpo_trainer}[way], "create_model_from_path", create)
    numbers = iter(range(1_000))

    def reward(prompts: Any, texts: Any) -> list[Reward]:
        return [Reward(float(next(numbers) % 2), text, "?", 0.0) for text in texts]

    def train(lora: int | None) -> None:
        out = tmp_path / f"{lora}"
        out.mkdir()
        model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
        settings = Settings(lora=lora, batch_size=2)
        given: Any = (model, tokenizer, [[2, 5, 3]] * 2, decode, reward, settings)
        end: Any = (out, lambda *_: None)
        if way == "grpo":
            grpo(*given, Grpo(group_size=2, prompts_per_step=2, max_tokens=2, kl=0.1), *end)
        else:
            dpo(*given, Dpo(group_size=2, max_tokens=2), *end)

    with pytest.raises(Seen):
        train(None)
    assert [named["device_map"] for named in loaded] == [None]
    with suppress(Seen):
        train(2)
    assert len(loaded) == 1  # with adapters the model without them is the reference
