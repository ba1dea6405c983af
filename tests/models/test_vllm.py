"""vLLM gets token ids and gives token ids; here by an engine of the same shape, since there is no GPU."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from pbb.models import vllm
from pbb.models.decode import Generation, decode
from pbb.worker import thread_environment

Refused = Callable[..., AbstractContextManager[None]]
END = 1


@dataclass
class Params:
    temperature: float
    seed: int | None
    max_tokens: int
    stop_token_ids: list[int]
    detokenize: bool


class Core:
    """Stands for the process in which vLLM computes."""

    ended = 0

    def shutdown(self) -> None:
        self.ended += 1


class Engine:
    """Repeats the prompt backwards, then ends; what it samples is its seed."""

    def __init__(self, model: str, dtype: str, max_model_len: int, skip_tokenizer_init: bool) -> None:
        self.model, self.dtype, self.calls = model, dtype, 0
        # -1: as long as the memory has room for; the model's own positions may need more of it than the GPU has
        assert skip_tokenizer_init and max_model_len == -1
        self.llm_engine = SimpleNamespace(engine_core=Core())

    def generate(self, prompts: list[Any], params: list[Params], use_tqdm: bool) -> list[Any]:
        assert not use_tqdm and all(not p.detokenize and p.stop_token_ids == [END] for p in params)
        self.calls += 1
        rows = []
        for prompt, p in zip(prompts, params, strict=True):
            tokens = prompt["prompt_token_ids"][::-1] if p.seed is None else [p.seed]
            rows.append([*tokens, END][: p.max_tokens])
        return [SimpleNamespace(outputs=[SimpleNamespace(token_ids=tuple(row))]) for row in rows]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM is there."""
    module = ModuleType("vllm")
    module.LLM, module.SamplingParams = Engine, Params  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", module)
    monkeypatch.setattr(vllm, "find_spec", lambda name: name == "vllm")


@pytest.fixture
def engine(installed: None, monkeypatch: pytest.MonkeyPatch) -> vllm.Vllm:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    return vllm.Vllm("folder")


def test_answers_come_without_the_end_and_say_whether_it_came(engine: vllm.Vllm) -> None:
    told: list[tuple[int, int]] = []
    found = decode(
        engine, [[5, 6], [7, 8, 9]], end=END, pad=0, limits=[9, 2], report=lambda *at: told.append(at)
    )
    assert found == [Generation([6, 5], True), Generation([9, 8], False)]
    assert told == [(0, 2), (2, 2)]
    assert (engine.engine.model, engine.engine.dtype) == ("folder", "bfloat16")


def test_every_row_has_a_seed_of_its_own_and_groups_change_nothing(
    engine: vllm.Vllm, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts, asked = [[5]] * 5, {"end": END, "pad": 0, "limits": [3] * 5, "temperature": 0.7}
    whole = [decode(engine, prompts, seed=seed, **asked) for seed in (0, 1)]
    drawn = [g.tokens[0] for part in whole for g in part]
    assert len(set(drawn)) == 10
    monkeypatch.setattr(vllm, "GROUP", 2)
    calls = engine.engine.calls
    assert decode(engine, prompts, seed=1, **asked) == whole[1] and engine.engine.calls == calls + 3


def test_a_step_counts_gpus_without_touching_them(installed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM forks its engine from the step's process, which could not use CUDA where that had touched it before."""

    def touched() -> int:
        raise AssertionError("CUDA was touched")

    monkeypatch.setattr(torch.cuda, "_is_compiled", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch._C, "_cuda_getDeviceCount", touched, raising=False)
    monkeypatch.delenv("PYTORCH_NVML_BASED_CUDA_CHECK", raising=False)
    for name, value in thread_environment(1).items():
        monkeypatch.setenv(name, value)
    vllm.require("evaluation.vllm")


def test_the_engine_ends_with_what_asks_it(installed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    model = vllm.Vllm("folder")
    core = model.engine.llm_engine.engine_core
    assert core.ended == 0
    del model
    assert core.ended == 1


def test_without_a_gpu_or_vllm_it_is_refused(refused: Refused) -> None:
    with refused("evaluation.vllm", "GPU", "pip install"):
        vllm.Vllm("folder")
