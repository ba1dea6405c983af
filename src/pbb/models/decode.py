"""Batched decoding: token sequences in, token sequences out; knows nothing of text or programs.

Prompts are grouped by length, padded on the left, and advanced together over one cache. Rows that have ended leave the batch as soon as
enough of them have, so that a few long answers do not pay for many short ones. Greedy tokens equal `generate()`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from transformers import DynamicCache, PreTrainedModel

# Rows are dropped from the batch when this share of them has ended: compacting copies the cache, so not at every end.
COMPACT = 0.2


@dataclass(frozen=True)
class Generation:
    """The tokens written after a prompt, without the end token; `finished` says whether the end token came."""

    tokens: list[int]
    finished: bool


@torch.inference_mode()
def decode(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    *,
    end: int,
    pad: int,
    limits: Sequence[int],
    batch_size: int = 256,
    temperature: float = 0.0,
    seed: int = 0,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> list[Generation]:
    """Continue every prompt by at most its limit of tokens: greedily, or sampled where `temperature` > 0.

    Args:
        prompts: token sequences, none empty.
        end, pad: the ids of the end and padding tokens.
        limits: the most new tokens for each prompt.
        report: called with (rows done, rows in all).
    """
    model.eval()
    order = sorted(range(len(prompts)), key=lambda i: (limits[i], len(prompts[i])))
    results: list[Generation | None] = [None] * len(prompts)
    generator = torch.Generator(device=model.device).manual_seed(seed)
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        for row, generation in zip(
            rows,
            _batch(
                model, [prompts[i] for i in rows], [limits[i] for i in rows], end, pad, temperature, generator
            ),
            strict=True,
        ):
            results[row] = generation
        report(min(start + batch_size, len(order)), len(order))
    return [r for r in results if r is not None]


def _batch(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    limits: Sequence[int],
    end: int,
    pad: int,
    temperature: float,
    generator: torch.Generator,
) -> list[Generation]:
    device = model.device
    width = max(len(p) for p in prompts)
    ids = torch.full((len(prompts), width), pad, dtype=torch.long, device=device)
    mask = torch.zeros_like(ids)
    for i, p in enumerate(prompts):
        ids[i, width - len(p) :] = torch.tensor(list(p), device=device)
        mask[i, width - len(p) :] = 1
    written: list[list[int]] = [[] for _ in prompts]
    finished = [False] * len(prompts)
    alive = list(range(len(prompts)))
    cache = DynamicCache(config=model.config)
    position = (mask.cumsum(1) - 1).clamp(min=0)
    while alive:
        logits = (
            model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=position,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            .logits[:, -1]
            .float()
        )
        chosen = logits.argmax(-1)
        if temperature > 0:
            chosen = torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator)[:, 0]
        gone = []
        for row, (i, token) in enumerate(zip(alive, chosen.tolist(), strict=True)):
            if finished[i] or len(written[i]) >= limits[i]:
                gone.append(row)
            elif token == end:
                finished[i] = True
                gone.append(row)
            else:
                written[i].append(token)
                if len(written[i]) >= limits[i]:
                    gone.append(row)
        if len(gone) == len(alive):
            break
        position = position[:, -1:] + 1
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        ids = chosen[:, None]
        if len(gone) > COMPACT * len(alive):
            left = set(gone)
            keep = torch.tensor([r for r in range(len(alive)) if r not in left], device=device)
            alive = [i for r, i in enumerate(alive) if r not in left]
            cache.batch_select_indices(keep)
            ids, mask, position = ids[keep], mask[keep], position[keep]
    return [Generation(w, f) for w, f in zip(written, finished, strict=True)]
