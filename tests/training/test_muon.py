"""Muon updates the matrices of the blocks by momenta made orthogonal in as many iterations as asked, AdamW everything else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from pbb.training.muon import MuonWithAdamW

RATE = 0.1


class Block(nn.Module):
    """An embedding, a norm and two matrices, one of them wide."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(6, 12)
        self.norm = nn.LayerNorm(12)
        self.square = nn.Linear(12, 12, bias=False)
        self.wide = nn.Linear(30, 12, bias=False)


def stepped(newton_schulz: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(what a first step took off each weight, its gradient)."""
    torch.manual_seed(0)
    block = Block()
    before = {name: w.detach().clone() for name, w in block.named_parameters()}
    for w in block.parameters():
        w.grad = torch.randn_like(w)
    optimizer = MuonWithAdamW(
        block, lr=RATE, betas=(0.9, 0.98), weight_decay=0.0, newton_schulz=newton_schulz
    )
    optimizer.step()
    after = dict(block.named_parameters())
    taken = {name: before[name] - after[name].detach() for name in before}
    return taken, {name: w.grad for name, w in block.named_parameters() if w.grad is not None}


def iterated(gradient: Tensor, times: int) -> Tensor:
    """Newton-Schulz on the singular values, one by one: Jordan et al.'s polynomial applied so many times."""
    left, values, right = torch.linalg.svd((gradient / gradient.norm()).double(), full_matrices=False)
    for _ in range(times):
        values = 3.4445 * values - 4.775 * values**3 + 2.0315 * values**5
    return left @ torch.diag(values) @ right


@pytest.mark.parametrize("name", ["square.weight", "wide.weight"])
def test_a_matrix_moves_along_its_gradient_made_orthogonal_in_so_many_iterations(name: str) -> None:
    for times in (1, 3, 5):
        taken, gradients = stepped(times)
        scale = RATE * 0.2 * max(taken[name].shape) ** 0.5  # to the size of AdamW's updates
        difference = {
            n: float((taken[name] / scale - iterated(gradients[name], n)).abs().max()) for n in (1, 3, 5)
        }
        assert difference[times] < 0.02  # bfloat16
        assert min(d for n, d in difference.items() if n != times) > 2 * difference[times]


def test_embeddings_and_norms_take_adamws_first_step_whatever_the_iterations() -> None:
    for times in (1, 5):
        taken, gradients = stepped(times)
        for name in ("embedding.weight", "norm.weight", "norm.bias"):
            assert torch.allclose(taken[name], RATE * gradients[name].sign(), atol=1e-4)


@pytest.mark.parametrize("tied", [True, False])
def test_a_head_of_its_own_is_adamws_as_the_embedding_is(tied: bool) -> None:
    config = LlamaConfig(
        vocab_size=50, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, tie_word_embeddings=tied,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    optimizer = MuonWithAdamW(model, lr=RATE, betas=(0.9, 0.98), weight_decay=0.0, newton_schulz=3)
    shapes = {tuple(p.shape) for group in optimizer.muon.param_groups for p in group["params"]}
    assert shapes == {(16, 16), (24, 16), (16, 24)}
