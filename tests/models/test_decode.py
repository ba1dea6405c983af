"""Batched decoding writes the tokens that `generate` does, row by row, whatever the batch around a row and whatever the model."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from pbb.models import decode as module
from pbb.models import direct
from pbb.models.decode import Generation, decode, packed, uniforms
from pbb.models.direct import Direct, supports
from pbb.models.load import encode, load

WORDS, PAD = 61, 0
TOKENS = {"vocab_size": WORDS, "pad_token_id": PAD, "bos_token_id": None, "eos_token_id": None}
SIZE = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 128, "tie_word_embeddings": True, "initializer_range": 0.25, "attn_implementation": "eager",
} | TOKENS  # fmt: skip
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 100.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}  # fmt: skip
SLIDING = {"use_sliding_window": True, "sliding_window": 6, "max_window_layers": 1}
SUPPORTED = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZE)),
    "llama-biases": lambda: LlamaForCausalLM(
        LlamaConfig(**SIZE | {"tie_word_embeddings": False}, attention_bias=True, mlp_bias=True)
    ),
    "llama3-rope": lambda: LlamaForCausalLM(LlamaConfig(**SIZE, rope_parameters=LLAMA3)),
    "yarn": lambda: LlamaForCausalLM(
        LlamaConfig(**SIZE, rope_parameters={"rope_type": "yarn", "rope_theta": 100.0, "factor": 4.0})
    ),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZE)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SIZE, head_dim=16)),
}
OTHERS = {
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=4, **TOKENS)),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**SIZE, sliding_window=6)),
    "qwen2-sliding": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZE, **SLIDING)),
    "bfloat16": lambda: LlamaForCausalLM(LlamaConfig(**SIZE)).bfloat16(),
}


@cache
def seeded(name: str) -> PreTrainedModel:
    """The model with random weights; biases and norms are drawn too, for they begin as nought and one."""
    torch.manual_seed(1)
    model: PreTrainedModel = (SUPPORTED | OTHERS)[name]()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """Full float32 products, in which every order of a sum gives nearly the same."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


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
        use_cache=True,
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


@pytest.mark.parametrize("name", SUPPORTED)
def test_greedy_tokens_are_those_of_generate(name: str) -> None:
    model = seeded(name)
    assert supports(model)
    end = an_end(model)
    expected = [reference(model, p, limit, end) for p, limit in zip(PROMPTS, LIMITS, strict=True)]
    assert 2 < sum(g.finished for g in expected) < len(PROMPTS) - 2
    assert decode(model, PROMPTS, end=end, pad=PAD, limits=LIMITS) == expected


@pytest.mark.parametrize("name", SUPPORTED)
@torch.inference_mode()
def test_logprobs_are_those_of_a_whole_forward(name: str) -> None:
    model, temperature = seeded(name), 1.7
    end = an_end(model)
    for heat in (0.0, temperature):
        written = decode(
            model, PROMPTS, end=end, pad=PAD, limits=LIMITS, temperature=heat, batch_size=7, logprobs=True
        )
        assert any(g.finished for g in written)
        for prompt, g in zip(PROMPTS, written, strict=True):
            scored = g.tokens + [end] * g.finished
            logits = model(torch.tensor([prompt + scored])).logits[0, len(prompt) - 1 : -1] / (heat or 1)
            expected = logits.log_softmax(-1).gather(1, torch.tensor(scored)[:, None])[:, 0]
            assert (torch.tensor(g.logprobs) - expected).abs().max() < 1e-4
    assert all(g.logprobs == [] for g in decode(model, PROMPTS, end=end, pad=PAD, limits=LIMITS))


