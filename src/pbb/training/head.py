"""The head on chosen positions alone: what a model's own `forward` does after its last hidden states, or a refusal.

The losses here take logits of completion tokens only, and so go round `forward`. Some shapes do more there than multiply by the output embedding:
they scale the logits, or keep them in a range by a tanh.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedModel

from pbb.errors import PbbError

CLOSE = 1e-3


def logits(model: Any, hidden: torch.Tensor) -> torch.Tensor:
    """(rows, vocabulary) from last hidden states (rows, width), as the model's `forward` makes them."""
    found: torch.Tensor = model.get_output_embeddings()(hidden)
    config = model.config.get_text_config()
    if scale := getattr(config, "logit_scale", None):  # Cohere
        found = found * scale
    if divisor := getattr(config, "logits_scaling", None):  # Granite
        found = found / divisor
    if cap := getattr(config, "final_logit_softcapping", None):  # Gemma 2
        found = torch.tanh(found / cap) * cap
    return found


@torch.no_grad()
def exact(model: PreTrainedModel) -> None:
    """PbbError where `logits` are not those of the model's `forward`: its loss would be another one, and nothing would tell."""
    training = model.training
    model.eval()
    try:
        ids = torch.arange(8, device=model.device)[None] % int(model.config.get_text_config().vocab_size)
        hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state[0]
        ours, theirs = logits(model, hidden).float(), model(input_ids=ids, use_cache=False).logits[0].float()
    finally:
        model.train(training)
    if ours.shape != theirs.shape or (ours - theirs).abs().max() > CLOSE * theirs.abs().max().clamp(min=1):
        raise PbbError(
            f"training: {model.config.model_type} changes its logits in a way that is not known here: choose another architecture, "
            "such as llama, qwen3, gemma2 or granite"
        )
