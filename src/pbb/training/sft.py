"""Supervised finetuning on (prompt, completion) token pairs: TRL's SFTTrainer, with what must be exact made so.

Contract: the same sequences in the same order, the same settings and the same model folder give the same checkpoint, whether the run
was killed on the way or not. The order of the data is decided before training (`batches`): shuffled by seed, then batched by
length within windows, since padding is what a CPU pays for. The loss falls on completions only.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from datasets import Dataset
from pydantic import BaseModel, ConfigDict, Field
from torch.utils.data import SequentialSampler
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from trl import SFTConfig, SFTTrainer

from pbb.errors import PbbError
from pbb.training.checkpoint import newest, replace, seal, sync
from pbb.training.muon import MuonWithAdamW

Report = Callable[[float, float, str], None]
Tokens = tuple[list[int], list[int]]
"""A document as tokens: (prompt with the chat's markers, completion with its end token)."""

WINDOW = 32
ROWS = 64


class Settings(BaseModel):
    """How a stage is trained. `learning_rate` is reached after `warmup` steps and then decays to `final` times itself."""

    model_config = ConfigDict(extra="forbid")
    batch_size: int = Field(16, gt=0)
    learning_rate: float = Field(1e-3, gt=0)
    warmup: int = Field(50, ge=0)
    decay: float = Field(
        0.3, ge=0, le=1, description="share of the steps over which the rate falls at the end"
    )
    weight_decay: float = Field(0.01, ge=0)
    beta2: float = Field(0.98, gt=0, lt=1)
    clip: float = Field(1.0, gt=0)
    optimizer: Literal["adamw", "muon"] = "adamw"
    seed: int = 0
    checkpoint_seconds: float = Field(30.0, gt=0)


def batches(lengths: Sequence[int], batch_size: int, seed: int) -> list[int]:
    """An order of the documents in which each batch holds documents of similar length.

    Shuffled by seed; within windows of `WINDOW` batches sorted by length; then the batches of a window shuffled. No document
    moves by more than a window, so mixtures stay mixed.
    """
    rng = random.Random(f"batches:{seed}")
    order = list(range(len(lengths)))
    rng.shuffle(order)
    result: list[int] = []
    for start in range(0, len(order), WINDOW * batch_size):
        window = sorted(order[start : start + WINDOW * batch_size], key=lambda i: (lengths[i], i))
        chunks = [window[i : i + batch_size] for i in range(0, len(window), batch_size)]
        tail = [chunks.pop()] if len(chunks[-1]) < batch_size else []
        rng.shuffle(chunks)
        result += [i for chunk in chunks + tail for i in chunk]
    return result


class _Lean(SFTTrainer):
    """SFTTrainer that reads its data in file order and computes the head on completion tokens only.

    The order is already decided, and resuming must find it again. The stock loss also takes logits of every prompt token and their
    entropy: on two cores a third of a small model's step (docs/lab-notes.md).
    """

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        data: Any = self.train_dataset if train_dataset is None else train_dataset
        return SequentialSampler(data)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Mean negative log-likelihood over the completion tokens of the batch."""
        labels = inputs["labels"][:, 1:].reshape(-1)
        wanted = (labels != -100).nonzero()[:, 0]
        # A row count that changes with every batch makes oneDNN compile and keep a new kernel for each.
        rows = torch.nn.functional.pad(wanted, (0, -len(wanted) % ROWS))
        labels = torch.nn.functional.pad(labels[wanted], (0, -len(wanted) % ROWS), value=-100)
        hidden = model.base_model(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False
        ).last_hidden_state[:, :-1]
        logits = model.get_output_embeddings()(hidden.flatten(0, 1)[rows])
        loss = torch.nn.functional.cross_entropy(logits.float(), labels, reduction="sum")
        return loss / (num_items_in_batch if num_items_in_batch is not None else len(wanted))


class _Journal(TrainerCallback):
    """Writes metrics.jsonl, reports progress, and asks for a checkpoint when enough seconds have passed."""

    def __init__(self, out: Path, report: Report, every: float, tokens: Sequence[int]) -> None:
        self.out, self.report, self.every, self.tokens = out, report, every, tokens
        self.saved = self.started = time.monotonic()
        self.before = 0.0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.saved = self.started = time.monotonic()
        rows = _kept(self.out / "metrics.jsonl", state.global_step)
        self.before = float(rows[-1]["seconds"]) if rows else 0.0

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        # Only where a row of the metrics ends: the mean of a row must not span a checkpoint.
        between = state.global_step % args.logging_steps
        if time.monotonic() - self.saved > self.every and state.global_step < state.max_steps and not between:
            control.should_save = True

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        sync(self.out / "metrics.jsonl")  # a row that the checkpoint is past will not be written again
        seal(Path(str(args.output_dir)) / f"checkpoint-{state.global_step}")
        self.saved = time.monotonic()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Any = None,
        **_: Any,
    ) -> None:
        if not logs or "loss" not in logs:
            return
        step = state.global_step
        row = {
            "step": step,
            "steps": state.max_steps,
            "loss": logs["loss"],
            "grad_norm": logs.get("grad_norm"),
            "learning_rate": logs.get("learning_rate"),
            "tokens": self.tokens[min(step, len(self.tokens) - 1)],
            "seconds": round(self.before + time.monotonic() - self.started, 3),
        }
        with (self.out / "metrics.jsonl").open("a", encoding="utf-8") as f:
            f.write(json.dumps(row) + "\n")
        self.report(step, state.max_steps, f"loss {logs['loss']:.3f}")


def _kept(path: Path, step: int) -> list[dict[str, Any]]:
    """Cut metrics.jsonl back to the steps up to `step`: what came after the checkpoint is about to be trained again."""
    rows: list[dict[str, Any]] = []
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if row["step"] <= step:
                rows.append(row)
        replace(path, "".join(json.dumps(r) + "\n" for r in rows))
    return rows


def sft(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    documents: Sequence[Tokens],
    settings: Settings,
    out: Path,
    report: Report,
) -> dict[str, float]:
    """Train on every document once, in the order of `batches`, and save model and tokenizer to `out/model`.

    Continues from the newest whole checkpoint in `out/checkpoints`. Returns tokens (with prompts, without padding), optimizer steps,
    final loss, seconds of this process, and peak_bytes of resident memory.

    Raises:
        PbbError: there is nothing to train on, or the loss is no longer a number.
    """
    if not documents:
        raise PbbError("training: the stage has no documents: give its mix at least one share")
    order = batches([len(p) + len(c) for p, c in documents], settings.batch_size, settings.seed)
    rows = [documents[i] for i in order]
    data = Dataset.from_dict(
        {"input_ids": [p + c for p, c in rows], "labels": [[-100] * len(p) + c for p, c in rows]}
    )
    steps = -(-len(rows) // settings.batch_size)
    count, tokens = 0, [0]
    for start in range(0, len(rows), settings.batch_size):
        count += sum(len(p) + len(c) for p, c in rows[start : start + settings.batch_size])
        tokens.append(count)
    warmup = min(settings.warmup, steps // 2)
    config = SFTConfig(
        output_dir=str(out / "checkpoints"),
        per_device_train_batch_size=settings.batch_size,
        num_train_epochs=1,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="warmup_stable_decay",
        warmup_steps=warmup,
        lr_scheduler_kwargs={
            "num_decay_steps": min(steps - warmup, round(settings.decay * steps)),
            "decay_type": "linear",
            "min_lr_ratio": 0.02,
        },
        weight_decay=settings.weight_decay,
        adam_beta2=settings.beta2,
        max_grad_norm=settings.clip,
        optim="adamw_torch_fused",
        seed=settings.seed,
        bf16=False,
        fp16=False,
        gradient_checkpointing=False,
        packing=False,
        padding_free=False,
        max_length=None,
        pad_to_multiple_of=8,
        completion_only_loss=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        logging_strategy="steps",
        logging_steps=max(1, min(25, steps // 20)),
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
        use_cpu=not torch.cuda.is_available(),
    )
    journal = _Journal(out, report, settings.checkpoint_seconds, tokens)
    optimizer = None
    if settings.optimizer == "muon":
        optimizer = MuonWithAdamW(
            model, lr=settings.learning_rate, betas=(0.9, settings.beta2), weight_decay=settings.weight_decay
        )
    trainer = _Lean(
        model=model,
        args=config,
        train_dataset=data,
        processing_class=tokenizer,
        callbacks=[journal],
        optimizers=(optimizer, None),
    )
    started = time.monotonic()
    checkpoint = newest(out / "checkpoints")
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    losses = [h["loss"] for h in trainer.state.log_history if "loss" in h]
    if not losses or losses[-1] != losses[-1]:
        raise PbbError(
            f"training: the loss is not a number after {trainer.state.global_step} steps: lower learning_rate"
        )
    save(model, tokenizer, out / "model")
    shutil.rmtree(out / "checkpoints", ignore_errors=True)
    return {
        "tokens": count,
        "optimizer_steps": steps,
        "loss": losses[-1],
        "seconds": time.monotonic() - started,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a Hugging Face folder under a temporary name and rename it, so that a reader, or a power cut, sees all of it or nothing."""
    temporary = folder.with_name(folder.name + ".partial")
    shutil.rmtree(temporary, ignore_errors=True)
    model.save_pretrained(temporary)
    tokenizer.save_pretrained(temporary)
    for path in temporary.iterdir():
        sync(path)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(temporary, folder)
    sync(folder.parent)
