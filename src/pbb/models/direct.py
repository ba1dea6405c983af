"""The forward pass of a Llama- or Qwen-shaped model on its bare weights, over a key-value cache that is allocated once.

For a model of a few million parameters most of `generate()`'s time is no arithmetic: modules, masks, a cache that is copied at every token.
Here query, key and value are one matrix product, gate and up another; rotary embedding is one complex multiplication (rows of the
query and key matrices are put in the order real, imaginary, real, ..., which no score can tell); queries that share a key-value head
are rows of one product. Where matrix products take bfloat16 factors anyway (`rounds`), the cache holds bfloat16: half the memory to stream.

Contract: where `supports(model)`, the logits are those of `model` up to the order of sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.nn.functional import scaled_dot_product_attention as attention
from transformers import LlamaForCausalLM, PreTrainedModel, Qwen2ForCausalLM, Qwen3ForCausalLM

# Rope types whose angles depend on the position alone, not on how long the longest sequence is.
ROPES = ("default", "linear", "llama3", "yarn")
# Prompts are read in groups of about this many tokens: more fall out of the processor's cache, fewer leave its matrix unit idle.
CHUNK = 512
# Up to this many weights in a matrix, gate and up are copied into one; products with larger ones gain nothing by it.
SMALL = 2**19


def supports(model: PreTrainedModel) -> bool:
    """Whether the model is exactly one of the shapes that `Direct` computes: float32 on CPU, full attention, plain matrices."""
    if type(model) not in (LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM):
        return False
    config: Any = model.config
    matrices = [m for name, m in model.named_modules() if name.endswith("_proj") or name == "lm_head"]
    return (
        all(type(m) is nn.Linear for m in matrices)
        and all(p.dtype == torch.float32 and p.device.type == "cpu" for p in model.parameters())
        and config.rope_parameters["rope_type"] in ROPES
        and set(getattr(config, "layer_types", None) or ["full_attention"]) == {"full_attention"}
    )


def rounds() -> bool:
    """Whether products of float32 matrices take bfloat16 factors here (precision "medium" on a processor that has them)."""
    return bool((torch.full((64, 64), 1 + 2**-9) @ torch.ones(64, 64)).max() == 64)


@dataclass(frozen=True)
class Layer:
    """One layer's weights, each matrix (out, in). `qk_norm` is (query and key heads, head size), where the model has it."""

    before_attention: Tensor
    qkv: tuple[Tensor, Tensor | None]
    qk_norm: Tensor | None
    out: nn.Linear
    before_mlp: Tensor
    gate_up: tuple[Tensor, Tensor | None] | None
    gate: nn.Linear
    up: nn.Linear
    activation: nn.Module
    down: nn.Linear


