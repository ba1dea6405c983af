"""Decoding by vLLM, on a GPU: what `pbb.models.decode` does, by an engine that is made for large models.

Contract: the answers are those of the model in bfloat16, so they may differ from those of `decode`, which takes the model as it is loaded;
what is sampled depends on the seed and on a prompt's place, not on what it runs beside. Not checked yet: there was no GPU at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from multiprocessing.util import Finalize
from typing import Any

import torch

from pbb.errors import PbbError

GROUP = 2_048
"""Prompts that are handed over together; progress is told between groups."""


def require(key: str) -> None:
    """PbbError where vLLM, which the recipe's `key` asks for, is not installed, or there is no GPU."""
    if not find_spec("vllm") or not torch.cuda.is_available():
        raise PbbError(
            f"{key} needs a CUDA GPU and vLLM: leave it out, or `pip install 'pbb[gpu]'` on a machine with a GPU"
        )


class Vllm:
    """A model folder in vLLM's engine, which takes the memory of the GPU for itself as long as this lives; see `require`.

    It reads as long a text as the memory has room for, the model's positions at most.
    """

    def __init__(self, folder: str) -> None:
        require("evaluation.vllm")
        from vllm import LLM

        self.engine: Any = LLM(model=folder, dtype="bfloat16", max_model_len=-1, skip_tokenizer_init=True)
        # The engine runs in a child. A step's process waits at its end for its children, and comes to no atexit, by which vLLM ends them.
        Finalize(self, self.engine.llm_engine.engine_core.shutdown, exitpriority=0)

    def write(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        end: int,
        limits: Sequence[int],
        temperature: float,
        seed: int,
        report: Callable[[int, int], None],
    ) -> list[tuple[list[int], bool]]:
        """For every prompt the tokens written, without the end token, and whether that came; at most `limits`, it included."""
        from vllm import SamplingParams

        report(0, len(prompts))
        written: list[tuple[list[int], bool]] = []
        for first in range(0, len(prompts), GROUP):
            rows = range(first, min(first + GROUP, len(prompts)))
            found = self.engine.generate(
                [{"prompt_token_ids": list(prompts[row])} for row in rows],
                [
                    SamplingParams(
                        temperature=temperature,
                        seed=seed * len(prompts) + row if temperature > 0 else None,
                        max_tokens=limits[row],
                        stop_token_ids=[end],
                        detokenize=False,
                    )
                    for row in rows
                ],
                use_tqdm=False,
            )
            for request in found:
                tokens = list(request.outputs[0].token_ids)
                finished = bool(tokens) and tokens[-1] == end
                written.append((tokens[:-1] if finished else tokens, finished))
            report(rows[-1] + 1, len(prompts))
        return written
