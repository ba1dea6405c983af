"""Rollouts: the dials by which they are drawn, what one earns, and which of them are kept for a person to open.

GRPO (Shao et al., DeepSeekMath, arXiv 2402.03300) draws a group of answers to every prompt and reinforces those that earn more than
their group's mean. A group that earns the same throughout teaches nothing: how many such groups there are is the first number to look at.
The second is whether right answers are right for the right reason: in every step the rewarded rollout that resembles its
demonstration least is kept, and the ten strangest of a training are where reward hacking would show.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from transformers import PreTrainedModel

STRANGEST = 10


class Grpo(BaseModel):
    """The dials of a GRPO stage.

    group_size: rollouts a prompt. prompts_per_step: groups a step. steps: optimizer steps; null is as many as show every prompt once.
    iterations: steps that are trained on the same rollouts; with 1 the ratio of new to old policy is 1 and `clip` never acts.
    kl: weight of the divergence from the model that the stage began with; with 0 no reference model is kept. clip: how far that
    ratio may go from 1. loss_type: TRL's name. max_tokens: the longest rollout. format_share: what a right value loses that is not
    given in the form asked for. vllm: rollouts are drawn by vLLM, in the memory of the GPU that trains, and not by our decoder; which tokens
    it draws is its own affair, so that a killed training goes on, but not as the undisturbed one would have.
    """

    model_config = ConfigDict(extra="forbid")
    group_size: int = Field(8, ge=2)
    prompts_per_step: int = Field(8, ge=1)
    steps: int | None = Field(None, ge=1)
    iterations: int = Field(1, ge=1)
    temperature: float = Field(1.0, ge=0.01, le=10)
    kl: float = Field(0.0, ge=0, le=10)
    clip: float = Field(0.2, gt=0, lt=1)
    loss_type: Literal["dapo", "grpo", "dr_grpo"] = "dapo"
    max_tokens: int = Field(128, ge=1)
    format_share: float = Field(0.0, ge=0, le=1)
    vllm: bool = Field(False, exclude_if=lambda on: not on)

    @model_validator(mode="after")
    def _whole(self) -> Grpo:
        if self.steps is not None and self.steps % self.iterations:
            raise ValueError("steps: must be a multiple of iterations")
        return self

    def length(self, prompts: int) -> int:
        """Optimizer steps of a stage with so many prompts."""
        return self.steps or -(-prompts // self.prompts_per_step) * self.iterations

    def shown(self, prompts: int) -> int:
        """How many prompts rollouts are drawn for, those that come again counted again."""
        return self.length(prompts) // self.iterations * self.prompts_per_step


class Written(Protocol):
    """What a decoder gives for a prompt: tokens without the end token, and whether that came."""

    @property
    def tokens(self) -> list[int]: ...
    @property
    def finished(self) -> bool: ...


class Decoder(Protocol):
    """Continues each prompt by at most its limit of tokens, drawn at a temperature with a seed."""

    def __call__(
        self,
        model: PreTrainedModel,
        prompts: Sequence[Sequence[int]],
        *,
        end: int,
        pad: int,
        limits: Sequence[int],
        batch_size: int,
        temperature: float,
        seed: int,
    ) -> Sequence[Written]: ...


class Reward(NamedTuple):
    """What a rollout earns, what was read out of it (None: nothing) beside what is true, and how far it is from its demonstration (0 to 1)."""

    value: float
    said: str | None
    true: str
    unlike: float = 0.0


RewardFunction = Callable[[Sequence[int], Sequence[str]], Sequence[Reward]]
"""(numbers of the prompts, what was written after each) -> what each earns."""


class Rollout(NamedTuple):
    """One answer that the model drew: its prompt, what it wrote, in how many tokens (with the end token), whether that came."""

    asked: str
    text: str
    tokens: int
    finished: bool
    reward: Reward


def flat(rollouts: Sequence[Rollout], group_size: int) -> list[bool]:
    """For each group whether all of it earns the same, so that it has nothing to teach."""
    earned = [r.reward.value for r in rollouts]
    groups = [earned[i : i + group_size] for i in range(0, len(earned), group_size)]
    return [min(group) == max(group) for group in groups]


def measures(rollouts: Sequence[Rollout], group_size: int) -> dict[str, float]:
    """Means over the rollouts of one step, and the share of its groups without variance."""
    same = flat(rollouts, group_size)
    count = len(rollouts)
    return {
        "reward": sum(r.reward.value for r in rollouts) / count,
        "zero_variance": sum(same) / len(same),
        "completion_length": sum(r.tokens for r in rollouts) / count,
        "parse_failures": sum(r.reward.said is None for r in rollouts) / count,
        "unfinished": sum(not r.finished for r in rollouts) / count,
    }


def samples(rollouts: Sequence[Rollout], group_size: int, step: int) -> list[dict[str, Any]]:
    """Rows of rollouts.jsonl: the best and the worst of one group, one with variance if there is any, and the strangest that was rewarded."""
    same = flat(rollouts, group_size)
    first = same.index(False) * group_size if False in same else 0
    group = rollouts[first : first + group_size]
    rows = [
        sample(step, "best", max(group, key=lambda r: r.reward.value)),
        sample(step, "worst", min(group, key=lambda r: r.reward.value)),
    ]
    if rewarded := [r for r in rollouts if r.reward.value > 0]:
        rows.append(sample(step, "strangest", max(rewarded, key=lambda r: (r.reward.value, r.reward.unlike))))
    return rows


def strangest(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of the strangest rollouts of all steps the ten that were rewarded highest, and among these are least like their demonstrations."""
    once = {(row["asked"], row["text"]): row for row in rows if row["why"] == "strangest"}
    return sorted(once.values(), key=lambda row: (-row["reward"], -row["unlike"], row["step"]))[:STRANGEST]


def sample(step: int, why: str, r: Rollout) -> dict[str, Any]:
    """A row of rollouts.jsonl, or of strangest.jsonl."""
    return {
        "step": step,
        "why": why,
        "asked": r.asked,
        "text": r.text,
        "said": r.reward.said,
        "true": r.reward.true,
        "reward": r.reward.value,
        "unlike": round(r.reward.unlike, 3),
        "tokens": r.tokens,
        "finished": r.finished,
    }
