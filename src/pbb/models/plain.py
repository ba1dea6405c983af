"""A model's own forward pass over the transformers cache: how models of shapes that `pbb.models.direct` does not compute are decoded."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from pbb.errors import PbbError

CLOSE = 0.05  # of the largest logit: factors may be rounded to bfloat16 on the way


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
        self.cache.reorder_cache(index)  # type: ignore[arg-type]
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


@torch.no_grad()
def stepwise(model: PreTrainedModel, name: str, pad: int) -> None:
    """Hold what a model says token by token, of rows padded on the left, against its forward over each row whole.

    Raises:
        PbbError: they differ, or it cannot be done, as with models whose state is no cache of keys and values; `name` is for the message.
    """
    size = int(model.config.get_text_config().vocab_size)
    rows = [[3 % size], [5 % size, 7 % size, 11 % size]]
    training = model.training
    model.eval()

    def apart(said: Tensor) -> bool:
        whole = [model(input_ids=torch.tensor([row], device=model.device), use_cache=False) for row in rows]
        wanted = torch.stack([result.logits[0, -1].float() for result in whole])
        return bool((said - wanted).abs().max() > CLOSE * wanted.abs().max())

    reason = ""
    try:
        plain = Plain(model, pad)
        wrong = apart(plain.start(rows))
        for token in (13 % size, 17 % size, 2 % size):
            rows = [[*row, token] for row in rows]
            wrong |= apart(plain.step(torch.tensor([token] * len(rows), device=model.device)))
            if token == 17 % size:
                rows = rows[1:]
                plain.keep([1])
        if wrong:
            reason = "its answers token by token are not those of its forward"
    except (RuntimeError, AttributeError, TypeError, ValueError, LookupError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
    finally:
        model.train(training)
    if reason:
        raise PbbError(
            f"model: {name}: {model.config.model_type} cannot be decoded in batches ({reason}): choose one with attention throughout, "
            "such as llama, qwen3, gemma2 or granite"
        )
