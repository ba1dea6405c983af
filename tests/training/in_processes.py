"""Trainings of a tiny model in one process and in two, by the engine, for test_processes.py to look at.

    python tests/training/in_processes.py FOLDER

One run of it carries all trainings, since the engine imports the libraries once a run. Writes told.json: what became of those that were
meant to fail.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import DistributedType
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from pbb.errors import PbbError
from pbb.graph import Step
from pbb.progress import Progress
from pbb.run import StepCrashed, execute
from pbb.training import loop
from pbb.training.sft import Settings, Tokens, _Lean, sft

BATCH, STEPS, KILL_AT = 4, 8, 5


def documents() -> list[Tokens]:
    """Pairs of mixed lengths; of the last batch only one is there, so that the second process has none."""
    rng = random.Random(0)
    return [
        ([2, *(rng.randrange(4, 60) for _ in range(rng.randint(1, 9)))],
         [*(rng.randrange(4, 60) for _ in range(rng.randint(1, 30))), 1])
        for _ in range(BATCH * (STEPS - 1) + 1)
    ]  # fmt: skip


def pretend_gpus() -> None:
    """Let accelerate take FSDP2's way, which it keeps for GPUs, over gloo."""

    def prepared(*_: Any, **__: Any) -> tuple[str, DistributedType]:
        if not torch.distributed.is_initialized():
            torch.distributed.init_process_group("gloo")
        return "gloo", DistributedType.MULTI_GPU

    PartialState._prepare_backend = prepared  # type: ignore[method-assign]


def train(config: dict[str, Any], inputs: dict[str, Path], out: Path, progress: Progress) -> None:
    """A step's function. Keeps what each process read, batch by batch, and kills the second one if that is asked for, once."""
    torch.set_float32_matmul_precision("highest")
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=True, pad_token_id=0,
            eos_token_id=1, bos_token_id=None, attn_implementation="eager",
        )
    )  # fmt: skip
    words = Tokenizer(models.WordLevel({"[PAD]": 0, "[END]": 1}, unk_token="[PAD]"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", eos_token="[END]")
    rank = os.environ.get("RANK", "0")
    if config["settings"].get("fsdp") and not config.get("honest"):
        pretend_gpus()
    summed = _Lean._summed

    def noted(self: _Lean, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        mark = out / "killed"
        if config.get("kill") and rank == "1" and self.state.global_step == KILL_AT and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        with (out / f"read-{rank}.jsonl").open("a") as file:
            completions = [[t for t in row if t != -100] for row in batch["labels"].tolist()]
            file.write(json.dumps([self.state.global_step, completions]) + "\n")
        return summed(self, batch)

    _Lean._summed = noted  # type: ignore[method-assign]
    loop.DEAR = 0  # saved at every step, however long that takes
    every = 1e-9 if config.get("kill") else 1e9
    settings = Settings(
        batch_size=BATCH, learning_rate=3e-3, warmup=3, checkpoint_seconds=every, **config["settings"]
    )
    if config.get("refuse") and rank == "1":
        raise PbbError("training: what the second process cannot do: do it yourself")
    measured = sft(model, tokenizer, documents(), settings, out, progress)
    if rank == "0":
        (out / "training.json").write_text(json.dumps(measured))


def step(name: str, processes: int, **config: Any) -> Step:
    config = {"name": name, "settings": {}} | config
    config["settings"] = {"processes": processes} | config["settings"]
    return Step("train", name, config, {}, "in_processes:train", processes=processes, cores=processes)


WHOLE = {
    name: step(name, n, settings=given)
    for name, n, given in (
        ("adamw-1", 1, {}),
        ("adamw-2", 2, {}),
        ("muon-1", 1, {"optimizer": "muon"}),
        ("muon-2", 2, {"optimizer": "muon"}),
        ("lora-1", 1, {"lora": 4}),
        ("lora-2", 2, {"lora": 4, "checkpointing": True, "accumulate": 2}),
        ("fsdp-2", 2, {"fsdp": True}),
        ("packed-2", 2, {"packing": True}),
    )
}
KILLED = {
    "killed": step("killed", 2, kill=True),
    "killed-fsdp": step("killed-fsdp", 2, kill=True, settings={"fsdp": True}),
}
REFUSED = {
    "refused": step("refused", 2, refuse=True),
    "alone": Step("train", "alone", {"settings": {"processes": 2}}, {}, "in_processes:train"),
    "without GPUs": step("without GPUs", 2, honest=True, settings={"fsdp": True}),
}


def main() -> None:
    run = Path(sys.argv[1])
    preload = ["torch.distributed.launcher.api", "pbb.ranks", "pbb.training.sft"]
    execute(list(WHOLE.values()), run, workers=2, preload=preload)
    told = {}
    for name, failing in (KILLED | REFUSED).items():
        try:
            execute([failing], run, workers=2)
        except (StepCrashed, PbbError) as error:
            told[name] = f"{type(error).__name__}: {error}"
    execute(list(KILLED.values()), run, workers=2)
    (run / "told.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()
