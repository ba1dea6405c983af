"""Packed documents are read as if each stood alone, and a training on them is the training without packing but for rounding."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from pbb.models.load import load
from pbb.recipe_stages import Stage
from pbb.training.packing import UNIT, Packed, exact, rows
from pbb.training.sft import Settings, Tokens, sft

Refused = Callable[..., AbstractContextManager[None]]
Make = Callable[[int], PreTrainedModel]
BATCH = 8
SHAPES = ("llama", "qwen")


@pytest.fixture(scope="module", autouse=True)
def precision() -> Any:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


@pytest.fixture(scope="module")
def shapes(tiny_llama: Make, tokenizer: PreTrainedTokenizerFast) -> dict[str, Callable[[], PreTrainedModel]]:
    """Untrained models of two layers: a Llama, and a Qwen with biases, fewer keys than queries, and fused attention."""

    def qwen() -> PreTrainedModel:
        torch.manual_seed(0)
        return Qwen2ForCausalLM(
            Qwen2Config(
                vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                num_key_value_heads=2, max_position_embeddings=256, tie_word_embeddings=True, use_cache=False,
                pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id, bos_token_id=None,
                attn_implementation="sdpa",
            )
        )  # fmt: skip

    return {"llama": lambda: tiny_llama(0), "qwen": qwen}


def documents(number: int, seed: int = 0) -> list[Tokens]:
    """Token pairs of very mixed lengths, some without a prompt and so without anything to predict their first token."""
    rng = random.Random(seed)

    def some(low: int, high: int) -> list[int]:
        return [rng.randrange(4, 90) for _ in range(rng.randint(low, high))]

    return [([] if rng.random() < 0.2 else [2, *some(1, 9)], [*some(1, 60), 1]) for _ in range(number)]


def records(docs: Sequence[Tokens]) -> list[dict[str, list[int]]]:
    return [{"input_ids": p + c, "labels": [-100] * len(p) + c} for p, c in docs]


@given(st.lists(st.integers(1, 300), min_size=1, max_size=40), st.integers(1, 4000))
@settings(max_examples=200, deadline=None)
def test_every_document_lies_in_one_row_and_rows_cost_no_more_than_without_packing(
    lengths: list[int], wide: int
) -> None:
    packed = rows(lengths, wide)
    assert sorted(i for row in packed for i in row) == list(range(len(lengths)))
    assert packed == rows(lengths, wide)

    def cost(widths: list[int]) -> int:
        width = -(-max(widths) // UNIT) * UNIT
        return len(widths) * width * (wide + width)

    assert cost([sum(lengths[i] for i in row) for row in packed]) <= cost(lengths)


def test_a_batch_of_unequal_documents_is_padded_less() -> None:
    lengths = [len(p) + len(c) for p, c in documents(BATCH)]
    packed = [sum(lengths[i] for i in row) for row in rows(lengths, 10_000)]
    assert len(packed) * max(packed) < 1.1 * sum(lengths) < 0.7 * len(lengths) * max(lengths)
    assert len(rows(lengths, 1)) > len(packed), "where width is dear, rows are short"


def test_a_batch_has_each_documents_tokens_labels_and_positions() -> None:
    docs = documents(BATCH)
    batch = Packed(pad=0, wide=10_000)(records(docs))
    assert set(batch) == {"input_ids", "labels", "position_ids"}
    found = []
    for ids, labels, positions in zip(
        *(batch[k].tolist() for k in ("input_ids", "labels", "position_ids")), strict=True
    ):
        starts = [i for i, at in enumerate(positions) if at == 0] + [len(ids)]
        for start, end in zip(starts, starts[1:], strict=False):
            assert positions[start:end] == list(range(end - start)) and labels[start] == -100
            found.append((ids[start:end], labels[start + 1 : end]))
    real = [(d["input_ids"], d["labels"][1:]) for d in records(docs)]
    assert sorted(found) == sorted(real + [([0], [])] * (len(found) - len(real)))


def alone_and_packed(
    model: PreTrainedModel, docs: Sequence[Tokens]
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """(logits of a document by itself, logits of it where it was packed), one pair a document."""
    model.eval()
    batch = Packed(pad=0, wide=10_000)(records(docs))
    ids = [p + c for p, c in docs]
    held = rows([len(i) for i in ids], 10_000)
    assert len(held) < len(ids)
    with torch.no_grad():
        logits = model(
            input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False
        ).logits
        pairs = []
        for row, line in zip(held, logits, strict=True):
            start = 0
            for i in row:
                alone = model(input_ids=torch.tensor([ids[i]]), use_cache=False).logits[0]
                pairs.append((alone, line[start : start + len(ids[i])]))
                start += len(ids[i])
    return pairs


@pytest.mark.parametrize("shape", SHAPES)
def test_packed_and_unpacked_logits_agree(
    shape: str, shapes: dict[str, Callable[[], PreTrainedModel]]
) -> None:
    for alone, packed in alone_and_packed(shapes[shape](), documents(BATCH)):
        torch.testing.assert_close(packed, alone, rtol=0, atol=1e-5)


def test_packed_and_unpacked_logits_agree_on_the_embedded_base() -> None:
    model, _ = load("base")
    torch.set_float32_matmul_precision("highest")
    for alone, packed in alone_and_packed(model, documents(BATCH)):
        torch.testing.assert_close(packed, alone, rtol=0, atol=2e-4)


class Run:
    """A training of six updates, the last of them short, on documents of very mixed lengths."""

    def __init__(self, folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
        self.folder, self.model, self.tokenizer = folder, model, tokenizer

    def train(self, kill_at: int | None = None, **given: Any) -> list[dict[str, float]]:
        def report(done: float, total: float, note: str) -> None:
            if done == kill_at:
                raise KeyboardInterrupt

        self.folder.mkdir(exist_ok=True)
        chosen = {"batch_size": BATCH, "learning_rate": 3e-3, "warmup": 2, "checkpoint_seconds": 1e-9} | given
        docs = documents(5 * BATCH + 3)
        sft(self.model, self.tokenizer, docs, Settings.model_validate(chosen), self.folder, report)
        return [json.loads(line) for line in (self.folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("shape", "ways", "close"),
    [
        ("llama", {}, 2e-5),
        ("qwen", {}, 2e-5),
        # updates of one size: where a gradient is next to nothing rounding decides
        ("llama", {"optimizer": "muon"}, 1e-3),
        ("qwen", {"lora": 4, "accumulate": 2, "checkpointing": True}, 2e-5),
        ("llama", {"bf16": True}, 5e-3),
    ],
    ids=["llama", "qwen", "muon", "lora-accumulate-checkpointing", "bf16"],
)
def test_a_training_packed_is_the_training_unpacked(
    shape: str,
    ways: dict[str, Any],
    close: float,
    shapes: dict[str, Callable[[], PreTrainedModel]],
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
) -> None:
    plain = Run(tmp_path / "plain", shapes[shape](), tokenizer).train(**ways)
    packed = Run(tmp_path / "packed", shapes[shape](), tokenizer).train(packing=True, **ways)
    assert len(plain) == len(packed) == 6
    for key in ("step", "tokens", "learning_rate"):
        assert [row[key] for row in packed] == [row[key] for row in plain]
    for key in ("loss", "grad_norm"):
        assert [row[key] for row in packed] == pytest.approx([row[key] for row in plain], rel=close)
    assert packed[-1]["loss"] < packed[0]["loss"]


def test_a_killed_packed_training_ends_as_the_undisturbed_one(
    shapes: dict[str, Callable[[], PreTrainedModel]], tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    whole = Run(tmp_path / "whole", shapes["llama"](), tokenizer).train(packing=True)
    killed = Run(tmp_path / "killed", shapes["llama"](), tokenizer)
    with pytest.raises(KeyboardInterrupt):
        killed.train(kill_at=4, packing=True)
    assert list((tmp_path / "killed" / "checkpoints").glob("checkpoint-*"))
    again = Run(tmp_path / "killed", shapes["llama"](), tokenizer).train(packing=True)
    for key in ("step", "loss", "grad_norm"):
        assert [row[key] for row in again] == [row[key] for row in whole]
    path = Path("model") / "model.safetensors"
    assert (tmp_path / "killed" / path).read_bytes() == (tmp_path / "whole" / path).read_bytes()


def test_a_model_that_looks_through_borders_is_refused(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, refused: Refused
) -> None:
    small: dict[str, Any] = {"vocab_size": len(tokenizer), "hidden_size": 32}
    torch.manual_seed(0)
    with refused("packing", "mamba", "take packing out"):
        exact(MambaForCausalLM(MambaConfig(**small, num_hidden_layers=2, state_size=4)))
    bloom = BloomForCausalLM(BloomConfig(**small, n_layer=2, n_head=2))
    with refused("packing", "bloom", "take packing out"):
        Run(tmp_path / "run", bloom, tokenizer).train(packing=True)


@pytest.mark.parametrize("training", [True, False])
def test_a_model_is_in_its_mode_again_after_it_was_checked(training: bool, tiny_llama: Make) -> None:
    model = tiny_llama(0).train(training)
    exact(model)
    assert model.training is training


def test_packing_is_for_sft_and_names_a_stage_only_where_it_is_on() -> None:
    assert "packing" not in Stage().model_dump() and Stage(packing=True).model_dump()["packing"] is True
    with pytest.raises(ValueError, match="bf16, packing and accumulate are for stages of SFT"):
        Stage(method="grpo", packing=True)
