"""The head on chosen positions gives what the model's forward gives, scaled and capped as there; an unknown one is refused."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from pbb.training import head
from pbb.training.dpo import dpo
from pbb.training.pairs import Dpo
from pbb.training.sft import Settings, sft

Refused = Callable[..., AbstractContextManager[None]]
SIZE = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 4, "max_position_embeddings": 64, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2,
}  # fmt: skip


def drawn(kind: str, **more: Any) -> PreTrainedModel:
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **SIZE | more)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim >= 2:
                weight.copy_(0.5 * torch.randn_like(weight))
    return model


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("llama", {}),
        ("gemma2", {"head_dim": 8, "final_logit_softcapping": 3.0}),
        ("granite", {"logits_scaling": 8.0}),
        ("cohere", {"logit_scale": 0.0625}),
    ],
)
def test_logits_are_those_of_forward(kind: str, more: dict[str, Any]) -> None:
    model = drawn(kind, **more).train(not more)
    head.exact(model)
    assert model.training is (not more)  # as it was
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        whole = model(input_ids=ids).logits[0]
        hidden = model.base_model(input_ids=ids).last_hidden_state[0]
        plain = model.get_output_embeddings()(hidden)  # type: ignore[operator,misc]
    assert torch.allclose(head.logits(model, hidden), whole, atol=1e-4)
    assert torch.allclose(plain, whole, atol=1e-4) == (not more)


def test_a_head_that_is_not_known_is_refused(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    model = drawn("llama")
    forward = model.forward

    def doubled(**inputs: Any) -> Any:
        result = forward(**inputs)
        result.logits = 2 * result.logits
        return result

    monkeypatch.setattr(model, "forward", doubled)
    with refused("llama changes its logits"):
        head.exact(model)
    with refused("llama changes its logits"):
        sft(model, tokenizer, [([2], [5, 6, 1])], Settings(batch_size=1), tmp_path, lambda *_: None)
    unused: Any = None
    with refused("llama changes its logits"):
        dpo(model, tokenizer, [[2]], unused, unused, Settings(), Dpo(max_tokens=8), tmp_path, lambda *_: None)
