"""Packing: the documents of a pass laid end to end in fewer rows, so that less of it is padding, and nothing else is changed by it.

Positions start anew with each document, and transformers derives from them, where no attention mask is given, that attention never crosses
a document's border. TRL's own packing ("bfd") fills rows over the whole data set, which changes what documents an update sees, and lays a
pass out as one row, whose attention costs its length squared wherever there is no flash attention; so only TRL's collator is used here, on rows
of our own making. Contract: a pass holds the documents that it would hold unpacked, and its loss and gradients are the same but for the order of
float sums; a model for which that does not hold is refused by `exact`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from pbb.errors import PbbError
from pbb.training.adapter import bare

UNIT = 8  # widths are multiples of it, as those of unpacked batches are
WIDE = 2
"""A row of so many times the model's width costs twice as much a position as a narrow one (SmolLM2 on a CPU, eager attention)."""
CLOSE = 1e-4


def rows(lengths: Sequence[int], wide: int) -> list[list[int]]:
    """Which documents lie end to end, by their indices; each document once.

    As many rows as there are documents, or half of that, and so on to one, whichever costs least: positions, by what attention adds to
    them, which doubles their cost in rows of `wide` tokens. The longest document goes first, always to the row that is filled least.
    """
    found, least = [], float("inf")
    count = len(lengths)
    while True:
        made: list[list[int]] = [[] for _ in range(count)]
        filled = [0] * count
        for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
            row = filled.index(min(filled))
            made[row].append(i)
            filled[row] += lengths[i]
        width = -(-max(filled) // UNIT) * UNIT
        cost = count * width * (wide + width)
        if cost < least:
            found, least = made, cost
        if count == 1:
            return found
        count = -(-count // 2)


class Packed:
    """A collator: documents as `input_ids` and `labels` -> a batch of rows with `position_ids`, and without an attention mask.

    Padding counts as documents of one token, at position 0.
    """

    def __init__(self, pad: int, wide: int) -> None:
        self.wide = wide
        self.collate = DataCollatorForLanguageModeling(pad, return_position_ids=True, pad_to_multiple_of=UNIT)

    def __call__(self, documents: Sequence[dict[str, list[int]]]) -> dict[str, Any]:
        joined = []
        for row in rows([len(d["input_ids"]) for d in documents], self.wide):
            held = [documents[i] for i in row]
            joined.append(
                {
                    "input_ids": [t for d in held for t in d["input_ids"]],
                    # the first token of a document is predicted by none, and so not by the document before
                    "labels": [t for d in held for t in [-100, *d["labels"][1:]]],
                    "seq_lengths": [len(d["input_ids"]) for d in held],
                }
            )
        batch: dict[str, Any] = self.collate(joined)
        del batch["attention_mask"]
        return batch


def exact(model: Any) -> None:
    """PbbError where a document's hidden states depend on what is packed before it, as in models with a recurrent state."""
    inner = bare(model)
    few = min(16, inner.get_input_embeddings().weight.shape[0])
    first, second = ([(start + i) % few for i in range(8)] for start in (1, 5))
    precision, training = torch.get_float32_matmul_precision(), inner.training
    torch.set_float32_matmul_precision("highest")
    inner.eval()

    def states(ids: list[int], positions: list[int]) -> torch.Tensor:
        given = {
            "input_ids": torch.tensor([ids], device=inner.device),
            "position_ids": torch.tensor([positions], device=inner.device),
        }
        hidden: torch.Tensor = inner.base_model(**given, use_cache=False).last_hidden_state[0]
        return hidden

    try:
        with torch.no_grad():
            alone = states(second, [*range(8)])
            packed = states(first + second, [*range(8), *range(8)])[8:]
    finally:
        torch.set_float32_matmul_precision(precision)
        inner.train(training)
    if not torch.allclose(packed, alone, rtol=0, atol=CLOSE * float(alone.abs().max())):
        raise PbbError(
            f"packing: {inner.config.model_type}: this model sees packed documents through their borders: take packing out"
        )
