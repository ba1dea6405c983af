"""Batched decoding writes the tokens that `generate` does, row by row, whatever the batch around a row."""

from __future__ import annotations

import random
from collections import Counter

import pytest
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from pbb.models import decode as module
from pbb.models.decode import Generation, decode

WORDS, PAD = 61, 0
SIZE = {
    "vocab_size": WORDS, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128,
    "tie_word_embeddings": True, "initializer_range": 0.25, "attn_implementation": "eager", "pad_token_id": PAD,
    "bos_token_id": None, "eos_token_id": None,
}  # fmt: skip
MODELS = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZE)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZE)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SIZE, head_dim=8)),
}


def seeded(name: str) -> PreTrainedModel:
    torch.manual_seed(1)
    model: PreTrainedModel = MODELS[name]()
    return model.eval()


@pytest.fixture(scope="module", params=list(MODELS))
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    return seeded(request.param)


@pytest.fixture(scope="module")
def llama() -> PreTrainedModel:
    return seeded("llama")


def ragged(count: int = 17) -> list[list[int]]:
    rng = random.Random(0)
    return [[rng.randrange(2, WORDS) for _ in range(rng.randint(1, 20))] for _ in range(count)]


PROMPTS = ragged()
LIMITS = [1 + (7 * i) % 23 for i in range(len(PROMPTS))]


@torch.inference_mode()
def reference(model: PreTrainedModel, prompt: list[int], limit: int, end: int) -> Generation:
    """What `generate` writes after one prompt alone, so without padding."""
    ids = torch.tensor([prompt])
    whole = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=limit,
        do_sample=False,
        eos_token_id=end,
        pad_token_id=PAD,
    )
    written = whole[0, len(prompt) :].tolist()
    finished = written[-1] == end
    return Generation(written[:-1] if finished else written, finished)


def an_end(model: PreTrainedModel) -> int:
    """A token that some rows write early and others do not."""
    free = decode(model, PROMPTS, end=-1, pad=PAD, limits=[12] * len(PROMPTS))
    assert all(len(g.tokens) == 12 and not g.finished for g in free)
    rows = Counter(token for g in free for token in set(g.tokens[1:8]))
    return min(rows, key=lambda token: (abs(rows[token] - len(PROMPTS) / 2), token))


def test_greedy_tokens_are_those_of_generate(model: PreTrainedModel) -> None:
    end = an_end(model)
    expected = [reference(model, p, limit, end) for p, limit in zip(PROMPTS, LIMITS, strict=True)]
    assert 2 < sum(g.finished for g in expected) < len(PROMPTS) - 2
    assert decode(model, PROMPTS, end=end, pad=PAD, limits=LIMITS) == expected


@pytest.mark.parametrize("batch_size", [1, 4, 256])
@pytest.mark.parametrize("compact", [0.0, 0.2, 1.0])
def test_neither_batches_nor_compaction_change_a_row(
    llama: PreTrainedModel, batch_size: int, compact: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = an_end(llama)
    expected = decode(llama, PROMPTS, end=end, pad=PAD, limits=LIMITS)
    monkeypatch.setattr(module, "COMPACT", compact)
    assert decode(llama, PROMPTS, end=end, pad=PAD, limits=LIMITS, batch_size=batch_size) == expected


def test_rows_that_have_ended_leave_the_batch(
    llama: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    forward = llama.forward

    def counting(*args: object, **kwargs: torch.Tensor) -> object:
        sizes.append(len(kwargs["input_ids"]))
        return forward(*args, **kwargs)

    monkeypatch.setattr(llama, "forward", counting)
    decode(llama, PROMPTS, end=-1, pad=PAD, limits=[2] * (len(PROMPTS) - 1) + [20])
    assert len(sizes) == 20
    assert sizes[:2] == [len(PROMPTS)] * 2 and set(sizes[2:]) == {1}


def test_every_row_keeps_its_own_limit(llama: PreTrainedModel) -> None:
    limits = [0, 1, 30, 2, *LIMITS[4:]]
    written = decode(llama, PROMPTS, end=-1, pad=PAD, limits=limits)
    assert [len(g.tokens) for g in written] == limits
    assert not any(g.finished for g in written)
    longer = decode(llama, PROMPTS, end=-1, pad=PAD, limits=[30] * len(PROMPTS))
    assert [g.tokens for g in written] == [g.tokens[:limit] for g, limit in zip(longer, limits, strict=True)]


def test_the_end_token_stops_a_row_and_is_not_part_of_it(llama: PreTrainedModel) -> None:
    free = decode(llama, PROMPTS, end=-1, pad=PAD, limits=[12] * len(PROMPTS))
    end = an_end(llama)
    for g, stopped in zip(
        free, decode(llama, PROMPTS, end=end, pad=PAD, limits=[12] * len(PROMPTS)), strict=True
    ):
        at = g.tokens.index(end) if end in g.tokens else 12
        assert stopped == Generation(g.tokens[:at], at < 12)


def test_an_end_exactly_at_the_limit_needs_room_for_itself(llama: PreTrainedModel) -> None:
    prompt = PROMPTS[0]
    (free,) = decode(llama, [prompt], end=-1, pad=PAD, limits=[12])
    at = next(i for i, token in enumerate(free.tokens) if i > 1 and token not in free.tokens[:i])
    end = free.tokens[at]
    for limit, finished in ((at, False), (at + 1, True)):
        (g,) = decode(llama, [prompt], end=end, pad=PAD, limits=[limit])
        assert g == Generation(free.tokens[:at], finished)


def test_sampling_is_seeded(llama: PreTrainedModel) -> None:
    def sampled(seed: int, temperature: float = 1.0) -> list[Generation]:
        return decode(
            llama, PROMPTS, end=-1, pad=PAD, limits=LIMITS, temperature=temperature, seed=seed, batch_size=5
        )

    assert sampled(0) == sampled(0)
    assert sampled(0) != sampled(1)
    assert sampled(0, temperature=1e-4) == decode(llama, PROMPTS, end=-1, pad=PAD, limits=LIMITS)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    sampled(0)
    assert torch.equal(torch.get_rng_state(), state)  # and leaves the global stream alone


def test_samples_follow_the_models_distribution(llama: PreTrainedModel) -> None:
    draws, temperature = 3000, 2.0
    prompt = PROMPTS[3]
    with torch.inference_mode():
        expected = (llama(torch.tensor([prompt])).logits[0, -1] / temperature).softmax(-1)
    written = decode(
        llama, [prompt] * draws, end=-1, pad=PAD, limits=[1] * draws, temperature=temperature, batch_size=1000
    )
    counts = torch.bincount(torch.tensor([g.tokens[0] for g in written]), minlength=WORDS)
    assert float((counts / draws - expected).abs().sum()) / 2 < 0.08  # total variation


def test_progress_counts_rows(llama: PreTrainedModel) -> None:
    told: list[tuple[int, int]] = []
    decode(
        llama, PROMPTS, end=-1, pad=PAD, limits=[1] * len(PROMPTS), batch_size=8,
        report=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert told == [(8, 17), (16, 17), (17, 17)]


def test_nothing_to_decode_is_nothing(llama: PreTrainedModel) -> None:
    assert decode(llama, [], end=1, pad=PAD, limits=[]) == []
