"""Preference pairs out of a model's own answers: the dials by which they are drawn, and which two of a group make a pair.

As in GRPO a group of answers is drawn to every prompt and each is verified; of a group that holds better and worse ones, one of the best
is preferred to one of the worst. A group that earns the same throughout makes no pair.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pbb.training.rollouts import Rollout


class Dpo(BaseModel):
    """The dials of a DPO stage (Rafailov et al., arXiv 2305.18290): pairs are drawn once, from the model that the stage begins with.

    group_size: answers drawn to a prompt, of which at most one pair is made. temperature, max_tokens: of drawing. beta: how dear it is to leave that
    model. likelihood: weight of the preferred answer's own loss, a mean over its tokens; with beta 0 nothing else is left, which is
    finetuning on the model's own right answers (rejection sampling). format_share: what a right value loses that is not given in the form
    asked for.
    """

    model_config = ConfigDict(extra="forbid")
    group_size: int = Field(8, ge=2)
    temperature: float = Field(1.0, ge=0.01, le=10)
    max_tokens: int = Field(128, ge=1)
    beta: float = Field(0.1, ge=0, le=10)
    likelihood: float = Field(0.0, ge=0, le=10)
    format_share: float = Field(0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _teaches(self) -> Dpo:
        if not self.beta and not self.likelihood:
            raise ValueError("beta: with 0 give likelihood more than 0, or there is nothing to learn")
        return self


def chosen(group: Sequence[Rollout], rng: random.Random) -> tuple[int, int] | None:
    """Places in a group of one of those that earned most and of one of those that earned least; None where all earned the same."""
    earned = [r.reward.value for r in group]
    best, worst = max(earned), min(earned)
    if best == worst:
        return None
    above, below = ([i for i, value in enumerate(earned) if value == end] for end in (best, worst))
    return rng.choice(above), rng.choice(below)


def row(number: int, preferred: Rollout, other: Rollout, ids: tuple[list[int], list[int]]) -> dict[str, Any]:
    """A line of pairs.jsonl: the prompt's number, both answers in words and in tokens, and what they were verified by."""
    return {
        "prompt": number,
        "asked": preferred.asked,
        "chosen": preferred.text,
        "rejected": other.text,
        "said": [preferred.reward.said, other.reward.said],
        "true": preferred.reward.true,
        "reward": [preferred.reward.value, other.reward.value],
        "unlike": round(preferred.reward.unlike, 3),
        "chosen_ids": ids[0],
        "rejected_ids": ids[1],
    }
