"""What every way of training has in common: its settings, Trainer's arguments, the journal, and going on where a kill struck.

Contract: `train` ends with the same model, and the same rows in the journal's files, whether it was killed on the way or not, as long
as the trainer's data and its random choices depend on the step alone. Of several processes all call it, and the first one writes.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from peft import PeftModel
from pydantic import Field
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from pbb.errors import PbbError
from pbb.training.adapter import merged
from pbb.training.checkpoint import newest, replace, seal, sync
from pbb.training.dials import Training
from pbb.training.muon import MuonWithAdamW

Report = Callable[[float, float, str], None]
PROJECT = "pbb"
DEAR = 20
"""Seconds of training between two checkpoints for each that the last one took: full finetuning of a large model writes for minutes."""
REFERENCE = {"device_map": None}
"""How TRL loads a reference model: whole, and then where the policy is. By itself it would spread it over all GPUs that it sees."""
T = TypeVar("T")
C = TypeVar("C", bound=TrainingArguments)
Columns = Callable[[dict[str, Any], int], dict[str, Any]]
"""(what Trainer logged, step) -> what a row of metrics.jsonl says besides."""


class Settings(Training):
    """How a stage is trained here: its dials, and what no recipe says.

    newton_schulz: Muon's iterations, which cost a small model as much as its products do; five are usual, three teach as much (docs/lab-notes.md).
    bf16: products in bfloat16 over weights that stay float32. processes: how many share out each batch; fsdp: and the weights, their
    gradients and moments as well.
    """

    beta2: float = Field(0.98, gt=0, lt=1)
    clip: float = Field(1.0, gt=0)
    newton_schulz: int = Field(3, ge=1)
    bf16: bool = False
    processes: int = Field(1, ge=1)
    fsdp: bool = False
    seed: int = 0
    checkpoint_seconds: float = Field(30.0, gt=0)


def arguments(settings: Settings, out: Path, steps: int) -> dict[str, Any]:
    """Arguments that SFTConfig and GRPOConfig share, for `steps` optimizer steps; PbbError where a tracker is not installed."""
    for tracker in settings.report_to:
        if find_spec(tracker) is None:
            raise PbbError(
                f"training: report_to: {tracker} is not installed: pip install 'pbb[track]' (wandb: by itself)"
            )
    if "tensorboard" in settings.report_to:  # beside what it logs: checkpoints do not outlive the training
        os.environ.setdefault("TENSORBOARD_LOGGING_DIR", str(out / "tensorboard"))
    if "wandb" in settings.report_to:
        os.environ.setdefault("WANDB_PROJECT", PROJECT)
    warmup = min(settings.warmup, steps // 2)
    return {
        "output_dir": str(out / "checkpoints"),
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "warmup_stable_decay",
        "warmup_steps": warmup,
        "lr_scheduler_kwargs": {
            "num_decay_steps": min(steps - warmup, round(settings.decay * steps)),
            "decay_type": "linear",
            "min_lr_ratio": 0.02,
        },
        "weight_decay": settings.weight_decay,
        "adam_beta2": settings.beta2,
        "max_grad_norm": settings.clip,
        "optim": "adamw_torch_fused",
        "seed": settings.seed,
        # bf16 by `products`: accelerate would cast in the model's forward alone, which the losses here go round
        "bf16": False,
        "fp16": False,
        "gradient_checkpointing": settings.checkpointing,
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
        "pad_to_multiple_of": 8,
        "remove_unused_columns": False,
        "logging_strategy": "steps",
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "report_to": settings.report_to or "none",
        "project": PROJECT,
        "run_name": out.name,
        "disable_tqdm": True,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": False,
        "use_cpu": not torch.cuda.is_available(),
        "ddp_find_unused_parameters": False,
        "fsdp": settings.fsdp or None,
    }


def single(config: C) -> C:
    """The configuration with one GPU for this process, however many it sees; the other processes have theirs.

    For several Trainer takes nn.DataParallel, which TRL refuses, and which would make other batches.
    """
    config._n_gpu = min(config.n_gpu, 1)
    return config


def fits(tokens: int, model: PreTrainedModel, what: str) -> None:
    """PbbError where `what` so many tokens, and the model has positions for fewer."""
    room = getattr(model.config, "max_position_embeddings", None)
    if room and tokens > room:
        raise PbbError(
            f"training: {what} {tokens} tokens and the model reads {room}: shorten it, or take another model"
        )


def products(settings: Settings) -> torch.autocast:
    """Where matrix products take bfloat16 factors if the settings say so."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.autocast(device, dtype=torch.bfloat16, enabled=settings.bf16)


def optimizer(model: PreTrainedModel, settings: Settings) -> torch.optim.Optimizer | None:
    """The optimizer where it is not Trainer's own AdamW."""
    if settings.optimizer == "adamw":
        return None
    return MuonWithAdamW(
        model,
        lr=settings.learning_rate,
        betas=(0.9, settings.beta2),
        weight_decay=settings.weight_decay,
        newton_schulz=settings.newton_schulz,
    )