@pytest.mark.parametrize("name", OTHERS)
def test_other_shapes_run_through_their_own_forward(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Direct", None)
    model = seeded(name)
    assert not supports(model)
    end = an_end(model)
    expected = [reference(model, p, limit, end) for p, limit in zip(PROMPTS, LIMITS, strict=True)]
    size = 1 if name == "bfloat16" else 256  # where not even `generate` says the same in batches
    assert decode(model, PROMPTS, end=end, pad=PAD, limits=LIMITS, batch_size=size) == expected


def test_neither_adapters_nor_angles_that_hang_on_the_length_are_overlooked() -> None:
    rope = {"rope_type": "dynamic", "rope_theta": 100.0, "factor": 2.0}
    assert not supports(LlamaForCausalLM(LlamaConfig(**SIZE, rope_parameters=rope)))
    model = LlamaForCausalLM(LlamaConfig(**SIZE))
    assert supports(model)

    class Adapted(torch.nn.Linear):
        pass

    model.model.layers[1].self_attn.v_proj = Adapted(32, 16, bias=False)
    assert not supports(model)


@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.lists(st.integers(2, WORDS - 1), min_size=1, max_size=12), st.integers(0, 9)), max_size=9
    ),
    batch_size=st.integers(1, 10),
    chunk=st.integers(1, 30),
    name=st.sampled_from(list(SUPPORTED)),
)
def test_a_row_is_what_it_is_alone(
    rows: list[tuple[list[int], int]], batch_size: int, chunk: int, name: str
) -> None:
    model = seeded(name)
    end = 7
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(direct, "CHUNK", chunk)
        written = decode(
            model, [p for p, _ in rows], end=end, pad=PAD, limits=[n for _, n in rows], batch_size=batch_size
        )
    for (prompt, limit), g in zip(rows, written, strict=True):
        assert g == (reference(model, prompt, limit, end) if limit else Generation([], False))


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

    class Counting(Direct):
        def step(self, tokens: torch.Tensor) -> torch.Tensor:
            sizes.append(len(tokens))
            return super().step(tokens)

    monkeypatch.setattr(module, "Direct", Counting)
    decode(llama, PROMPTS, end=-1, pad=PAD, limits=[2] * (len(PROMPTS) - 1) + [20])
    assert sizes == [len(PROMPTS)] + [1] * 18


@given(st.lists(st.booleans(), max_size=20))
def test_gaps_are_filled_from_the_end(stays: list[bool]) -> None:
    rows = packed(stays)
    assert sorted(rows) == [row for row, stay in enumerate(stays) if stay]
    assert all(row == new for new, row in enumerate(rows) if stays[new])


