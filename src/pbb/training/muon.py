"""Muon for the matrices of the blocks, AdamW for embeddings and norms, as one optimizer that Trainer can step and save.

Source of the idea: Jordan et al., "Muon" (2024), and Moonlight (arXiv 2502.16982), whose scaling to AdamW's update size lets both halves share one
learning rate. On the embedded base it reached a given loss in about half of AdamW's steps (docs/lab-notes.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel


class MuonWithAdamW(torch.optim.Optimizer):
    """Both optimizers behind one interface; parameter groups are shared, so that a scheduler reaches both.

    newton_schulz: iterations that make a momentum orthogonal, or nearly so.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        lr: float,
        betas: tuple[float, float],
        weight_decay: float,
        newton_schulz: int,
    ) -> None:
        outer = [m for m in model.modules() if isinstance(m, nn.Embedding)]
        if isinstance(model, PreTrainedModel) and (head := model.get_output_embeddings()) is not None:
            outer.append(head)
        apart = {id(p) for m in outer for p in m.parameters()}
        trained = [p for p in model.parameters() if p.requires_grad]
        matrices = [p for p in trained if p.ndim == 2 and id(p) not in apart]
        rest = [p for p in trained if p.ndim != 2 or id(p) in apart]
        self.muon = torch.optim.Muon(
            matrices,
            lr=lr,
            weight_decay=weight_decay,
            adjust_lr_fn="match_rms_adamw",
            ns_steps=newton_schulz,
        )
        self.adamw = torch.optim.AdamW(rest, lr=lr, betas=betas, weight_decay=0.0, fused=True)
        super().__init__(self.muon.param_groups + self.adamw.param_groups, {"lr": lr})
        # The base class copies the groups; theirs must be the same objects for a scheduler's rate to arrive.
        self.param_groups = self.muon.param_groups + self.adamw.param_groups

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        self.muon.step()
        self.adamw.step()

    def state_dict(self) -> dict[str, Any]:
        return {"muon": self.muon.state_dict(), "adamw": self.adamw.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.muon.load_state_dict(state_dict["muon"])
        self.adamw.load_state_dict(state_dict["adamw"])
        self.param_groups = self.muon.param_groups + self.adamw.param_groups
