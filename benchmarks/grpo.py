"""How long a step of GRPO takes: ours and TRL's GRPOTrainer as it comes, with equal settings, on one core, in the same run.

    python benchmarks/grpo.py [--steps 2] [--prompts 8] [--group 8] [--repeats 5] [--length 2 3]

A group that is all right or all wrong teaches nothing, and ours leaves it out, so that the ratio depends on how many there are: `--length`, the
statements of the programs, says how hard they are.

Both begin with the embedded base, put the same calls of fresh programs with the source in the prompt (which it answers, so that groups vary), draw as
many rollouts of at most as many tokens at the same temperature, and verify them by the same reward. They take turns: every repeat trains ours and
then theirs for so many steps, from the base, after a first one that is left out. What is printed is the median over repeats, of CPU seconds a step
and of their ratio.
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

from pbb.documents.render import Document, execution, templates
from pbb.models.decode import decode
from pbb.models.load import encode, load
from pbb.programs.arithmetic import Dials
from pbb.programs.random_arithmetic import random_arithmetic
from pbb.reward import rewards
from pbb.training.grpo import grpo
from pbb.training.loop import Settings, arguments
from pbb.training.rollouts import Grpo

SETTINGS = Settings(learning_rate=1e-5, warmup=0)


class Clock(TrainerCallback):
    """CPU seconds of every optimizer step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.last = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self.last = time.process_time()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.seconds.append(time.process_time() - self.last)


def ours(documents: list[Document], dials: Grpo) -> float:
    """CPU seconds of one of our steps."""
    model, tokenizer = load("base")
    prompts = encode(tokenizer, [d.prompt for d in documents])
    stamps: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        grpo(
            model,
            tokenizer,
            prompts,
            decode,
            rewards(documents, 0.0),
            SETTINGS,
            dials,
            Path(folder),
            lambda *_: stamps.append(time.process_time()),
        )
    return median(b - a for a, b in zip(stamps, stamps[1:], strict=False))


def stock(documents: list[Document], dials: Grpo) -> float:
    """CPU seconds of one of TRL's."""
    model, tokenizer = load("base")
    steps = len(documents) // dials.prompts_per_step
    reward = rewards(documents, 0.0)
    clock = Clock()

    def rewarded(completions: list[Any], index: list[int], **_: Any) -> list[float | None]:
        return [r.value for r in reward(index, [c[0]["content"] for c in completions])]

    with tempfile.TemporaryDirectory() as folder:
        config = GRPOConfig(
            **arguments(SETTINGS, Path(folder), steps),
            max_steps=steps,
            logging_steps=1,
            shuffle_dataset=False,
            per_device_train_batch_size=dials.prompts_per_step * dials.group_size,
            num_generations=dials.group_size,
            gradient_accumulation_steps=1,
            max_completion_length=dials.max_tokens,
            temperature=dials.temperature,
            beta=0.0,
            loss_type="dapo",
            disable_dropout=True,
        )
        trainer = GRPOTrainer(
            model=model,
            processing_class=tokenizer,
            reward_funcs=rewarded,
            args=config,
            train_dataset=Dataset.from_dict(
                {
                    "prompt": [[{"role": "user", "content": d.prompt}] for d in documents],
                    "index": list(range(len(documents))),
                }
            ),
            callbacks=[clock],
        )
        trainer.train()
    return median(clock.seconds[1:])


def main() -> None:
    """Prints one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--length", type=int, nargs=2, default=(2, 3))
    given = parser.parse_args()
    torch.set_num_threads(1)
    count = given.prompts * (given.steps + 1)
    settings = Dials(length=tuple(given.length), input_range=(0, 29), bound=99, constants=(1, 9))
    programs = random_arithmetic(
        seed=1, io=count, source_only=0, dials=settings, train_inputs=1, test_inputs=1
    )
    phrasings, rng = templates("arithmetic"), random.Random(0)
    documents = [
        execution(p, p.calls("train")[0], "trace", phrasings, rng, context="source") for p in programs
    ]
    dials = Grpo(group_size=given.group, prompts_per_step=given.prompts, temperature=1.0, max_tokens=96)
    times = [(ours(documents, dials), stock(documents, dials)) for _ in range(given.repeats)]
    mine, theirs = (median(column) for column in zip(*times, strict=True))
    print(
        f"{given.prompts} x {given.group} rollouts a step, {given.repeats} x {given.steps} steps: ours {mine:.2f} s, "
        f"TRL as it comes {theirs:.2f} s: {median(t / m for m, t in times):.1f} times as fast"
    )


if __name__ == "__main__":
    main()
