"""Memory and time are told before anything starts; too little memory is one line whose remedy would fit."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import LlamaForCausalLM

from pbb import estimate, machine
from pbb.cli import main
from pbb.estimate import HAND, KNOWN, Shape, asking, fits, need, needs, places, preflight, shape
from pbb.graph import ALL
from pbb.models.place import BASE
from pbb.recipe import Recipe
from pbb.recipe_file import load
from pbb.recipe_graph import graph
from pbb.recipe_stages import Stage

Refused = Callable[..., AbstractContextManager[None]]
SMOL = KNOWN["smollm2 (135 million)"]
LLAMA = KNOWN["a Llama of 8 billion"]


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "device_memory", lambda: None)
    monkeypatch.setattr(machine, "devices", lambda: 0)


def gpus(count: int, gigabytes: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many GPUs, the first of them with so much free memory, or with memory that it does not tell."""
    monkeypatch.setattr(machine, "devices", lambda: count)
    monkeypatch.setattr(machine, "device_memory", lambda: gigabytes and int(gigabytes * 1e9))


def free(gigabytes: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "memory", lambda: (int(gigabytes * 1e9), int(32e9)))


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    monkeypatch.setattr(estimate, "_longest", lambda recipe: 182)
    return load("arithmetic", ["model=base"])


def test_sizes_come_from_the_folder(
    model_folder: Path, tiny_llama: Callable[[int], LlamaForCausalLM]
) -> None:
    model = tiny_llama(0)
    of = shape(model_folder)
    assert of.weights == sum(p.numel() for p in model.parameters())
    assert (of.layers, of.width, of.inner, of.heads) == (2, 32, 64, 2)
    if (BASE / "model.safetensors").exists():
        assert 2e6 < shape(BASE).weights < 4e6


def test_an_adapters_size_is_pefts(tiny_llama: Callable[[int], LlamaForCausalLM], model_folder: Path) -> None:
    from pbb.training.adapter import adapted

    trained = [p.numel() for p in adapted(tiny_llama(0), 4, 0).parameters() if p.requires_grad]
    assert shape(model_folder).adapter(4) == sum(trained)


def test_a_pointer_in_place_of_weights_is_refused(
    model_folder: Path, tmp_path: Path, refused: Refused
) -> None:
    """What a clone without Git LFS holds."""
    folder = shutil.copytree(model_folder, tmp_path / "model")
    (folder / "model.safetensors").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
    )
    with refused("model: ", str(folder), "get the folder again"):
        shape(folder)


def test_a_folder_without_sizes_is_refused(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "config.json").write_text("{}")
    with refused("model: ", str(tmp_path), "sizes"):
        shape(tmp_path)


def test_memory_is_what_smollm2_took(recipe: Recipe) -> None:
    """9.9 to 10.7 GB were measured on its runs in batches of 16, documents of at most 182 tokens (docs/hardware.md)."""
    assert 9.4e9 < need("learn", Stage(), 4200, 182, SMOL, False).bytes < 11.2e9


def test_every_way_of_saving_memory_saves_some() -> None:
    size = {
        name: need("s", stage, 1000, 182, SMOL, False).bytes
        for name, stage in {
            "full": Stage(), "lora": Stage(lora=16), "passes": Stage(accumulate=8),
            "again": Stage(checkpointing=True), "all": Stage(lora=16, accumulate=8, checkpointing=True),
        }.items()
    }  # fmt: skip
    assert (
        size["all"] < min(size["lora"], size["passes"], size["again"])
        and max(size, key=size.__getitem__) == "full"
    )


def test_a_stage_of_grpo_counts_its_rollouts() -> None:
    stage = Stage(method="grpo")
    assert stage.grpo is not None
    some = need("s", stage, 64, 100, SMOL, False)
    assert some.documents == 64 * 8 and some.longest == 100 + stage.grpo.max_tokens
    kl = Stage.model_validate({"method": "grpo", "grpo": {"kl": 0.1}})
    assert need("s", kl, 64, 100, SMOL, False).bytes - some.bytes == 4 * SMOL.weights


