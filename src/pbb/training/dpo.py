"""Direct preference optimisation on verified answers: TRL's DPOTrainer over pairs that the model drew itself.

Contract: the same prompts in the same order, the same settings, decoder, reward and model folder give the same pairs and
checkpoint, whether the run was killed on the way or not. Pairs are drawn before training, the groups of a hand of prompts with a seed of (seed, its
first), and kept in `pairs.jsonl`; their order is that of `pbb.training.sft.batches`. Like all of training, this knows nothing of programs.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from peft import PeftModel
from torch.utils.data import SequentialSampler
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import DPOConfig, DPOTrainer

from pbb.errors import PbbError
from pbb.training import head
from pbb.training.adapter import adapted
from pbb.training.checkpoint import replace
from pbb.training.loop import (
    REFERENCE,
    Journal,
    Report,
    Settings,
    arguments,
    fits,
    optimizer,
    single,
    train,
)
from pbb.training.pairs import Dpo, chosen, row
from pbb.training.rollouts import Decoder, RewardFunction, Rollout, measures, sample, strangest
from pbb.training.sft import batches

HAND = 32  # prompts whose groups are drawn together


class _Paired(DPOTrainer):
    """DPOTrainer over pairs of tokens, in file order."""

    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        return dataset

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        data: Any = self.train_dataset if train_dataset is None else train_dataset
        return SequentialSampler(data)


def dpo(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[list[int]],
    decoder: Decoder,
    reward: RewardFunction,
    settings: Settings,
    dials: Dpo,
    out: Path,
    report: Report,
) -> dict[str, float]:
    """Draw a group of answers to every prompt, and train the model to prefer a better one to a worse; saves to `out/model`.

    Writes pairs.jsonl, drawn.json (means over all that was drawn), metrics.jsonl and strangest.jsonl; goes on from the pairs, once they are drawn,
    and from the newest whole checkpoint in `out/checkpoints`. The model must come from a folder or the hub, which the reference is loaded
    from. Returns what is in drawn.json, prompts, pairs, tokens (of both answers with their prompts, without padding), optimizer steps,
    final loss, seconds of this process's training, and peak_bytes.

    Raises:
        PbbError: there is nothing to ask, the model has too few positions, its head is not known, no group makes a pair, or the loss is no longer a
            number.
    """
    if not prompts:
        raise PbbError("training: the stage has no documents: give its mix at least one share")
    fits(max(map(len, prompts)) + dials.max_tokens, model, "a prompt and its answer may have")
    head.exact(model)
    if not (out / "pairs.jsonl").exists():
        _draw(model, tokenizer, prompts, decoder, reward, settings.seed, dials, out, report)
    rows = [json.loads(line) for line in (out / "pairs.jsonl").read_text(encoding="utf-8").splitlines()]
    if not rows:
        raise PbbError(
            "training: no group holds a better and a worse answer, so there is no pair: warm the model up for longer, or raise dpo.group_size"
        )
    asked = [prompts[r["prompt"]] for r in rows]
    lengths = [
        2 * len(p) + len(r["chosen_ids"]) + len(r["rejected_ids"]) for p, r in zip(asked, rows, strict=True)
    ]
    order = batches(lengths, settings.batch_size, settings.seed)
    steps = -(-len(rows) // settings.batch_size)
    every = max(1, min(25, steps // 20))
    config = DPOConfig(
        **arguments(settings, out, steps),
        per_device_train_batch_size=settings.batch_size,
        num_train_epochs=1,
        max_length=None,
        model_init_kwargs=None if settings.lora else REFERENCE,
        beta=dials.beta,
        loss_type=["sigmoid", "sft"] if dials.likelihood else ["sigmoid"],
        loss_weights=[1.0, dials.likelihood] if dials.likelihood else None,
        disable_dropout=True,
        logging_steps=every,
    )

    def columns(logs: dict[str, Any], step: int) -> dict[str, Any]:
        # both are of beta times a ratio: without a beta they would be 0 whatever the model prefers
        told = dials.beta > 0
        return {
            "preferred": logs["rewards/accuracies"] if told else None,
            "margin": logs["rewards/margins"] if told else None,
            "logp_chosen": logs["logps/chosen"],
            "logp_rejected": logs["logps/rejected"],
            "tokens": sum(lengths[i] for i in order[: step * settings.batch_size]),
        }

    journal = Journal(
        out,
        lambda step, steps, note: report(1 + step / steps, 2, note),
        settings.checkpoint_seconds,
        columns=columns,
        span=every,
    )
    trained = adapted(model, settings.lora, settings.seed)
    trainer = _Paired(
        model=trained,
        args=single(config),
        train_dataset=Dataset.from_dict(
            {
                "prompt_ids": [asked[i] for i in order],
                "chosen_ids": [rows[i]["chosen_ids"] for i in order],
                "rejected_ids": [rows[i]["rejected_ids"] for i in order],
            }
        ),
        processing_class=tokenizer,
        callbacks=[journal],
        optimizers=(optimizer(trained, settings), None),
    )
    if isinstance(trained, PeftModel) and "ref" in trained.peft_config:
        trained.delete_adapter(
            "ref"
        )  # ours begins at nothing: the model without adapter is the reference (see pbb.training.grpo)
    measured = train(trainer, trained, tokenizer, out)
    drawn: dict[str, float] = json.loads((out / "drawn.json").read_text(encoding="utf-8"))
    counts = {"prompts": len(prompts), "pairs": len(rows), "tokens": sum(lengths)}
    return drawn | counts | measured


def _draw(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[list[int]],
    decoder: Decoder,
    reward: RewardFunction,
    seed: int,
    dials: Dpo,
    out: Path,
    report: Report,
) -> None:
    """Write pairs.jsonl, after strangest.jsonl and drawn.json: where it is, they all are."""
    end, padding = int(tokenizer.eos_token_id), int(tokenizer.pad_token_id)
    rollouts: list[Rollout] = []
    rows: list[dict[str, Any]] = []
    strange: list[dict[str, Any]] = []
    for first in range(0, len(prompts), HAND):
        rng = random.Random(f"pairs:{seed}:{first}")
        numbers = [i for i in range(first, min(first + HAND, len(prompts))) for _ in range(dials.group_size)]
        written = decoder(
            model,
            [prompts[i] for i in numbers],
            end=end,
            pad=padding,
            limits=[dials.max_tokens] * len(numbers),
            batch_size=len(numbers),
            temperature=dials.temperature,
            seed=rng.getrandbits(62),
        )
        ids = [w.tokens + [end] * w.finished for w in written]
        texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
        questions = tokenizer.batch_decode([prompts[i] for i in numbers], skip_special_tokens=True)
        finished = [w.finished for w in written]
        earned = reward(numbers, texts)
        known = zip(questions, texts, map(len, ids), finished, earned, strict=True)
        hand = [Rollout(*each) for each in known]
        for start in range(0, len(hand), dials.group_size):
            pair = chosen(hand[start : start + dials.group_size], rng)
            if pair is None:
                continue
            a, b = (start + place for place in pair)
            rows.append(row(numbers[a], hand[a], hand[b], (ids[a], ids[b])))
            strange.append(sample(numbers[a], "strangest", hand[a]))
        rollouts += hand
        report(min(1, (first + HAND) / len(prompts)), 2, "drawing")
    replace(out / "strangest.jsonl", "".join(json.dumps(r) + "\n" for r in strangest(strange)))
    replace(out / "drawn.json", json.dumps(measures(rollouts, dials.group_size)))
    replace(out / "pairs.jsonl", "".join(json.dumps(r) + "\n" for r in rows))
