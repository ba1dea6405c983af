"""Losses and gradient norms of eight steps of a tiny seeded model, for every objective: training has not changed unnoticed.

The ways of one group must agree: a batch cut into passes, packed rows, activations computed again and a second process change how a step is
computed and not what it is. A golden trajectory belongs to a group. It holds to 1e-3 relative on any machine (another order of sums moves
the last digits only). If a change of training is meant, write the new ones and say so in the change:

    python tests/invariant/test_golden_trajectory.py --write
"""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from pbb.models.decode import Generation
from pbb.models.tokenizer import train_tokenizer
from pbb.progress import Progress
from pbb.ranks import launch
from pbb.training.dpo import dpo
from pbb.training.grpo import grpo
from pbb.training.pairs import Dpo
from pbb.training.rollouts import Grpo, Reward
from pbb.training.sft import Settings, Tokens, sft

GOLDEN = Path(__file__).parent / "golden" / "trajectory.json"
STEPS, BATCH = 8, 4
LORA = {"lora": 4, "learning_rate": 3e-2}
GROUPS: dict[str, dict[str, dict[str, Any]]] = {
    "declarations": {"declarations": {}},
    "executions": {"executions": {}},
    "mixed": {
        "mixed": {},
        "mixed, in two passes": {"accumulate": 2},
        "mixed, activations computed again": {"checkpointing": True},
        "mixed, packed": {"packing": True},
        "mixed, two processes": {"processes": 2},
    },
    "mixed, muon": {
        "mixed, muon": {"optimizer": "muon"},
        "mixed, muon, packed": {"optimizer": "muon", "packing": True},
    },
    "mixed, lora": {
        "mixed, lora": LORA,
        "mixed, lora, two processes": LORA | {"processes": 2},
    },
    "grpo": {"grpo": {}},
    "grpo, dr_grpo": {"grpo, dr_grpo": {"loss_type": "dr_grpo"}},
    "grpo, lora": {"grpo, lora": LORA},
    "dpo": {"dpo": {}},
    "dpo, lora": {"dpo, lora": LORA},
}
"""By what must be equal, the ways of getting there, each with its settings; a way's first word says what is trained on."""
SHARED = [way for ways in GROUPS.values() for way, given in ways.items() if given.get("processes")]
WAYS = [(group, way) for group, ways in GROUPS.items() for way in ways if way not in SHARED]

Trajectory = dict[str, list[float]]


def tokens(prompt: str, completion: str) -> Tokens:
    """Characters as tokens: nothing of pbb's tokenizer or phrasings is in a trajectory."""
    return [2, *map(ord, prompt)], [*map(ord, completion), 1]


def documents(objective: str) -> list[Tokens]:
    """Declarations and executions of programs of one line, in short, or half of either."""
    rng = random.Random(0)
    made = []
    for i in range(STEPS * BATCH):
        k, x = rng.randint(2, 9), rng.randint(0, 20)
        declared = tokens(f"What is f{k}(x)?", f"def f{k}(x):\n    a = x * {k}\n    return a")
        executed = tokens(f"Run f{k}({x}).", f"a = {x} * {k} = {x * k}\nAnswer: {x * k}")
        made.append(declared if objective == "declarations" or (objective == "mixed" and i % 2) else executed)
    return made


@contextmanager
def full_precision() -> Iterator[None]:
    """Matrix products in float32 also where a test before this one has allowed less."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=128, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=2, max_position_embeddings=128, tie_word_embeddings=True, pad_token_id=0,
            eos_token_id=1, bos_token_id=None, attn_implementation="eager",
        )
    )  # fmt: skip


def tokenizer() -> PreTrainedTokenizerFast:
    """Training asks it for its padding and end tokens, and GRPO for a text to reward."""
    return train_tokenizer(["a"])


def written(model: Any, prompts: Sequence[Sequence[int]], *, seed: int, **_: Any) -> list[Generation]:
    """In place of a decoder: rollouts of the seed alone, since a draw by a model may turn on its last digit."""
    rng = random.Random(seed)
    return [Generation([rng.randrange(32, 127) for _ in range(rng.randint(2, 9))], True) for _ in prompts]


def thirds(prompts: Sequence[int], texts: Sequence[str]) -> list[Reward]:
    """Rewards that vary in every group."""
    return [Reward(float((number + i) % 3 == 0), "?", "?") for i, number in enumerate(prompts)]


def trajectory(way: str, given: dict[str, Any], folder: Path) -> None:
    """Train; the rows are in the folder's metrics.jsonl."""
    dials = {key: given[key] for key in given if key in Grpo.model_fields}
    own = {key: given[key] for key in given if key in Settings.model_fields}
    settings = Settings.model_validate(
        {"batch_size": BATCH, "learning_rate": 1e-2, "warmup": 2, "seed": 3} | own
    )
    objective = way.partition(",")[0]
    if objective == "grpo":
        small = Grpo.model_validate(
            {"group_size": 4, "prompts_per_step": 2, "steps": STEPS, "iterations": 2, "max_tokens": 12}
            | dials
        )
        asked = [prompt for prompt, _ in documents("executions")]
        grpo(model(), tokenizer(), asked, written, thirds, settings, small, folder, Progress())
    elif objective == "dpo":
        model().save_pretrained(folder / "start")  # the reference is read from where the model was
        start = LlamaForCausalLM.from_pretrained(folder / "start", attn_implementation="eager")
        pairing = Dpo(group_size=4, beta=0.5, max_tokens=12)
        asked = [prompt for prompt, _ in documents("executions")]
        dpo(start, tokenizer(), asked, written, thirds, settings, pairing, folder, Progress())
    else:
        sft(model(), tokenizer(), documents(objective), settings, folder, Progress())


