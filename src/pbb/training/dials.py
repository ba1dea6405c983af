"""How a stage is trained, as a recipe says it: what every way of training has in common."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Tracker = Literal["trackio", "tensorboard", "wandb"]
BATCH = 16
MOST = 1_000_000  # of documents, so that every number made of them is finite


class Training(BaseModel):
    """The dials of a training. `learning_rate` is reached after `warmup` steps and then decays to a fiftieth of itself.

    decay: share of the steps over which the rate falls at the end. lora: rank of adapters that are trained in place of all weights (see
    `pbb.training.adapter`). checkpointing: activations are computed again in the backward pass, which saves their memory for a third more
    time. accumulate: passes that a batch is cut into at least (see `pbb.training.passes`), for one update. packing: documents of a pass share
    rows (see `pbb.training.packing`). report_to: Trainer's trackers.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    batch_size: int = Field(BATCH, gt=0, le=MOST)
    learning_rate: float = Field(1e-3, gt=0)
    warmup: int = Field(50, ge=0)
    decay: float = Field(0.3, ge=0, le=1)
    weight_decay: float = Field(0.01, ge=0)
    optimizer: Literal["adamw", "muon"] = "adamw"
    lora: int | None = Field(None, ge=1, exclude_if=lambda rank: rank is None)
    checkpointing: bool = Field(False, exclude_if=lambda on: not on)
    accumulate: int = Field(1, ge=1, exclude_if=lambda passes: passes == 1)
    packing: bool = Field(False, exclude_if=lambda on: not on)
    report_to: list[Tracker] = Field(default_factory=list, exclude_if=lambda trackers: not trackers)