def test_equal_prompts_are_read_once(llama: PreTrainedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = decode(llama, PROMPTS, end=-1, pad=PAD, limits=LIMITS)
    read = []
    project = Direct._project

    def counting(self: Direct, layer: object, x: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
        read.append(len(x))
        return project(self, layer, x, turns)  # type: ignore[arg-type]

    monkeypatch.setattr(Direct, "_project", counting)
    tokens = sum(len(p) for p in PROMPTS[:3])
    decode(llama, PROMPTS[:3] * 5, end=-1, pad=PAD, limits=[1] * 15)
    assert sum(read) / 2 <= 3 * max(len(p) for p in PROMPTS[:3]) and sum(read) / 2 >= tokens
    written = decode(llama, PROMPTS * 3, end=-1, pad=PAD, limits=LIMITS * 3)
    assert written == expected * 3


def test_every_row_keeps_its_own_limit(llama: PreTrainedModel) -> None:
    limits = [0, 1, 30, 2, *LIMITS[4:]]
    written = decode(llama, PROMPTS, end=-1, pad=PAD, limits=limits)
    assert [len(g.tokens) for g in written] == limits
    assert not any(g.finished for g in written)
    longer = decode(llama, PROMPTS, end=-1, pad=PAD, limits=[30] * len(PROMPTS))
    assert [g.tokens for g in written] == [g.tokens[:limit] for g, limit in zip(longer, limits, strict=True)]


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_the_end_token_stops_a_row_and_is_not_part_of_it(name: str) -> None:
    model = seeded(name)
    free = decode(model, PROMPTS, end=-1, pad=PAD, limits=[12] * len(PROMPTS))
    for end in (an_end(model), free[0].tokens[0]):  # somewhere, and at once
        for g, stopped in zip(
            free, decode(model, PROMPTS, end=end, pad=PAD, limits=[12] * len(PROMPTS)), strict=True
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


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_a_sample_depends_on_the_seed_and_the_row_alone(name: str) -> None:
    model = seeded(name)
    end = an_end(model)

    def sampled(seed: int, size: int = 256, rows: int = len(PROMPTS), heat: float = 1.0) -> list[Generation]:
        return decode(
            model, PROMPTS[:rows], end=end, pad=PAD, limits=LIMITS[:rows], temperature=heat, seed=seed, batch_size=size
        )  # fmt: skip

    assert sampled(0) == sampled(0, size=1) == sampled(0, size=5)
    assert sampled(0, rows=6) == sampled(0)[:6]
    assert sampled(0) != sampled(1)
    assert sampled(0, heat=1e-4) == decode(model, PROMPTS, end=end, pad=PAD, limits=LIMITS)
    state = torch.get_rng_state()
    sampled(0)
    assert torch.equal(torch.get_rng_state(), state)  # and the global stream is left alone


def test_streams_of_rows_are_prefixes_of_longer_ones_and_differ() -> None:
    long = uniforms(3, [0, 1, 5], 40)
    assert torch.equal(uniforms(3, [5], 7)[0], long[2, :7])
    assert len(long.flatten().unique()) == 120 and long.min() >= 0 and long.max() < 1
    assert not torch.equal(uniforms(4, [0], 40)[0], long[0])


@pytest.mark.parametrize("alike", [True, False])
def test_samples_follow_the_models_distribution(llama: PreTrainedModel, alike: bool) -> None:
    draws, temperature = 3000, 2.0
    prompts = [PROMPTS[3]] * draws if alike else [[i % 50 + 2, *PROMPTS[3][-3:]] for i in range(draws)]
    with torch.inference_mode():
        expected = (llama(torch.tensor(prompts)).logits[:, -1] / temperature).softmax(-1).mean(0)
    written = decode(
        llama, prompts, end=-1, pad=PAD, limits=[1] * draws, temperature=temperature, batch_size=1000
    )
    counts = torch.bincount(torch.tensor([g.tokens[0] for g in written]), minlength=WORDS)
    assert float((counts / draws - expected).abs().sum()) / 2 < 0.08  # total variation


def test_the_base_model_writes_what_generate_does_in_either_precision() -> None:
    model, tokenizer = load("base")
    questions = [f"def f(x):\n    a = x * {i}\n    return a\nf({i + 2})? Step by step." for i in (2, 5, 8)]
    prompts = encode(tokenizer, [*questions, "Hello"])
    end = int(tokenizer.eos_token_id)
    for precision in ("highest", "medium"):
        torch.set_float32_matmul_precision(precision)
        written = decode(model, prompts, end=end, pad=0, limits=[40] * len(prompts), logprobs=True)
        for prompt, g in zip(prompts, written, strict=True):
            assert Generation(g.tokens, g.finished) == reference(model, prompt, 40, end)
            scored = g.tokens + [end] * g.finished
            with torch.inference_mode():
                logits = model(torch.tensor([prompt + scored])).logits[0, len(prompt) - 1 : -1]
            expected = logits.log_softmax(-1).gather(1, torch.tensor(scored)[:, None])[:, 0]
            difference = (torch.tensor(g.logprobs) - expected).abs().max()
            assert difference < (1e-4 if precision == "highest" else 0.1)


def test_the_model_is_left_in_its_mode_and_its_weights_alone(llama: PreTrainedModel) -> None:
    before = {name: value.clone() for name, value in llama.state_dict().items()}
    llama.train()
    written = decode(llama, PROMPTS, end=-1, pad=PAD, limits=LIMITS)
    assert llama.training
    llama.eval()
    assert decode(llama, PROMPTS, end=-1, pad=PAD, limits=LIMITS) == written and not llama.training
    assert all(torch.equal(value, before[name]) for name, value in llama.state_dict().items())


def test_large_matrices_are_not_copied_into_one(
    llama: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = decode(llama, PROMPTS, end=-1, pad=PAD, limits=LIMITS)
    monkeypatch.setattr(direct, "SMALL", 0)
    assert Direct(llama, 1, 4).layers[0].gate_up is None
    assert decode(llama, PROMPTS, end=-1, pad=PAD, limits=LIMITS) == expected


def test_progress_counts_tokens(llama: PreTrainedModel) -> None:
    told: list[tuple[int, int]] = []
    limits = [0, 100, 2, 30]
    decode(
        llama, [[5], [5] * 4, [5], [5] * 2], end=-1, pad=PAD, limits=limits, batch_size=1,
        report=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert told == [(0, 139), (3, 139), (35, 139), (139, 139)]


def test_nothing_to_decode_is_nothing(llama: PreTrainedModel) -> None:
    assert decode(llama, [], end=1, pad=PAD, limits=[]) == []
    assert decode(llama, PROMPTS, end=1, pad=PAD, limits=[0] * len(PROMPTS)) == [Generation([], False)] * 17
