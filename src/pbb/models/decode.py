"""Batched decoding: token sequences in, token sequences out; knows nothing of text or programs.

Prompts are grouped by limit and length, padded on the left, and advanced together; rows that have ended leave the batch, so that a few
long answers do not pay for many short ones. Llama- and Qwen-shaped models run on their bare weights (`pbb.models.direct`), every other
model through its own `forward` (`pbb.models.plain`). Greedy tokens equal `generate()`'s.

A sampled token is the inverse of the cumulative distribution at a uniform number, and row i draws its numbers from a counter-based stream
keyed by (seed, i): what a row samples depends on the seed and on its place among the prompts, not on the batch that it was run in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from pbb.errors import PbbError
from pbb.models.direct import Direct, supports
from pbb.models.plain import Plain
from pbb.models.vllm import Vllm

# Ended rows leave when they are more than this share of the batch: for each of them one row of the cache is copied at most.
COMPACT = 0.05


@dataclass(frozen=True)
class Generation:
    """The tokens written after a prompt, without the end token; `finished` says whether the end token came.

    `logprobs`, if asked for: of every token, then of the end token if it came, under the distribution that they were drawn from, which is
    that of logits / temperature (as TRL's GRPO reckons them), or of the logits where decoding is greedy.
    """

    tokens: list[int]
    finished: bool
    logprobs: list[float] = field(default_factory=list)


@torch.inference_mode()
def decode(
    model: PreTrainedModel | Vllm,
    prompts: Sequence[Sequence[int]],
    *,
    end: int,
    pad: int,
    limits: Sequence[int],
    batch_size: int = 256,
    temperature: float = 0.0,
    seed: int = 0,
    logprobs: bool = False,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> list[Generation]:
    """Continue every prompt by at most its limit of tokens: greedily, or sampled where `temperature` > 0.

    Args:
        prompts: token sequences, none empty. Equal ones in a batch are read once: many samples of a prompt cost one reading.
        end, pad: the ids of the end and padding tokens.
        limits: the most new tokens for each prompt, among them the end token.
        batch_size: the most rows at a time.
        logprobs: whether to return them.
        report: called at the start and after every batch with (work done, work in all), in tokens read and, at most, written: rows
            are taken in order of their limits, so those that are done say little of those that are left.

    Raises:
        PbbError: a model that is not computed by `Direct` has too few positions.
    """
    if isinstance(model, Vllm):  # which batches by itself, and is asked for no log-probabilities
        rows = model.write(prompts, end=end, limits=limits, temperature=temperature, seed=seed, report=report)
        return [Generation(tokens, finished) for tokens, finished in rows]
    results = [Generation([], False) for _ in prompts]
    order = sorted(
        (i for i, limit in enumerate(limits) if limit > 0), key=lambda i: (limits[i], len(prompts[i]))
    )
    batches = [
        sorted(order[first : first + batch_size], key=lambda i: (len(prompts[i]), tuple(prompts[i])))
        for first in range(0, len(order), batch_size)
    ]
    training = model.training
    model.eval()
    try:
        runner: Direct | Plain = Plain(model, pad)
        columns = max((len(prompts[b[-1]]) + max(limits[i] for i in b) for b in batches), default=0)
        room = getattr(model.config, "max_position_embeddings", None)
        if batches and supports(model):
            runner = Direct(model, len(batches[0]), columns)
        elif room and columns > room:
            raise PbbError(
                f"decoding: a prompt and its answer may have {columns} tokens and the model reads {room}: shorten them, or take another model"
            )
        work = {i: len(prompts[i]) + limits[i] for i in order}
        done, total = 0, sum(work.values())
        if order:
            report(0, total)
        for batch in batches:
            draws = uniforms(seed, batch, max(limits[i] for i in batch)) if temperature > 0 else None
            choose = Choice(temperature, draws, logprobs)
            written = _batch(runner, [prompts[i] for i in batch], [limits[i] for i in batch], end, choose)
            for i, generation in zip(batch, written, strict=True):
                results[i] = generation
            done += sum(work[i] for i in batch)
            report(done, total)
    finally:
        model.train(training)
    return results


def uniforms(seed: int, rows: Sequence[int], steps: int) -> Tensor:
    """The first `steps` numbers, in [0, 1), of the stream of every row: (rows, steps). A longer stream begins with the shorter."""
    streams = [np.random.Generator(np.random.Philox(key=[seed, row])).random(steps) for row in rows]
    return torch.from_numpy(np.stack(streams))


@dataclass(frozen=True)
class Choice:
    """The next token of every row: the likeliest, or that at the row's uniform number of this step (`draws`: rows, steps)."""

    temperature: float
    draws: Tensor | None
    logprobs: bool

    def __call__(self, logits: Tensor, rows: Sequence[int], step: int) -> tuple[Tensor, list[float]]:
        """Tokens, (rows,), and their log-probabilities if they are wanted; `rows` says which of `draws` the logits belong to."""
        if self.draws is None:
            # numpy's is ten times as fast as torch's on a CPU
            tokens = torch.from_numpy(logits.numpy().argmax(-1)) if logits.is_cpu else logits.argmax(-1)
        else:
            logits = logits / self.temperature
            below = logits.softmax(-1).double().cumsum(-1)
            at = self.draws[torch.tensor(rows), step, None].to(logits.device) * below[:, -1:]
            tokens = torch.searchsorted(below, at, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)
        if not self.logprobs:
            return tokens, []
        chosen = logits.gather(1, tokens[:, None])[:, 0] - logits.logsumexp(-1)
        return tokens, chosen.tolist()


def _batch(
    runner: Direct | Plain,
    prompts: Sequence[Sequence[int]],
    limits: Sequence[int],
    end: int,
    choose: Choice,
) -> list[Generation]:
    """Prompts in order of length to their generations."""
    written: list[list[int]] = [[] for _ in prompts]
    scored: list[list[float]] = [[] for _ in prompts]
    finished = [False] * len(prompts)
    rows = list(range(len(prompts)))  # which prompt each row of the batch belongs to
    running = set(rows)
    logits = runner.start(prompts)
    for step in count():
        tokens, logprobs = choose(logits, rows, step)
        for row, (i, token) in enumerate(zip(rows, tokens.tolist(), strict=True)):
            if i not in running:
                continue
            if logprobs:
                scored[i].append(logprobs[row])
            finished[i] = token == end
            if not finished[i]:
                written[i].append(token)
            if finished[i] or step + 1 == limits[i]:
                running.remove(i)
        if not running:
            break
        if len(rows) - len(running) > COMPACT * len(rows):
            keep = packed([i in running for i in rows])
            runner.keep(keep)
            rows, tokens = [rows[row] for row in keep], tokens[keep]
        logits = runner.step(tokens)
    return [Generation(*row) for row in zip(written, finished, scored, strict=True)]


def packed(stays: Sequence[bool]) -> list[int]:
    """The rows that stay, each in its place if that is among the first; the others, from the end, fill the gaps."""
    left = sum(stays)
    movers = iter(row for row in range(left, len(stays)) if stays[row])
    return [row if stays[row] else next(movers) for row in range(left)]