def test_a_stage_of_dpo_counts_what_it_draws_and_the_model_it_is_held_to() -> None:
    plain, stage = Stage(), Stage(method="dpo")
    assert stage.dpo is not None
    some, alike = need("s", stage, 64, 100, SMOL, False), need("s", plain, 64, 100, SMOL, False)
    assert some.longest == 100 + stage.dpo.max_tokens and some.bytes - alike.bytes > 8 * SMOL.weights


@pytest.mark.parametrize("method", ["grpo", "dpo"])
def test_a_gpu_holds_keys_and_values_where_a_cpu_holds_a_copy_of_the_matrices(method: str) -> None:
    """8 billion weights with adapters go on one GPU of 80 GB; what is drawn at once is counted once it is more than what training keeps."""

    def size(gpu: bool, **dials: object) -> int:
        frugal = {"method": method, "lora": 16, "checkpointing": True, method: dials}
        return need("s", Stage.model_validate(frugal), 64, 170, LLAMA, gpu).bytes

    assert 4 * LLAMA.weights < size(True) < 60e9 < 80e9 < size(False)
    answers = 64 * 256  # eight groups of prompts in a step of GRPO, a hand of 32 for DPO
    many = size(True, group_size=answers // (8 if method == "grpo" else HAND), max_tokens=400)
    trained = LLAMA.adapter(16)
    cache = 4 * answers * (170 + 400) * LLAMA.layers * LLAMA.cached
    if method == "dpo":
        assert many == estimate.PROCESS + 4 * LLAMA.weights + 16 * trained + cache
    else:  # whose answers are also what is trained on
        assert many >= cache


def test_as_many_answers_are_drawn_at_once_as_dpo_draws() -> None:
    from pbb.training import dpo

    assert dpo.HAND == HAND


def test_answers_by_vllm_need_weights_of_its_own() -> None:
    few = {"vllm": True, "prompts_per_step": 2, "group_size": 2, "max_tokens": 30}
    stage = Stage.model_validate({"method": "grpo", "lora": 16, "checkpointing": True, "grpo": few})
    cache = 2 * 4 * 200 * LLAMA.layers * LLAMA.cached
    whole = estimate.PROCESS + 6 * LLAMA.weights + 16 * LLAMA.adapter(16) + cache
    assert need("s", stage, 64, 170, LLAMA, True).bytes == whole


def test_attention_is_kept_where_it_is_not_fused(model_folder: Path, tmp_path: Path) -> None:
    """On a CPU, and on a GPU for models whose scores are capped."""
    fused, capped = (
        need("s", Stage(), 64, 200, replace(SMOL, capped=capped), True).bytes for capped in (False, True)
    )
    assert capped - fused == 4 * 16 * 200 * SMOL.layers * 3 * SMOL.heads * 200
    assert capped == need("s", Stage(), 64, 200, SMOL, False).bytes
    folder = shutil.copytree(model_folder, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"attn_logit_softcapping": 50.0}))
    assert (shape(model_folder).capped, shape(folder).capped) == (False, True)


def test_logits_of_dpo_are_there_by_tiles_however_long_the_documents() -> None:
    """Of 24,000 positions (16 pairs) as of 12,000, but for the layers."""
    stage = Stage(method="dpo", batch_size=16)
    assert stage.dpo is not None
    layers = 16 * SMOL.width + 4 * SMOL.inner  # more than any part of them
    some, more = (need("s", stage, 64, n - stage.dpo.max_tokens, SMOL, False) for n in (375, 750))
    attention = 4 * 32 * SMOL.layers * 3 * SMOL.heads * (750**2 - 375**2)
    assert more.bytes - some.bytes - attention <= 4 * 32 * 375 * SMOL.layers * layers


def test_only_stages_that_an_arm_trains_are_counted(recipe: Recipe) -> None:
    arms = {"proactive": recipe.arms["proactive"]}
    small = recipe.model_copy(update={"arms": arms})
    assert [n.stage for n in needs(small, SMOL, False)] == recipe.arms["proactive"].stages


