"""A model's own forward pass over the transformers cache: how models of shapes that `pbb.models.direct` does not compute are decoded."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel


class Plain:
    """A batch of sequences in any causal language model, padded on the left. Its methods are those of `Direct`."""

    def __init__(self, model: PreTrainedModel, pad: int) -> None:
        self.model, self.pad = model, pad

    def start(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Read prompts, in order of length. Returns the logits after each, (prompts, vocabulary)."""
        width = len(prompts[-1])
        device = self.model.device
        ids = torch.tensor([[self.pad] * (width - len(p)) + list(p) for p in prompts], device=device)
        self.mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=device)
        self.cache = DynamicCache(config=self.model.config)
        return self._forward(ids, (self.mask.cumsum(1) - 1).clamp(min=0))

    def step(self, tokens: Tensor) -> Tensor:
        """Append one token to every row. Returns the logits after it, (rows, vocabulary)."""
        position = self.mask.sum(1, keepdim=True)
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(self.mask), 1)], dim=1)
        return self._forward(tokens[:, None], position)

    def keep(self, rows: Sequence[int]) -> None:
        """Row i becomes what row `rows[i]` was."""
        index = torch.tensor(rows, device=self.mask.device)
        self.cache.batch_select_indices(index)
        self.mask = self.mask[index]

    def _forward(self, ids: Tensor, position: Tensor) -> Tensor:
        result = self.model(
            input_ids=ids,
            attention_mask=self.mask,
            position_ids=position,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: Tensor = result.logits[:, -1].float()
        return logits
