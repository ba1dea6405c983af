"""Reinforcement learning on verified answers: TRL's GRPOTrainer, with a decoder and a reward that are handed in.

Contract: the same prompts in the same order, the same settings, decoder, reward and model folder give the same rollouts, rewards and
checkpoint, whether the run was killed on the way or not. The rollouts of a step are drawn with a seed of (seed, step); the
prompts come in file order. Like all of training, this knows nothing of programs: it sees the prompts' tokens and asks for rewards.

What is done otherwise than in TRL: groups without variance are left out of the update unless KL wants them, so that they neither cost a
pass nor dilute the mean; and log-probabilities are taken of completion tokens only, rows of like length together.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from torch.nn.functional import pad
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import GRPOConfig, GRPOTrainer

from pbb.errors import PbbError
from pbb.training import head
from pbb.training.adapter import adapted, bare
from pbb.training.checkpoint import replace
from pbb.training.loop import (
    REFERENCE,
    Journal,
    Report,
    Settings,
    append,
    arguments,
    fits,
    optimizer,
    single,
    train,
)
from pbb.training.rollouts import (
    Decoder,
    Grpo,
    Reward,
    RewardFunction,
    Rollout,
    flat,
    measures,
    samples,
    strangest,
)

ROWS = 64
PASS = 32  # rows of like length that go through the model together


class _Verified(GRPOTrainer):
    """GRPOTrainer over token prompts, whose rollouts come from `decoder` and are written down in `rollouts.jsonl`."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        decoder: Decoder,
        reward: RewardFunction,
        dials: Grpo,
        folder: Path,
        **named: Any,
    ) -> None:
        super().__init__(model=model, processing_class=tokenizer, reward_funcs=self._earned, **named)
        if isinstance(model, PeftModel) and "ref" in model.peft_config:
            # TRL keeps a copy of the adapter for KL. Ours begins at nothing, so the model without adapter is that already, and a
            # second adapter would be one more thing to restore after a kill.
            model.delete_adapter("ref")
        self.policy, self.vocabulary, self.decoder, self.reward = model, tokenizer, decoder, reward
        self.dials, self.folder = dials, folder
        self.drawn: dict[str, Any] | None = None
        self.finished: list[bool] = []
        self.rewards: list[Reward] = []
        self.measured: dict[str, float] = {}

    def _tokenize_prompts(self, prompts: list[list[int]]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return prompts, None, {}

    def _generate_single_turn(
        self, prompt_ids: list[list[int]], *_: Any, **__: Any
    ) -> tuple[list[list[int]], Any]:
        end = int(self.vocabulary.eos_token_id)
        if self.dials.vllm:
            ids, logps = super()._generate_single_turn(prompt_ids, *_, **__)  # type: ignore[no-untyped-call]
            self.finished = [bool(row) and row[-1] == end for row in ids]
            return ids, logps
        training = self.policy.training
        written = self.decoder(
            self.policy,
            prompt_ids,
            end=end,
            pad=int(self.vocabulary.pad_token_id),
            limits=[self.dials.max_tokens] * len(prompt_ids),
            batch_size=len(prompt_ids),
            temperature=self.dials.temperature,
            seed=random.Random(f"rollouts:{self.args.seed}:{self.state.global_step}").getrandbits(62),
        )
        self.policy.train(training)
        self.finished = [w.finished for w in written]
        return [w.tokens + [end] * w.finished for w in written], None

    def _earned(self, completions: list[str], index: list[int], **_: Any) -> list[float | None]:
        self.rewards = list(self.reward(index, completions))
        return [r.value for r in self.rewards]

    def _prepare_inputs(self, batch: Any) -> Any:
        """The rollouts that this step is trained on, drawn anew for every `iterations`-th."""
        if self.drawn is None or self._step % self.dials.iterations == 0:
            scored = self._generate_and_score_completions(batch)
            rollouts = self._rollouts(batch, scored)
            self.measured = measures(rollouts, self.dials.group_size)
            step = self.state.global_step + 1
            append(self.folder / "rollouts.jsonl", samples(rollouts, self.dials.group_size, step))
            self.drawn = self._teaching(scored, flat(rollouts, self.dials.group_size))
        return self.drawn

    def _rollouts(self, batch: list[dict[str, Any]], scored: dict[str, Any]) -> list[Rollout]:
        read = self.vocabulary.batch_decode
        return [
            Rollout(*known)
            for known in zip(
                read([x["prompt"] for x in batch], skip_special_tokens=True),
                read(scored["completion_ids"], skip_special_tokens=True),
                scored["completion_mask"].sum(1).tolist(),
                self.finished,
                self.rewards,
                strict=True,
            )
        ]

    def _teaching(self, scored: dict[str, Any], same: list[bool]) -> dict[str, Any]:
        """Only groups with variance, whose tokens are then what the loss is a mean of; all where KL moves the others too."""
        if self.dials.kl or not any(same):
            return scored
        # With nothing to learn one group stays, whose gradient is zero: the optimizer's momentum goes on as it would.
        groups = [g for g, dead in enumerate(same) if not dead] or [0]
        size = self.dials.group_size
        rows = torch.tensor([g * size + i for g in groups for i in range(size)], device=self.policy.device)
        kept = {key: value[rows] if value.ndim else value for key, value in scored.items()}
        return kept | {"num_items_in_batch": kept["completion_mask"].sum()}

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        **_: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None, None]:
        """Log-probabilities and entropies, as (rows, tokens), of completion tokens at the temperature that they were drawn at."""
        inner = bare(model)
        prompt = input_ids.size(1) - logits_to_keep
        mask = attention_mask[:, prompt:].bool()
        order = attention_mask.sum(1).argsort(stable=True)
        places, logps, entropies = [], [], []
        for rows in order.split(PASS):
            used = attention_mask[rows].any(0).nonzero()[:, 0]
            first, last = int(used[0]) // 8 * 8, -(-(int(used[-1]) + 1) // 8) * 8
            seen = attention_mask[rows, first:last]
            hidden = inner.base_model(
                input_ids=input_ids[rows, first:last],
                attention_mask=seen,
                position_ids=(seen.cumsum(1) - 1).clamp(min=0),
                use_cache=False,
            ).last_hidden_state
            row, column = mask[rows].nonzero(as_tuple=True)
            spare = (0, -len(row) % ROWS)  # see ROWS of pbb.training.sft
            wanted = hidden[pad(row, spare), pad(column + prompt - first - 1, spare)]
            scores = head.logits(inner, wanted)[: len(row)].float() / self.dials.temperature
            likely = scores.log_softmax(-1)
            logps.append(likely.gather(1, input_ids[rows][row, column + prompt][:, None])[:, 0])
            if compute_entropy:
                certain = likely.detach()
                entropies.append(-(certain.exp() * certain).sum(-1))
            places.append((rows[row], column))
        where = tuple(torch.cat(part) for part in zip(*places, strict=True))
        empty = torch.zeros(mask.shape, device=mask.device)
        spread = empty.index_put(where, torch.cat(entropies)) if compute_entropy else None
        return empty.index_put(where, torch.cat(logps)), spread, None

    def columns(self, logs: dict[str, Any]) -> dict[str, Any]:
        """What a row of metrics.jsonl says besides; kl is null where no reference model is kept."""
        return {
            **self.measured,
            "entropy": logs["entropy"],
            "kl": logs.get("kl"),
            "clip_ratio": logs["clip_ratio/region_mean"],
            "tokens": self.state.num_input_tokens_seen,
        }