def test_documents_are_as_long_as_those_of_the_recipe() -> None:
    """The longest of the default recipe has 136 tokens in a sample of 80 programs, and a fifth more is allowed for."""
    assert 90 < estimate._longest(load("arithmetic")) < 250


def test_with_room_one_line_is_told(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    free(16, monkeypatch)
    (line,) = preflight(recipe, 2)
    assert re.match(r"base: [\d.]+ million weights; stage \w+ needs about [\d.]+ GB of 16.0 GB free$", line)


def test_every_model_of_the_arms_is_told(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch, model_folder: Path
) -> None:
    free(16, monkeypatch)
    arms = recipe.arms | {"smaller": recipe.arms["proactive"].model_copy(update={"model": str(model_folder)})}
    told = preflight(recipe.model_copy(update={"arms": arms}), 2)
    assert [line.split(": ")[0] for line in told if "weights; stage" in line] == ["base", str(model_folder)]


def test_the_command_weighs_every_model_by_name(capfd: pytest.CaptureFixture[str]) -> None:
    own = "arms.other={model: base-strings, stages: [read]}"
    assert main(["estimate", "no-replay", "--model", "base", "--set", own, "--json"]) == 0
    stages = [row["stage"] for row in json.loads(capfd.readouterr().out)["stages"]]
    assert stages == ["base: learn", "base: read", "base-strings: read"]


@pytest.mark.parametrize("gigabytes", [1.1, 2.0, 3.0, 6.0])
def test_too_little_memory_is_one_line_with_what_fits(
    gigabytes: float, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, refused: Refused, model_folder: Path
) -> None:
    free(gigabytes, monkeypatch)
    monkeypatch.setattr(estimate, "shape", lambda folder: SMOL)
    large = recipe.model_copy(update={"model": str(model_folder)})
    with refused("memory: ", f"{gigabytes:.1f} GB are free"), pytest.MonkeyPatch.context():
        preflight(large, 1)
    with pytest.raises(Exception, match="memory") as caught:
        preflight(large, 1)
    changes = dict(re.findall(r"--set stages\.learn\.(\w+)=(\w+)", str(caught.value)))
    told = re.search(r"needs about ([\d.]+) GB$", str(caught.value))
    if gigabytes > 1.2:
        assert told and float(told[1]) <= gigabytes
        stage = Stage.model_validate(
            recipe.stages["learn"].model_dump()
            | {k: json.loads(v) if v != "adamw" else v for k, v in changes.items()}
        )
        assert need("learn", stage, 1, 182, SMOL, False).bytes <= gigabytes * 1e9


def test_two_workers_need_twice_as_much(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    monkeypatch.setattr(estimate, "shape", lambda folder: KNOWN["base (2.7 million weights)"])
    one = max(n.bytes for n in needs(recipe, KNOWN["base (2.7 million weights)"], False)) / 1e9
    free(1.2 * one, monkeypatch)
    assert preflight(recipe, 1)
    with refused("memory: ", "each of 2 workers", "--workers 1"):
        preflight(recipe, 2)


def test_no_more_trainings_are_counted_than_can_run_at_once(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    """Four chains of the default recipe begin none of the others: a machine with many cores needs no more memory than with four."""
    monkeypatch.setattr(estimate, "shape", lambda folder: KNOWN["base (2.7 million weights)"])
    whole = load("arithmetic")
    one = max(n.bytes for n in needs(whole, KNOWN["base (2.7 million weights)"], False)) / 1e9
    free(5 * one, monkeypatch)
    assert preflight(whole, 4) == preflight(whole, 64)
    with refused("each of 12 workers", "give --workers 5"):
        preflight(whole.model_copy(update={"seeds": [0, 1, 2]}), 64)


def test_answers_by_vllm_are_refused_before_training_where_there_is_none(
    recipe: Recipe, refused: Refused
) -> None:
    asked = recipe.evaluation.model_copy(update={"vllm": True})
    with refused("evaluation.vllm", "GPU", "pip install"):
        preflight(recipe.model_copy(update={"evaluation": asked}), 1)


def test_rollouts_by_vllm_are_refused_before_training_where_there_is_none(refused: Refused) -> None:
    asked = "stages.run-grpo-2.grpo.vllm=true"
    with refused("grpo.vllm", "GPU", "pip install"):
        preflight(load("retroactive", [asked]), 1)
    unused = ["arms.retroactive-grpo-2=null", "arms.grpo-without-source=null"]
    preflight(load("retroactive", [asked, *unused]), 1)


@pytest.mark.parametrize("gpu", [True, False])
def test_an_evaluation_that_does_not_fit_is_refused_before_training(
    gpu: bool, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, refused: Refused, model_folder: Path
) -> None:
    """14 billion weights are trained by LoRA on a GPU of 80 GB, and 256 questions at a time do not go beside them."""
    qwen = Shape(14_768_307_200, 40, 5120, 17_408, 40, 151_936, 2048)
    monkeypatch.setattr(estimate, "shape", lambda folder: qwen)
    frugal = {"lora": 16, "checkpointing": True, "accumulate": 16, "batch_size": 16, "optimizer": "adamw"}
    stages = {name: stage.model_copy(update=frugal) for name, stage in recipe.stages.items()}
    asked = recipe.evaluation.model_copy(update={"batch_size": 256})
    large = recipe.model_copy(update={"model": str(model_folder), "stages": stages, "evaluation": asked})
    if gpu:
        gpus(1, 76, monkeypatch)
        free(400, monkeypatch)
    else:
        free(76, monkeypatch)
    with refused(
        "256 questions", "84.9 GB", "76.0 GB are free", "--set evaluation.batch_size=128 needs about"
    ):
        preflight(large, 1)
    fewer = large.evaluation.model_copy(update={"batch_size": 128})
    assert preflight(large.model_copy(update={"evaluation": fewer}), 1)
    monkeypatch.setattr("pbb.models.vllm.require", lambda key: None)
    vllm = large.evaluation.model_copy(update={"vllm": True})
    assert preflight(large.model_copy(update={"evaluation": vllm}), 1)
    untrained = {"untrained": recipe.arms["untrained"]}
    (gpus(1, 40, monkeypatch) if gpu else free(40, monkeypatch))
    with refused("256 questions", "40.0 GB are free: take a smaller model, or a machine with 84.9 GB"):
        preflight(large.model_copy(update={"arms": untrained}), 1)


def test_a_gpu_that_does_not_say_what_it_has_free_refuses_nothing(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(0.1, monkeypatch)
    gpus(1, None, monkeypatch)
    (line,) = preflight(recipe, 2)
    assert re.search(r"stage \w+ needs about [\d.]+ GB; what the GPU has free is not known$", line)


@pytest.mark.parametrize("fsdp", [True, False])
def test_each_process_takes_the_model_through_the_machines_memory(
    fsdp: bool, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, refused: Refused, model_folder: Path
) -> None:
    monkeypatch.setattr(estimate, "shape", lambda folder: LLAMA)
    how = {"batch_size": 8} if fsdp else {"batch_size": 8, "lora": 16}
    update = {"checkpointing": True, "optimizer": "adamw", **how}
    stages = {name: stage.model_copy(update=update) for name, stage in recipe.stages.items()}
    eight = recipe.model_copy(
        update={"model": str(model_folder), "stages": stages, "processes": 8, "fsdp": fsdp}
    )
    gpus(8, 80, monkeypatch)
    free(200, monkeypatch)
    with refused("memory: ", "each of 8 processes loads the whole model", "262.2 GB", "200.0 GB are free"):
        preflight(eight, 1)
    free(300, monkeypatch)
    assert preflight(eight, 1)


def test_each_process_holds_the_model_and_its_share_of_a_batch(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch, refused: Refused, model_folder: Path
) -> None:
    def size(*shared_out: int) -> int:
        return need("s", Stage(batch_size=16), 1000, 182, SMOL, False, *shared_out).bytes

    weights = 16 * SMOL.weights
    exchanged = 4 * SMOL.weights  # the gradients that DDP sends
    assert weights + exchanged < size(2) < size() < 2 * size(2)
    assert size(2) - size(2, 2) == weights / 2 + exchanged
    adapters = SMOL.adapter(16)
    alone, two = (need("s", Stage(lora=16), 64, 182, SMOL, False, n).bytes for n in (1, 2))
    half = need("s", Stage(lora=16, batch_size=8), 64, 182, SMOL, False).bytes
    assert two - half == 4 * adapters < alone - half
    monkeypatch.setattr(estimate, "shape", lambda folder: SMOL)
    monkeypatch.setattr(machine, "devices", lambda: 0)
    monkeypatch.setattr(machine, "available_cores", lambda: 2)
    two = recipe.model_copy(update={"model": str(model_folder), "processes": 2})
    free(1.2 * size() / 1e9, monkeypatch)  # the recipe's batches of 32, shared out by two
    with refused("memory: ", "each of 2 processes", "fewer --processes"):
        preflight(two, 2)
    free(100, monkeypatch)
    assert preflight(two, 2)
    with refused("processes: 3: there are 2 cores", "--processes 2"):
        preflight(two.model_copy(update={"processes": 3}), 2)
    with refused("fsdp", "GPUs, and there is none", "--launch torchrun"):
        preflight(two.model_copy(update={"fsdp": True}), 2)


def test_the_largest_known_models_do_not_fit_here() -> None:
    rows = fits(int(15e9))
    assert [row["full, batch 16"]["fits"] for row in rows] == [True, True, False, False]
    assert isinstance(SMOL, Shape)


def test_estimate_is_a_table_or_json(capsys: pytest.CaptureFixture[str], recipe: Recipe) -> None:
    assert main(["estimate", "arithmetic", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {row["stage"] for row in found["stages"]} == {"learn", "read", "read-wrong", "together"}
    assert all(row["bytes"] > 4e8 and row["seconds"] > 0 for row in found["stages"])
    assert (found["run"]["seeds"], found["run"]["steps"]) == (1, len(graph(load("arithmetic"))))
    assert found["run"]["seconds"] > max(row["seconds"] for row in found["stages"])
    assert main(["estimate", "arithmetic", "--seeds", "3"]) == 0
    out = capsys.readouterr().out
    assert "read-wrong" in out
    assert f"the run of 3 seeds takes about {{}}: {len(graph(load('arithmetic', seeds=3)))} steps" in re.sub(
        r"about [^:]+:", "about {}:", out
    )


def test_an_evaluation_takes_what_those_of_smollm2_took() -> None:
    """2.4 to 2.7 GB at the peak of a hundred questions at a time."""
    assert 2.4e9 < asking(SMOL, 100) < 2.8e9


def test_evaluations_of_a_large_model_run_side_by_side_as_far_as_memory_goes(
    monkeypatch: pytest.MonkeyPatch, model_folder: Path
) -> None:
    monkeypatch.setattr(machine, "devices", lambda: 0)
    monkeypatch.setattr(machine, "available_cores", lambda: 16)
    told = []
    for gigabytes in (2, 4, 8, 64):
        free(gigabytes, monkeypatch)
        told.append(places("smollm2", 100))
    assert told == [ALL, 16, 6, 1]  # none, one, three and all sixteen fit
    assert places("base", 100) == places(str(model_folder), 100) == 1
    assert places("owner/unseen", 100) == ALL
    monkeypatch.setattr(machine, "devices", lambda: 1)
    assert places("smollm2", 100) == ALL


def test_chats_count_among_the_documents(recipe: Recipe, tmp_path: Path) -> None:
    chats = tmp_path / "chats.jsonl"
    chats.write_text(json.dumps({"prompt": "Tell me all.", "completion": "word " * 280}) + "\n")
    part = {"kind": "chat", "path": str(chats), "count": 1}
    mix = [*recipe.resolved()["stages"]["read"]["mix"], part]
    with_chats = load("arithmetic", [f"stages.read.mix={json.dumps(mix)}"])
    longest = {n.stage: n.longest for n in needs(with_chats, SMOL, False)}
    assert longest["learn"] == 182 and longest["read"] == longest["together"] > 280


def test_composites_count_among_the_documents() -> None:
    """They recite three sources."""
    assert estimate._longest(load("composition")) > 1.2 * estimate._longest(load("arithmetic"))