def rows(folder: Path) -> Trajectory:
    found = [json.loads(row) for row in (folder / "metrics.jsonl").read_text().splitlines()]
    return {key: [row[key] for row in found] for key in ("loss", "grad_norm")}


def alone(way: str, given: dict[str, Any]) -> Trajectory:
    with tempfile.TemporaryDirectory() as folder, full_precision():
        trajectory(way, given, Path(folder))
        return rows(Path(folder))


def shared(folder: Path) -> None:
    """All ways of two processes, in this process's forks: it must not have computed with torch before."""

    def work(progress: Callable[..., None]) -> None:
        torch.set_float32_matmul_precision("highest")
        for ways in GROUPS.values():
            for way, given in ways.items():
                if way in SHARED:
                    (folder / way).mkdir(exist_ok=True)
                    trajectory(way, given, folder / way)

    launch(work, Progress(), 2)


def golden() -> dict[str, Trajectory]:
    found: dict[str, Trajectory] = json.loads(GOLDEN.read_text())
    return found


def agree(found: Trajectory, group: str) -> None:
    for key, expected in golden()[group].items():
        assert len(expected) == STEPS
        assert found[key] == pytest.approx(expected, rel=1e-3, abs=1e-5), key


@pytest.mark.parametrize(("group", "way"), WAYS, ids=[way for _, way in WAYS])
def test_the_trajectory_is_the_groups_golden_one(group: str, way: str) -> None:
    agree(alone(way, GROUPS[group][way]), group)


def test_two_processes_have_the_groups_golden_trajectories(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, __file__, "--shared", str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for group, ways in GROUPS.items():
        for way in ways:
            if way in SHARED:
                agree(rows(tmp_path / way), group)


def test_the_golden_trajectories_differ_between_groups_and_losses_fall() -> None:
    known = golden()
    assert set(known) == set(GROUPS)
    for group, of in known.items():
        for other in set(known) - {group}:
            assert of["grad_norm"] != pytest.approx(known[other]["grad_norm"], rel=1e-2), (group, other)
        if not group.startswith(("grpo", "dpo")):
            assert of["loss"][-1] < of["loss"][0] - 0.2


def test_the_first_step_is_one_whatever_is_made_of_its_gradient() -> None:
    """An adapter begins at nothing and an optimizer comes after the loss; fresh rollouts have a ratio of 1 under any model."""
    known = golden()
    for group in ("mixed, muon", "mixed, lora"):
        assert known[group]["loss"][0] == pytest.approx(known["mixed"]["loss"][0], rel=1e-4)
    assert known["mixed, muon"]["grad_norm"][0] == pytest.approx(known["mixed"]["grad_norm"][0], rel=1e-4)
    assert known["dpo"]["loss"][0] == known["dpo, lora"]["loss"][0] == pytest.approx(math.log(2), abs=1e-4)
    assert known["grpo, lora"]["loss"][::2] == pytest.approx(known["grpo"]["loss"][::2], abs=1e-6)


if __name__ == "__main__":
    if "--shared" in sys.argv:
        shared(Path(sys.argv[-1]))
    else:
        firsts = {group: next(iter(ways.items())) for group, ways in GROUPS.items()}
        made = {group: alone(way, given) for group, (way, given) in firsts.items()}
        text = json.dumps(made, indent=1) + "\n"
        print(text, end="")
        if "--write" in sys.argv:
            GOLDEN.parent.mkdir(exist_ok=True)
            GOLDEN.write_text(text)
