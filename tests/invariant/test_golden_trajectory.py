"""Eight steps of a tiny seeded model lose what they lost before: training has not changed unnoticed.

Trainings that must be equal share a trajectory: packed rows change nothing. The golden losses hold to 1e-3 relative on any machine
(another order of sums moves the last digits only). If a change of training is meant, write the new ones and say so in the change:

    python tests/invariant/test_golden_trajectory.py --write
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from pbb.models.tokenizer import train_tokenizer
from pbb.training.sft import Settings, sft

GOLDEN = Path(__file__).parent / "golden" / "trajectory.json"
OPTIMIZERS = ("adamw", "muon")
STEPS, BATCH, WORDS = 8, 4, 64


@contextmanager
def full_precision() -> Iterator[None]:
    """Matrix products in float32 also where a test before this one has allowed less."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def documents() -> list[tuple[list[int], list[int]]]:
    """Counting upwards from the prompt's last token: something to learn within eight steps."""
    rng = random.Random(0)
    made = []
    for _ in range(STEPS * BATCH):
        start, length = rng.randrange(4, WORDS - 20), rng.randint(3, 12)
        made.append(([2, start - 1, start], [*range(start + 1, start + length), 1]))
    return made


def losses(optimizer: Literal["adamw", "muon"], packing: bool = False) -> list[float]:
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=WORDS, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=True, pad_token_id=0,
            eos_token_id=1, bos_token_id=None, attn_implementation="eager",
        )
    )  # fmt: skip
    settings = Settings(
        batch_size=BATCH, learning_rate=1e-2, warmup=2, optimizer=optimizer, packing=packing, seed=3
    )
    with tempfile.TemporaryDirectory() as folder, full_precision():
        sft(model, tokenizer(), documents(), settings, Path(folder), lambda done, total, note: None)
        rows = (Path(folder) / "metrics.jsonl").read_text().splitlines()
    return [json.loads(row)["loss"] for row in rows]


def tokenizer() -> PreTrainedTokenizerFast:
    """Training only asks it for its padding token."""
    return train_tokenizer(["a"])


@pytest.mark.parametrize("packing", [False, True], ids=["padded", "packed"])
@pytest.mark.parametrize("optimizer", get_args(Literal["adamw", "muon"]))
def test_the_losses_are_the_golden_ones(optimizer: Literal["adamw", "muon"], packing: bool) -> None:
    golden = json.loads(GOLDEN.read_text())[optimizer]
    assert len(golden) == STEPS
    assert losses(optimizer, packing) == pytest.approx(golden, rel=1e-3)


def test_the_golden_losses_tell_optimizers_apart_and_fall() -> None:
    golden = json.loads(GOLDEN.read_text())
    assert golden["adamw"] != pytest.approx(golden["muon"], rel=1e-2)
    for trajectory in golden.values():
        assert trajectory[-1] < trajectory[0] - 0.3


if __name__ == "__main__":
    text = json.dumps({name: losses(name) for name in OPTIMIZERS}, indent=1) + "\n"  # type: ignore[arg-type]
    print(text, end="")
    if "--write" in sys.argv:
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(text)
