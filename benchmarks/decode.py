"""How fast the embedded base model answers: tokens a second of `decode` and of `generate()`, on one core, in the same run.

    python benchmarks/decode.py [--questions 512] [--repeats 5]

Real questions (fresh programs in context, answered step by step), each in both decoders' batches of 64 and of 256 rows; every repeat times both,
and what is printed is the median of CPU seconds. The bound is the time of the decoder's own matrix products, of the same shapes in the same
order, with nothing in between.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode
from transformers import PreTrainedModel

from pbb.documents.render import templates
from pbb.evaluation.ask import questions, token_limits
from pbb.models.decode import decode
from pbb.models.load import encode, load
from pbb.programs.arithmetic import Dials
from pbb.programs.random_arithmetic import random_arithmetic

CALLS = 4


class Products(TorchFunctionMode):
    """Writes down the inputs' rows and the weights of all linear maps."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, torch.Tensor]] = []

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is linear:
            self.seen.append((args[0].shape[:-1].numel(), args[1]))
        return function(*args, **(kwargs or {}))

    def run(self) -> None:
        """The same products on other numbers."""
        inputs = {(rows, w.shape[1]): torch.randn(rows, w.shape[1]) for rows, w in self.seen}
        for rows, weight in self.seen:
            linear(inputs[rows, weight.shape[1]], weight)


@torch.inference_mode()
def generate(
    model: PreTrainedModel, prompts: list[list[int]], end: int, pad: int, limit: int, rows: int
) -> list[list[int]]:
    """What `generate()` writes with its defaults, in batches of neighbours."""
    result = []
    for first in range(0, len(prompts), rows):
        batch = prompts[first : first + rows]
        width = max(len(p) for p in batch)
        ids = torch.tensor([[pad] * (width - len(p)) + p for p in batch])
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in batch])
        whole: Any = model.generate(  # type: ignore[operator]
            ids,
            attention_mask=mask,
            do_sample=False,
            max_new_tokens=limit,
            eos_token_id=end,
            pad_token_id=pad,
        )
        for row in whole[:, width:].tolist():
            result.append(row[: row.index(end)] if end in row else row)
    return result


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds, so that other programs on the machine count less."""
    started = time.process_time()
    work()
    return time.process_time() - started


def main() -> None:
    """Prints one line a batch size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    model, tokenizer = load("base")
    dials = Dials(length=(1, 3), input_range=(0, 29), bound=99, constants=(1, 9))
    programs = random_arithmetic(
        seed=1, io=given.questions // CALLS, source_only=0, dials=dials, train_inputs=1, test_inputs=CALLS
    )
    asked = questions(programs, ["in-context-trace"], ["test"], CALLS, templates("arithmetic"))
    prompts = sorted(encode(tokenizer, [q.prompt for q in asked]), key=len)
    limit = token_limits(tokenizer, asked)["in-context-trace"]
    end, pad = int(tokenizer.eos_token_id), int(tokenizer.pad_token_id)
    for rows in (64, 256):

        def ours(rows: int = rows) -> list[list[int]]:
            limits = [limit] * len(prompts)
            written = decode(model, prompts, end=end, pad=pad, limits=limits, batch_size=rows)
            return [g.tokens for g in written]

        def theirs(rows: int = rows) -> list[list[int]]:
            return generate(model, prompts, end, pad, limit, rows)

        with Products() as products:
            written = ours()
        tokens = sum(len(w) for w in written)
        differing = sum(a != b for a, b in zip(written, theirs(), strict=True))
        times = [
            (seconds(ours), seconds(theirs), seconds(torch.inference_mode()(products.run)))
            for _ in range(given.repeats)
        ]
        decoding, generating, bound = (median(column) for column in zip(*times, strict=True))
        print(
            f"batch {rows}: {len(prompts)} questions, {tokens} tokens, {differing} rows differ: "
            f"decode {tokens / decoding:.0f} tokens/s, generate() {tokens / generating:.0f} tokens/s, "
            f"ratio {median(g / d for d, g, _ in times):.2f}; matrix products alone {bound:.2f} s, {bound / decoding:.0%} of decode's time",
            flush=True,
        )


if __name__ == "__main__":
    main()