class Journal(TrainerCallback):
    """Writes metrics.jsonl, reports progress, and asks for a checkpoint when enough seconds have passed: `every`, or what DEAR says.

    columns: what a row says besides. span: checkpoints stand at its multiples only, so that nothing that belongs together (the
    mean of a row, the rollouts that several steps share) spans one. files: those with a "step" in every line, which are cut back
    to the checkpoint that training goes on from.
    """

    def __init__(
        self,
        out: Path,
        report: Report,
        every: float,
        columns: Columns,
        span: int,
        files: Sequence[str] = ("metrics.jsonl",),
    ) -> None:
        self.out, self.report, self.every, self.columns, self.span = out, report, every, columns, span
        self.files = [out / name for name in files]
        self.saved = self.started = self.stepped = time.monotonic()
        self.took = 0.0
        self.before = 0.0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.saved = self.started = time.monotonic()
        if not PartialState().is_main_process:
            return
        rows, *_rest = [kept(path, state.global_step) for path in self.files]
        self.before = float(rows[-1]["seconds"]) if rows else 0.0

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.stepped = time.monotonic()
        between = state.global_step % self.span
        control.should_log |= state.global_step == state.max_steps
        if state.global_step < state.max_steps and not between:
            control.should_save |= first(self.stepped - self.saved > max(self.every, DEAR * self.took))

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        PartialState().wait_for_everyone()  # each process writes the state of its random numbers
        if PartialState().is_main_process:
            # a row that the checkpoint is past will not be written again
            seal(Path(str(args.output_dir)) / f"checkpoint-{state.global_step}", self.files)
        self.saved = time.monotonic()
        self.took = self.saved - self.stepped

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Any = None,
        **_: Any,
    ) -> None:
        if not PartialState().is_main_process or not logs or "loss" not in logs:
            return
        step = state.global_step
        row = {
            "step": step,
            "steps": state.max_steps,
            "loss": logs["loss"],
            "grad_norm": logs.get("grad_norm"),
            "learning_rate": logs.get("learning_rate"),
            **self.columns(logs, step),
            "seconds": round(self.before + time.monotonic() - self.started, 3),
        }
        append(self.out / "metrics.jsonl", [row])
        note = f"reward {row['reward']:.2f}" if "reward" in row else f"loss {logs['loss']:.3f}"
        self.report(step, state.max_steps, note)


def first(value: T) -> T:
    """The value that the first of the training's processes has, in all of them."""
    settled: list[T] = broadcast_object_list([value])
    return settled[0]


def append(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Add rows to a file of JSON lines."""
    with path.open("a", encoding="utf-8") as f:
        f.write("".join(json.dumps(row) + "\n" for row in rows))


def kept(path: Path, step: int) -> list[dict[str, Any]]:
    """Cut a file of JSON lines back to the steps up to `step`: what came after the checkpoint is about to be trained again."""
    rows: list[dict[str, Any]] = []
    if path.exists():
        for line in path.read_bytes().splitlines():
            try:
                row = json.loads(line)
                if row["step"] <= step:
                    rows.append(row)
            except (
                ValueError,
                TypeError,
                KeyError,
            ):  # cut or damaged, and past the checkpoint, which seals what is before it
                continue
        replace(path, "".join(json.dumps(r) + "\n" for r in rows))
    return rows


def train(
    trainer: Trainer, model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase, out: Path
) -> dict[str, float]:
    """Train to the end, from the newest whole checkpoint in `out/checkpoints`, and save model and tokenizer to `out/model`.

    An adapter is saved beside it and merged into it. The checkpoint stays, for whoever calls this to remove once what it returns is kept: a
    kill before that would else cost the whole training. Returns optimizer steps, final loss, seconds of this process, and its peak_bytes of
    resident memory.

    Raises:
        PbbError: the loss is no longer a number.
    """
    started = time.monotonic()
    writes = PartialState().is_main_process
    checkpoint = first(newest(out / "checkpoints") if writes else None)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if writes and "wandb" in (trainer.args.report_to or ()):
        import wandb

        wandb.finish()  # it leaves that to the interpreter's exit, which the process of a step never comes to
    losses = [h["loss"] for h in trainer.state.log_history if "loss" in h]
    finite = trainer.is_fsdp_enabled or all(bool(weight.isfinite().all()) for weight in model.parameters())
    if not losses or losses[-1] != losses[-1] or not finite:
        raise PbbError(
            f"training: the loss is not a number after {trainer.state.global_step} steps: lower learning_rate"
        )
    weights = _gathered(trainer) if trainer.is_fsdp_enabled else None
    if writes:
        if isinstance(model, PeftModel):
            save(model, tokenizer, out / "adapter")
        save(merged(model), tokenizer, out / "model", weights)
    return {
        "optimizer_steps": trainer.state.global_step,
        "loss": losses[-1],
        "seconds": time.monotonic() - started,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def _gathered(trainer: Trainer) -> dict[str, torch.Tensor]:
    """All weights, in the first process; a matrix that is both embedding and head once, as in a folder that one process writes."""
    whole: Any = trainer.model
    weights: dict[str, torch.Tensor] = trainer.accelerator.get_state_dict(whole)
    return {name: w for name, w in weights.items() if name not in whole.all_tied_weights_keys}


def save(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    weights: dict[str, torch.Tensor] | None = None,
) -> None:
    """Write a Hugging Face folder under a temporary name and rename it, so that a reader, or a power cut, sees all of it or nothing.

    weights: those of a model that holds a share of them only.
    """
    temporary = folder.with_name(folder.name + ".partial")
    shutil.rmtree(temporary, ignore_errors=True)
    model.save_pretrained(str(temporary), state_dict=weights)
    tokenizer.save_pretrained(temporary)
    for path in temporary.iterdir():
        sync(path)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(temporary, folder)
    sync(folder.parent)
