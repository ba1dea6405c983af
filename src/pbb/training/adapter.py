"""LoRA: small matrices beside the frozen ones are trained, and at the end of the stage added to them.

Hu et al. (arXiv 2106.09685), by PEFT: on every matrix of the blocks, scaled by two (`lora_alpha` is twice the rank), no dropout. What a stage
leaves is a merged model, a folder like that of full finetuning: the next stage, the decoder on bare weights, evaluation and audit read it
unchanged, and adapters need not be stacked where one stage follows another. That costs the disk a whole model a stage and rounds
the sum to float32; the adapter itself (a hundredth of the size) is kept beside it.

Contract: `bare(adapted(model, ...))` is the model itself, with the adapters in it; `merged` gives the model back, plain.
"""

from __future__ import annotations

from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel

SCALE = 2


def adapted(model: PreTrainedModel, rank: int | None, seed: int) -> Any:
    """The model with adapters of this rank in it, which alone are trained; the model as it is where rank is None."""
    if rank is None:
        return model
    torch.manual_seed(seed)  # half of each adapter begins at random, the other half at zero
    dials = LoraConfig(
        r=rank, lora_alpha=SCALE * rank, target_modules="all-linear", lora_dropout=0.0, task_type="CAUSAL_LM"
    )
    return get_peft_model(model, dials)


def bare(model: Any) -> Any:
    """The language model in whatever wraps it for training."""
    model = getattr(model, "module", model)  # DistributedDataParallel
    return model.get_base_model() if isinstance(model, PeftModel) else model


def merged(model: Any) -> PreTrainedModel:
    """The adapters added to the weights that they stand beside, and nothing left of them."""
    plain: PreTrainedModel = model.merge_and_unload() if isinstance(model, PeftModel) else model
    return plain
