"""How fast stages are trained: ours and TRL's SFTTrainer as it comes, on the same documents, on one core, in the same run.

    python benchmarks/train.py [--model smollm2] [--batches 3] [--repeats 3]

Documents of the default recipe's first stage, sized for the model, in batches of 16: of a window that `sft` would sort by length, every
so many-th batch. Each way trains on all of them from the same weights; the ways take turns, once unmeasured, then `--repeats` times.
Seconds are CPU seconds from the beginning of a step to its end, so that other programs on the machine count less; medians are printed.
Tokens are those that count: without padding.

    stock     SFTConfig's defaults: bfloat16 autocast, gradient checkpointing, documents at random
    chosen    the same without checkpointing, grouped by length: what its own settings can do about it
    ours      as the recipe trains
    packed, bf16    the same with one key of the stage changed (bf16: the other way than the CPU decides)

A step's work is six operations for each token and weight of the body, and for each completion token and weight of the head, whatever was really
computed; it is held against a product of large square matrices in the same run, with the factors that the way multiplies.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from statistics import median
from typing import Any

import torch
import transformers.trainer
from datasets import Dataset
from transformers import TrainerCallback
from trl import SFTConfig, SFTTrainer

from pbb.documents.corpus import stage_documents
from pbb.documents.render import templates
from pbb.models.load import autocast_pays, encode_pairs, load, read_tokenizer
from pbb.models.place import folder
from pbb.recipe_file import load as recipe
from pbb.training.sft import WINDOW, Settings, Tokens, batches, sft

BATCH = 16
SIDE = 1536
OURS: dict[str, dict[str, Any]] = {
    "ours": {"bf16": autocast_pays()},
    "packed": {"bf16": autocast_pays(), "packing": True},
    "bf16": {"bf16": not autocast_pays()},
}
THEIRS: dict[str, dict[str, Any]] = {
    "stock": {},
    "chosen": {"gradient_checkpointing": False, "train_sampling_strategy": "group_by_length"},
}


class Clock(TrainerCallback):
    """CPU seconds of all optimizer steps together."""

    def __init__(self) -> None:
        self.seconds = self.last = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self.last = time.process_time()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.seconds += time.process_time() - self.last


def documents(model: str, count: int) -> list[Tokens]:
    """So many batches, of lengths like those of all batches of a window."""
    sized = recipe("arithmetic", model=model)
    programs = sized.data.programs(0, sized.asked(), lambda done, total, what: None)
    phrasings = templates(sized.data.templates).cut(**sized.templates.model_dump())
    drawn = stage_documents(programs, sized.mix("learn"), phrasings, stage="learn", seed=0)
    tokenizer = read_tokenizer(model, str(folder(model)))
    few = drawn[: WINDOW * BATCH]
    pairs = encode_pairs(tokenizer, [d.prompt for d in few], [d.completion for d in few])
    lengths = [len(p) + len(c) for p, c in pairs]
    order = batches(lengths, BATCH, 0)
    held = sorted(
        (order[i : i + BATCH] for i in range(0, len(order), BATCH)), key=lambda b: max(lengths[i] for i in b)
    )
    return [pairs[i] for k in range(count) for i in held[(2 * k + 1) * WINDOW // (2 * count)]]


def ours(model: str, given: Sequence[Tokens], settings: dict[str, Any], out: Path) -> None:
    loaded, tokenizer = load(model)
    stage = recipe("arithmetic", model=model).stages["learn"]
    chosen = Settings(
        batch_size=BATCH, learning_rate=1e-5, optimizer=stage.optimizer, checkpoint_seconds=1e9, **settings
    )
    sft(loaded, tokenizer, given, chosen, out, lambda done, total, note: None)


def theirs(model: str, given: Sequence[Tokens], settings: dict[str, Any], out: Path) -> None:
    torch.set_float32_matmul_precision("highest")  # torch's default, which our `load` changes
    data = Dataset.from_dict(
        {"input_ids": [p + c for p, c in given], "labels": [[-100] * len(p) + c for p, c in given]}
    )
    config = SFTConfig(
        output_dir=str(out),
        per_device_train_batch_size=BATCH,
        num_train_epochs=1,
        learning_rate=1e-5,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
        dataset_kwargs={"skip_prepare_dataset": True},
        **settings,
    )
    name = str(folder(model))
    SFTTrainer(name, config, train_dataset=data, processing_class=read_tokenizer(model, name)).train()


def products() -> dict[bool, float]:
    """Operations a second of a product of large matrices: with bfloat16 factors, and of float32 as `load` has it done."""
    torch.set_float32_matmul_precision("medium")
    found = {}
    for half in (False, True):
        a = torch.randn(SIDE, SIDE, dtype=torch.bfloat16 if half else torch.float32)
        taken = []
        for _ in range(9):
            started = time.process_time()
            a @ a
            taken.append(time.process_time() - started)
        found[half] = 2 * SIDE**3 / median(taken[1:])
    return found


def main() -> None:
    """Prints a line for each way."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--batches", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    clock = Clock()
    everywhere: list[Any] = transformers.trainer.DEFAULT_CALLBACKS
    everywhere.append(clock)
    given = documents(asked.model, asked.batches)
    read, learned = sum(len(p) + len(c) for p, c in given), sum(len(c) for _, c in given)
    model, _ = load(asked.model)
    head = model.get_output_embeddings().weight.numel()
    body = sum(p.numel() for p in model.parameters()) - head
    del model
    work = 6 * (body * read + head * learned)
    ways: dict[str, tuple[Callable[..., None], dict[str, Any]]] = {
        **{name: (theirs, settings) for name, settings in THEIRS.items()},
        **{name: (ours, settings) for name, settings in OURS.items()},
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    bounds: list[dict[bool, float]] = []
    for turn in range(asked.repeats + 1):
        bounds.append(products())
        for name, (train, settings) in ways.items():
            clock.seconds = 0.0
            # Trainer prints its logs
            with tempfile.TemporaryDirectory() as place, redirect_stdout(StringIO()):
                train(asked.model, given, settings, Path(place))
            gc.collect()
            if turn:
                taken[name].append(clock.seconds)
            print(f"turn {turn}: {name} {clock.seconds:.1f} s", flush=True)
    print(f"{asked.model}: {len(given)} documents, {read} tokens, {learned} of them completions")
    for name, seconds in taken.items():
        half = ways[name][1].get("bf16", True)  # SFTConfig's default
        bound = median(b[half] for b in bounds)
        ratio = median(s / t for s, t in zip(taken["stock"], seconds, strict=True))
        rate = work / median(seconds)
        print(
            f"{name}: {read / median(seconds):.0f} tokens/s, {learned / median(seconds):.0f} of completions; {ratio:.2f} x stock; "
            f"{rate / 1e9:.0f} of {bound / 1e9:.0f} GFLOP/s, {rate / bound:.0%} of {'bfloat16' if half else 'float32 (medium)'} products",
            flush=True,
        )


if __name__ == "__main__":
    main()