class Direct:
    """A batch of sequences in a supported model. All rows write into the same column of the cache: prompts end at the same one.

    Args:
        model: one that is supported; its weights must not change while this lives.
        rows, columns: the most sequences at a time, and the most tokens of a sequence.
    """

    def __init__(self, model: PreTrainedModel, rows: int, columns: int) -> None:
        inner: Any = model.model
        some = inner.layers[0].self_attn
        self.heads, self.kv = model.config.num_attention_heads, model.config.num_key_value_heads
        self.size, self.scale = some.head_dim, some.scaling
        self.eps = torch.tensor(model.config.rms_norm_eps)
        self.embedding, self.norm = inner.embed_tokens.weight, inner.norm.weight
        self.head: Any = model.get_output_embeddings()
        half = self.size // 2
        cos, sin = inner.rotary_emb(self.embedding[:1], torch.arange(columns)[None])
        turns = torch.complex(cos[0, :, None, :half].contiguous(), sin[0, :, None, :half].contiguous())
        # (columns, heads + 2 kv, half): values are not turned.
        self.turns = torch.ones(columns, self.heads + 2 * self.kv, half, dtype=turns.dtype)
        self.turns[:, : self.heads + self.kv] = turns
        self.layers = [self._layer(layer) for layer in inner.layers]
        self.dtype = torch.bfloat16 if rounds() else torch.float32
        # Keys and values: (layers, rows, 2 kv, columns, size). Memory that no row has reached is not touched.
        self.cache = torch.empty(len(self.layers), rows, 2 * self.kv, columns, self.size, dtype=self.dtype)
        self.bias = torch.zeros(rows, 1, 1, columns)
        self.positions = torch.zeros(rows, dtype=torch.long)
        self.rows = self.used = 0

    def _layer(self, layer: Any) -> Layer:
        source, mlp = layer.self_attn, layer.mlp
        order = torch.arange(self.size).view(2, -1).T.flatten()

        def interleaved(weight: Tensor) -> Tensor:
            return weight.view(-1, self.size, *weight.shape[1:])[:, order].flatten(0, 1)

        def joined(*parts: Tensor | None) -> Tensor | None:
            present = [p for p in parts if p is not None]
            return torch.cat(present) if present else None

        q, k, v = source.q_proj, source.k_proj, source.v_proj
        bias = None if q.bias is None else torch.cat([interleaved(q.bias), interleaved(k.bias), v.bias])
        qk_norm = None
        if hasattr(source, "q_norm"):
            both = [source.q_norm.weight] * self.heads + [source.k_norm.weight] * self.kv
            qk_norm = torch.stack(both)[:, order].contiguous()
        gate, up = mlp.gate_proj, mlp.up_proj
        small = gate.weight.numel() <= SMALL
        return Layer(
            before_attention=layer.input_layernorm.weight,
            qkv=(torch.cat([interleaved(q.weight), interleaved(k.weight), v.weight]), bias),
            qk_norm=qk_norm,
            out=source.o_proj,
            before_mlp=layer.post_attention_layernorm.weight,
            gate_up=(torch.cat([gate.weight, up.weight]), joined(gate.bias, up.bias)) if small else None,
            gate=gate,
            up=up,
            activation=mlp.act_fn,
            down=mlp.down_proj,
        )

    def start(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Read prompts, in order of length; equal neighbours are read once.

        Returns:
            The logits after each, (prompts, vocabulary).
        """
        lengths = torch.tensor([len(p) for p in prompts])
        self.rows, self.used = len(prompts), len(prompts[-1])
        self.positions[: self.rows] = lengths
        padding = torch.arange(self.used) < self.used - lengths[:, None]
        self.bias[: self.rows, 0, 0] = 0
        self.bias[: self.rows, 0, 0, : self.used].masked_fill_(padding, -torch.inf)
        return torch.cat([self._read(prompts[first:last], first) for first, last in chunks(prompts)])

    def _read(self, prompts: Sequence[Sequence[int]], first: int) -> Tensor:
        """Logits after prompts that become rows `first`, `first + 1`, ... of the cache."""
        new = [i == 0 or p != prompts[i - 1] for i, p in enumerate(prompts)]
        owner = torch.tensor(new).cumsum(0) - 1
        different = [p for p, is_new in zip(prompts, new, strict=True) if is_new]
        count, width = len(different), len(different[-1])
        shared = count < len(prompts)
        ids = torch.tensor([[0] * (width - len(p)) + list(p) for p in different])
        left = width - torch.tensor([len(p) for p in different])[:, None]
        place = torch.arange(width)
        # The least float, not minus infinity: a padding token sees nothing, and must not become NaN.
        unseen = (place > place[:, None]) | (place < left)[:, None]
        bias = torch.zeros(unseen.shape).masked_fill_(unseen, torch.finfo(torch.float32).min)[:, None]
        turns = self.turns[(place - left).clamp(min=0).view(-1)]
        rows = slice(first, first + len(prompts))
        columns = slice(self.used - width, self.used)
        self.cache[:, rows, :, : columns.start] = 0  # weighed with nought, so must be finite
        x = self.embedding[ids.view(-1)]
        for layer, cache in zip(self.layers, self.cache, strict=True):
            qkv = self._project(layer, x, turns).view(count, width, -1, self.size).transpose(1, 2)
            cache[rows, :, columns] = qkv[owner, self.heads :] if shared else qkv[:, self.heads :]
            q, k, v = qkv.split([self.heads, self.kv, self.kv], dim=1)
            if layer is self.layers[-1]:  # nothing but the last token's logits is asked for
                q, bias, x = q[:, :, -1:], bias[:, :, -1:], x.view(count, width, -1)[:, -1]
            group, length = self.heads // self.kv, q.shape[2]
            seen = attention(
                q.reshape(count, self.kv, group * length, self.size),
                k,
                v,
                attn_mask=bias.repeat(1, 1, group, 1),
                scale=self.scale,
            )
            seen = seen.view(count, self.heads, length, self.size).transpose(1, 2)
            x = self._finish(layer, x, seen.reshape(len(x), -1))
        logits = self._logits(x)
        return logits[owner] if shared else logits

    def step(self, tokens: Tensor) -> Tensor:
        """Append one token to every row. Returns the logits after it, (rows, vocabulary)."""
        rows, column = self.rows, self.used
        self.used += 1
        turns = self.turns[self.positions[:rows]]
        self.positions[:rows] += 1
        group = self.heads // self.kv
        bias = self.bias[:rows, :, :, : self.used].expand(-1, -1, group, -1)
        x = self.embedding[tokens]
        for layer, cache in zip(self.layers, self.cache[:, :rows], strict=True):
            qkv = self._project(layer, x, turns)
            cache[:, :, column] = qkv[:, self.heads :]
            q = qkv[:, : self.heads].unflatten(1, (self.kv, group))
            k, v = cache[:, :, : self.used].split(self.kv, dim=1)
            seen = attention(q, k, v, attn_mask=bias, scale=self.scale)
            x = self._finish(layer, x, seen.reshape(rows, -1))
        return self._logits(x)

    def keep(self, rows: Sequence[int]) -> None:
        """Row i becomes what row `rows[i]` was; rows that stay in place are not copied, and none may be copied after it was replaced."""
        self.rows = len(rows)
        for new, old in enumerate(rows):
            if new != old:
                self.cache[:, new, :, : self.used] = self.cache[:, old, :, : self.used]
                self.bias[new] = self.bias[old]
                self.positions[new] = self.positions[old]

    def _project(self, layer: Layer, x: Tensor, turns: Tensor) -> Tensor:
        """Queries and keys, turned by their positions, and values: (tokens, heads + 2 kv, size)."""
        qkv = linear(self._rms(x, layer.before_attention), *layer.qkv).view(len(x), -1, self.size)
        if layer.qk_norm is not None:
            both = self.heads + self.kv
            qkv[:, :both] = self._rms(qkv[:, :both], layer.qk_norm)
        turned = torch.view_as_complex(qkv.unflatten(2, (-1, 2))) * turns
        return torch.view_as_real(turned).flatten(2).to(self.dtype)

    def _finish(self, layer: Layer, x: Tensor, seen: Tensor) -> Tensor:
        """The rest of a layer: x (tokens, width), what attention saw (tokens, heads * size) -> (tokens, width)."""
        x = layer.out(seen.float()).add_(x)
        h = self._rms(x, layer.before_mlp)
        if layer.gate_up is None:
            gate, up = layer.gate(h), layer.up(h)
        else:
            gate, up = linear(h, *layer.gate_up).chunk(2, dim=1)
        result: Tensor = layer.down(layer.activation(gate).mul_(up)).add_(x)
        return result

    def _logits(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self._rms(x, self.norm))
        return logits

    def _rms(self, x: Tensor, weight: Tensor) -> Tensor:
        scale = torch.add(self.eps, torch.linalg.vecdot(x, x), alpha=1 / x.shape[-1]).rsqrt_()
        return (x * scale[..., None]).mul_(weight)


def chunks(prompts: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Ranges of prompts, in order of length, of about CHUNK tokens each (equal neighbours count once and stay together)."""
    result, first, count = [], 0, 0
    for i, prompt in enumerate(prompts):
        if i == first or prompt != prompts[i - 1]:
            if i > first and (count + 1) * len(prompt) > CHUNK:
                result.append((first, i))
                first, count = i, 0
            count += 1
    return [*result, (first, len(prompts))]
