"""What a model says token by token is held against its forward before anything is trained; states that are no cache are refused."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from pbb.models.decode import decode
from pbb.models.plain import stepwise

Refused = Callable[..., AbstractContextManager[None]]
MARKS = {"vocab_size": 64, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2}
SIZE = MARKS | {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 4,
    "max_position_embeddings": 64,
}  # fmt: skip
GEMMA = {"head_dim": 8, "sliding_window": 6}
GPT2 = MARKS | {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 24}
LINEAR = {
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_key_heads": 4,
    "linear_num_value_heads": 4,
}
MAMBA = MARKS | {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 8, "expand": 2}


def drawn(kind: str, size: dict[str, Any]) -> PreTrainedModel:
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **size)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim >= 2:
                weight.copy_(0.3 * torch.randn_like(weight))
    return model


def greedy(model: PreTrainedModel, prompt: list[int], count: int) -> list[int]:
    """What the model's own forward says, over the whole row at every token."""
    row = list(prompt)
    for _ in range(count):
        with torch.no_grad():
            row.append(int(model(input_ids=torch.tensor([row]), use_cache=False).logits[0, -1].argmax()))
        if row[-1] == 1:
            break
    return [token for token in row[len(prompt) :] if token != 1]


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        ("gpt2", GPT2),
        ("gemma2", SIZE | GEMMA),
        ("granite", SIZE | {"logits_scaling": 8.0}),
        ("cohere", SIZE),
        ("qwen3_5_text", SIZE | LINEAR | {"head_dim": 8}),
        ("lfm2", SIZE | {"full_attn_idxs": [1, 3]}),
    ],
)
def test_what_can_be_decoded_is_taken_and_is_decoded(kind: str, size: dict[str, Any]) -> None:
    model = drawn(kind, size)
    stepwise(model, "some", 0)
    prompts = [[5, 6, 7], [9, 10, 11, 12, 13, 14], [8, 8], [20, 21, 22, 23]]
    written = decode(model, prompts, end=1, pad=0, limits=[4, 8, 10, 6], batch_size=4)
    wanted = [greedy(model, p, n) for p, n in zip(prompts, (4, 8, 10, 6), strict=True)]
    assert [w.tokens for w in written] == wanted


@pytest.mark.parametrize(("kind", "size"), [("mamba", MAMBA), ("openai-gpt", GPT2)])
def test_what_cannot_be_decoded_is_refused(kind: str, size: dict[str, Any], refused: Refused) -> None:
    with refused("model: some: ", "cannot be decoded in batches"):
        stepwise(drawn(kind, size), "some", 0)


def test_more_than_the_model_reads_is_one_line(refused: Refused) -> None:
    with refused("25 tokens and the model reads 24"):
        decode(drawn("gpt2", GPT2), [[3, 4, 5]], end=1, pad=0, limits=[22])
