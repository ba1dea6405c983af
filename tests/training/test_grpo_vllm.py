"""GRPO by vLLM: what TRL hands on to it, held against an engine of the same shape, since there is no GPU."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from trl.generation import vllm_generation

from pbb.training import grpo as reinforcement
from pbb.training.grpo import grpo
from pbb.training.loop import Settings
from pbb.training.rollouts import Grpo, Reward

GROUP, PROMPTS, STEPS, LONGEST = 4, 2, 3, 6
QUESTIONS = [[2, *range(4, 6 + i), 3] for i in range(PROMPTS * STEPS)]
ALL_OF_IT = {"weights", "kv_cache"}
TRL_SETS = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1", "RANK": "", "LOCAL_RANK": "", "WORLD_SIZE": ""}


class Engine:
    """Writes as many tokens as its turn says, the last one an end where it is asked to stop at one, at every other row."""

    def __init__(self, **named: Any) -> None:
        self.named, self.awake = named, set(ALL_OF_IT)
        self.loaded: list[str] = []
        self.params: list[dict[str, Any]] = []
        runner = SimpleNamespace(driver_worker=SimpleNamespace(model_runner=SimpleNamespace(model=self)))
        self.llm_engine = SimpleNamespace(model_executor=runner)

    def sleep(self, level: int) -> None:
        self.awake.clear()

    def wake_up(self, tags: list[str]) -> None:
        self.awake |= set(tags)

    def load_weights(self, weights: list[tuple[str, torch.Tensor]]) -> None:
        assert "weights" in self.awake
        self.loaded += [name for name, _ in weights]

    def reset_prefix_cache(self) -> None:
        pass

    def generate(self, prompts: list[Any], sampling_params: dict[str, Any], use_tqdm: bool) -> list[Any]:
        assert self.awake == ALL_OF_IT
        self.params.append(sampling_params)
        found = []
        for row, prompt in enumerate(prompts):
            ids = list(range(4, 5 + row % LONGEST))
            if row % 2 and (stops := sampling_params.get("stop_token_ids")):
                ids[-1:] = stops
            told = [{token: SimpleNamespace(logprob=-1.0, rank=1)} for token in ids]
            written = SimpleNamespace(token_ids=ids, logprobs=told)
            found.append(SimpleNamespace(prompt_token_ids=prompt["prompt_token_ids"], outputs=[written]))
        return found


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> list[Engine]:
    """Those that are made."""
    made: list[Engine] = []

    def make(**named: Any) -> Engine:
        made.append(Engine(**named))
        return made[-1]

    for name, value in TRL_SETS.items():
        monkeypatch.setenv(name, value)
        if not value:
            monkeypatch.delenv(name)
    monkeypatch.setattr(vllm_generation, "is_vllm_available", lambda: True)
    monkeypatch.setattr(vllm_generation, "LLM", make, raising=False)
    monkeypatch.setattr(vllm_generation, "SamplingParams", dict, raising=False)
    monkeypatch.setattr(reinforcement, "find_spec", lambda name: name == "vllm")
    there = iter([True])  # to the first that asks; what is computed stays on the CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: next(there, False))
    return made


def test_the_engine_has_room_for_the_longest_stops_at_the_chats_end_and_sleeps_while_the_model_learns(
    engines: list[Engine], model_folder: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    awake: list[set[str]] = []

    def reward(prompts: Sequence[int], texts: Sequence[str]) -> list[Reward]:
        awake.append(set(engines[0].awake))
        return [Reward(float(i % 2), text, "?", 0.0) for i, text in enumerate(texts)]

    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    names = [name for name, _ in model.named_parameters()]
    dials = Grpo(group_size=GROUP, prompts_per_step=PROMPTS, max_tokens=LONGEST, vllm=True)

    def unasked(*_: Any, **__: Any) -> list[Any]:
        raise AssertionError("our decoder was asked")

    given: Any = (model, tokenizer, QUESTIONS, unasked, reward, Settings(warmup=1), dials, tmp_path)
    grpo(*given, lambda *_: None)

    [engine] = engines
    assert engine.named["max_model_len"] == max(map(len, QUESTIONS)) + LONGEST
    assert [p["stop_token_ids"] for p in engine.params] == [[tokenizer.eos_token_id]] * STEPS
    assert all(p["max_tokens"] == LONGEST for p in engine.params)
    assert engine.named["enable_sleep_mode"] and awake == [set()] * STEPS
    assert engine.loaded == names * STEPS  # sleeping has lost them
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["unfinished"] for row in rows] == [0.5] * STEPS
