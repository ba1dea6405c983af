"""How long a step of GRPO takes: ours and TRL's GRPOTrainer as it comes, with equal settings, on one core, in the same run.

    python benchmarks/grpo.py [--steps 5] [--prompts 8] [--group 8]

Both begin with the embedded base, put the same calls of fresh programs with the source in the prompt (which it answers, so that groups vary), draw as
many rollouts of at most as many tokens at the same temperature, and verify them by the same reward. They take turns, step by step in blocks; what is
printed is the median of seconds a step, the first left out.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from datasets import Dataset
from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from pbb.documents.render import execution, templates
from pbb.models.decode import decode
from pbb.models.load import encode, load
from pbb.programs.arithmetic import Dials
from pbb.programs.random_arithmetic import random_arithmetic
from pbb.reward import rewards
from pbb.training.grpo import grpo
from pbb.training.loop import Settings, arguments
from pbb.training.rollouts import Grpo


class Clock(TrainerCallback):
    """CPU seconds of every optimizer step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.last = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self.last = time.process_time()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.seconds.append(time.process_time() - self.last)


def main() -> None:
    """Prints one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--group", type=int, default=8)
    given = parser.parse_args()
    torch.set_num_threads(1)
    steps = given.steps + 1
    count = given.prompts * steps
    dials = Dials(length=(2, 3), input_range=(0, 29), bound=99, constants=(1, 9))
    programs = random_arithmetic(seed=1, io=count, source_only=0, dials=dials, train_inputs=1, test_inputs=1)
    phrasings = templates("arithmetic")

    rng = random.Random(0)
    documents = [
        execution(p, p.calls("train")[0], "trace", phrasings, rng, context="source") for p in programs
    ]
    asked = Grpo(group_size=given.group, prompts_per_step=given.prompts, temperature=1.0, max_tokens=96)
    settings = Settings(learning_rate=1e-5, warmup=0)
    reward = rewards(documents, 0.0)
    times: dict[str, list[float]] = {}

    with tempfile.TemporaryDirectory() as folder:
        model, tokenizer = load("base")
        stamps = [time.process_time()]
        grpo(
            model,
            tokenizer,
            encode(tokenizer, [d.prompt for d in documents]),
            decode,
            reward,
            settings,
            asked,
            Path(folder),
            lambda *_: stamps.append(time.process_time()),
        )
        times["ours"] = [b - a for a, b in zip(stamps[1:], stamps[2:], strict=False)]

        model, tokenizer = load("base")
        config = GRPOConfig(
            **{**arguments(settings, Path(folder), steps), "optim": "adamw_torch_fused"},
            max_steps=steps,
            logging_steps=1,
            shuffle_dataset=False,
            per_device_train_batch_size=given.prompts * given.group,
            num_generations=given.group,
            gradient_accumulation_steps=1,
            max_completion_length=asked.max_tokens,
            temperature=asked.temperature,
            beta=0.0,
            loss_type="dapo",
            disable_dropout=True,
        )
        clock = Clock()

        def rewarded(completions: list[Any], index: list[int], **_: Any) -> list[float | None]:
            return [r.value for r in reward(index, [c[0]["content"] for c in completions])]

        trainer = GRPOTrainer(
            model=model,
            processing_class=tokenizer,
            reward_funcs=rewarded,
            args=config,
            train_dataset=Dataset.from_dict(
                {
                    "prompt": [[{"role": "user", "content": d.prompt}] for d in documents],
                    "index": list(range(count)),
                }
            ),
            callbacks=[clock],
        )
        trainer.train()
        times["stock"] = clock.seconds[1:]
    ours, stock = median(times["ours"]), median(times["stock"])
    print(
        f"{given.prompts} x {given.group} rollouts a step, {given.steps} steps: ours {ours:.2f} s, "
        f"TRL as it comes {stock:.2f} s: {stock / ours:.1f} times as fast"
    )


if __name__ == "__main__":
    main()