def _by_vllm(longest: int, end: int) -> dict[str, Any]:
    """Arguments by which TRL draws rollouts by vLLM, in the process and the GPU that train; prompt and rollout have `longest` tokens at most.

    Else it keeps room for a text of as many tokens as the model has positions, holds its memory while the model is trained, and stops at the end
    that the model came with alone, which need not be that of the chats.
    """
    return {
        "use_vllm": True,
        "vllm_mode": "colocate",
        "vllm_max_model_length": longest,
        "vllm_enable_sleep_mode": True,
        "generation_kwargs": {"stop_token_ids": [end]},
    }


def grpo(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[list[int]],
    decoder: Decoder,
    reward: RewardFunction,
    settings: Settings,
    dials: Grpo,
    out: Path,
    report: Report,
) -> dict[str, float]:
    """Reinforce what earns more than its group's mean, prompts in file order and from the first again; saves to `out/model`.

    Writes metrics.jsonl, rollouts.jsonl and strangest.jsonl; continues from the newest whole checkpoint in `out/checkpoints`. With
    `dials.kl` the model must come from a folder or the hub, which the reference is loaded from. Returns tokens (prompts and
    rollouts, without padding), prompts shown, optimizer steps, final loss, seconds of this process, and peak_bytes.

    Raises:
        PbbError: there is nothing to ask, the model has too few positions or a head that is not known, vLLM is asked for and not there, or the
            loss is no longer a number.
    """
    if not prompts:
        raise PbbError("training: the stage has no documents: give its mix at least one share")
    if dials.vllm and (not find_spec("vllm") or not torch.cuda.is_available()):
        raise PbbError(
            "training: grpo.vllm needs a CUDA GPU and vLLM: leave it out, or `pip install 'pbb[gpu]'` on a machine with a GPU"
        )
    longest = max(map(len, prompts)) + dials.max_tokens
    fits(longest, model, "a prompt and its rollout may have")
    head.exact(model)
    steps = dials.length(len(prompts))
    shown = [i % len(prompts) for i in range(dials.shown(len(prompts)))]
    config = GRPOConfig(
        **arguments(settings, out, steps),
        max_steps=steps,
        logging_steps=1,
        shuffle_dataset=False,
        per_device_train_batch_size=dials.prompts_per_step * dials.group_size,
        num_generations=dials.group_size,
        gradient_accumulation_steps=1,
        steps_per_generation=1,
        num_iterations=dials.iterations,
        max_completion_length=dials.max_tokens,
        temperature=dials.temperature,
        beta=dials.kl,
        epsilon=dials.clip,
        loss_type=dials.loss_type,
        # "Dr. GRPO" (arXiv 2503.20783) drops both divisions, by length and by the group's deviation.
        scale_rewards="none" if dials.loss_type == "dr_grpo" else "group",
        disable_dropout=True,
        model_init_kwargs=REFERENCE if dials.kl and not settings.lora else None,
        **_by_vllm(longest, int(tokenizer.eos_token_id)) if dials.vllm else {},
    )
    journal = Journal(
        out,
        report,
        settings.checkpoint_seconds,
        columns=lambda logs, step: trainer.columns(logs),
        span=dials.iterations,
        files=("metrics.jsonl", "rollouts.jsonl"),
    )
    trained = adapted(model, settings.lora, settings.seed)
    trainer = _Verified(
        trained,
        tokenizer,
        decoder,
        reward,
        dials,
        out,
        args=single(config),
        train_dataset=Dataset.from_dict({"prompt": [prompts[i] for i in shown], "index": shown}),
        callbacks=[journal],
        optimizers=(optimizer(trained, settings), None),
    )
    measured = train(trainer, trained, tokenizer, out)
    rows = [json.loads(line) for line in (out / "rollouts.jsonl").read_text(encoding="utf-8").splitlines()]
    replace(out / "strangest.jsonl", "".join(json.dumps(row) + "\n" for row in strangest(rows)))
    return {"tokens": trainer.state.num_input_tokens_seen, "prompts": len(shown)} | measured
