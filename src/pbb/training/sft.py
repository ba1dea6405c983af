"""Supervised finetuning on (prompt, completion) token pairs: TRL's SFTTrainer, with what must be exact made so.

Contract: the same sequences in the same order, the same settings and the same model folder give the same checkpoint, whether the run
was killed on the way or not. The order of the data is decided before training (`batches`): shuffled by seed, then batched by
length within windows, since padding is what a CPU pays for. The loss falls on completions only. Several processes share out each
batch and train on the same batches: their losses and gradients are those of one process but for the order of float sums.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import SequentialSampler
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import SFTConfig, SFTTrainer
from trl.models.utils import _ForwardRedirection

from pbb.errors import PbbError
from pbb.training import head
from pbb.training.adapter import adapted, bare
from pbb.training.loop import Journal, Report, arguments, fits, optimizer, products, single, train
from pbb.training.loop import Settings as Settings
from pbb.training.loop import save as save
from pbb.training.packing import WIDE, Packed, exact
from pbb.training.passes import passes

Tokens = tuple[list[int], list[int]]
"""A document as tokens: (prompt with the chat's markers, completion with its end token)."""

WINDOW = 32
ROWS = 64


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

    def __init__(self, settings: Settings, **named: Any) -> None:
        super().__init__(**named)
        self.settings = settings
        # What it calls passes through the forward of what wraps the model, which gathers weights and gradients there.
        self.through = _ForwardRedirection()

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
        """Mean negative log-likelihood over the completion tokens of the batch, those of the other processes counted in."""
        whole: Any = self.model
        # What wraps the model takes the mean of the processes' gradients, where their sum is wanted.
        loss = self.through(model, whole, self._summed, inputs) * self.accelerator.num_processes
        return loss / (
            num_items_in_batch if num_items_in_batch is not None else (inputs["labels"][:, 1:] != -100).sum()
        )

    def _summed(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        labels = inputs["labels"][:, 1:].reshape(-1)
        wanted = (labels != -100).nonzero()[:, 0]
        # A row count that changes with every batch makes oneDNN compile and keep a new kernel for each.
        rows = torch.nn.functional.pad(wanted, (0, -len(wanted) % ROWS))
        labels = torch.nn.functional.pad(labels[wanted], (0, -len(wanted) % ROWS), value=-100)
        inner = bare(self.model)
        with products(self.settings):
            read = {name: value for name, value in inputs.items() if name != "labels"}
            hidden = inner.base_model(**read, use_cache=False).last_hidden_state[:, :-1]
            scores = head.logits(inner, hidden.flatten(0, 1)[rows])
        return torch.nn.functional.cross_entropy(scores.float(), labels, reduction="sum")


def sft(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    documents: Sequence[Tokens],
    settings: Settings,
    out: Path,
    report: Report,
) -> dict[str, float]:
    """Train on every document once, in the order of `batches`, and save model and tokenizer to `out/model`.

    With `settings.processes` every one of them calls this, and the first one writes. Continues from the newest whole checkpoint in
    `out/checkpoints`. Returns tokens (with prompts, without padding), optimizer steps, final loss, seconds of this process, and its
    peak_bytes of resident memory.

    Raises:
        PbbError: there is nothing to train on, a document is longer than the model can read, the model cannot read packed documents, there
            are other than the settings' processes, its head is not known, or the loss is no longer a number.
    """
    if not documents:
        raise PbbError("training: the stage has no documents: give its mix at least one share")
    fits(max(len(p) + len(c) for p, c in documents), model, "a document has")
    order = batches([len(p) + len(c) for p, c in documents], settings.batch_size, settings.seed)
    rows = [documents[i] for i in order]
    steps = -(-len(rows) // settings.batch_size)
    count, tokens = 0, [0]
    for start in range(0, len(rows), settings.batch_size):
        count += sum(len(p) + len(c) for p, c in rows[start : start + settings.batch_size])
        tokens.append(count)
    if settings.processes > 1:
        # each must have its share of the last batch, and a document without a completion adds nothing
        rows += [((rows[0][0] + rows[0][1])[:1], [])] * (-len(rows) % settings.batch_size)
    data = Dataset.from_dict(
        {"input_ids": [p + c for p, c in rows], "labels": [[-100] * len(p) + c for p, c in rows]}
    )
    every = max(1, min(25, steps // 20))
    # accelerate is not asked for the device: it would make the group of processes, before the arguments say how long they wait for another
    cut = passes(
        settings.batch_size, settings.accumulate, settings.processes, on_cpu=not torch.cuda.is_available()
    )
    config = SFTConfig(
        **arguments(settings, out, steps),
        per_device_train_batch_size=settings.batch_size // cut // settings.processes,
        gradient_accumulation_steps=cut,
        num_train_epochs=1,
        packing=False,
        padding_free=False,
        max_length=None,
        completion_only_loss=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        logging_steps=every,
    )
    journal = Journal(
        out,
        report,
        settings.checkpoint_seconds,
        columns=lambda logs, step: {"tokens": tokens[min(step, steps)]},
        span=every,
    )
    packed = None
    head.exact(model)
    if settings.packing:
        exact(model)
        packed = Packed(int(tokenizer.pad_token_id), WIDE * int(model.config.get_text_config().hidden_size))
    trained = adapted(model, settings.lora, settings.seed)
    trainer = _Lean(
        settings,
        model=trained,
        args=single(config),
        train_dataset=data,
        data_collator=packed,
        processing_class=tokenizer,
        callbacks=[journal],
        optimizers=(optimizer(trained, settings), None),
    )
    if trainer.accelerator.num_processes != settings.processes:
        raise PbbError(
            f"training: {settings.processes} processes were asked for, {trainer.accelerator.num_processes} are there: use --launch"
        )
    if trainer.is_fsdp_enabled != settings.fsdp:
        raise PbbError(
            "training: fsdp shares weights out over GPUs, and there is none: use --launch torchrun"
        )
    return {"tokens": count} | train(trainer, trained, tokenizer, out)
