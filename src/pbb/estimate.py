"""What a recipe will need, before anything starts: the memory of every stage, from sizes alone.

    full finetuning, AdamW   16 bytes a weight: itself, its gradient, two moments (Muon: 12 to 16)
    LoRA of rank r           4 bytes a weight, 16 an adapter's weight
    several processes        4 bytes more a weight that is trained, for the gradients that they exchange (not where weights are shared out)
    activations              a pass's tokens x layers x (12 width + 4 inner + 3 heads x length), 4 bytes each; on a GPU, whose attention is fused,
                             without the last of them
    the head                 completion tokens x vocabulary x 12 bytes
    answers that are drawn   on a CPU a copy of the matrices; on a GPU keys and values, while there are no activations

Held against runs of SmolLM2-135M in batches of 16 it is right within a tenth (docs/hardware.md). How long it takes is the matter of
`pbb.durations`.

Contract: nothing is trained, and no weight is loaded; `preflight` either returns lines for people or refuses in one line with the remedy.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from pbb import machine
from pbb.errors import PbbError
from pbb.graph import ALL
from pbb.models import place
from pbb.recipe import Recipe
from pbb.recipe_stages import Stage
from pbb.training.passes import passes

PROCESS = 650_000_000  # bytes of an idle step with its libraries
LONGEST = 300  # tokens of a document where no sample of the data can be drawn at once
DRAWN = 32  # programs of each group in that sample
SEEN = 1.15  # by how much the longest of all exceeds the longest of the sample
WRITTEN = 0.6  # share of a document that is completion
TILE = (4_096, 32_768)  # positions and words whose logits TRL 1.16 has at a time for DPO
TILED = 34  # bytes of each of these, measured on a CPU (docs/lab-notes.md)
HAND = 32  # prompts whose answers DPO draws together (pbb.training.dpo)
SPARE = 1.1  # a run is refused where it would need more than this times what is free


@dataclass(frozen=True)
class Shape:
    """Sizes of a model, from its config.json and the headers of its safetensors.

    cached: numbers a position and layer keeps while it writes. capped: whether its attention is never fused (see `pbb.models.load`).
    """

    weights: int
    layers: int
    width: int
    inner: int
    heads: int
    vocabulary: int
    cached: int
    capped: bool = False

    def adapter(self, rank: int) -> int:
        """Weights of LoRA on the seven matrices of each block."""
        return self.layers * rank * (8 * self.width + 3 * (self.width + self.inner))


@dataclass(frozen=True)
class Need:
    """What one stage takes: documents (or rollouts), tokens of the longest, bytes at its peak."""

    stage: str
    documents: int
    longest: int
    bytes: int


def shape(folder: Path) -> Shape:
    """Read the sizes of the model in a folder; PbbError where it has no safetensors or its config lacks sizes."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config = config.get("text_config") or config
        width = int(_first(config, "hidden_size", "n_embd"))
        heads = int(_first(config, "num_attention_heads", "n_head"))
        cached = (
            2
            * int(config.get("num_key_value_heads") or heads)
            * int(config.get("head_dim") or width // heads)
        )
        files = sorted(folder.glob("model*.safetensors"))
        if not files:
            raise PbbError(
                f"model: {folder}: has no model.safetensors: get the folder again, or convert its weights"
            )
        return Shape(
            weights=sum(_weights(path) for path in files),
            layers=int(_first(config, "num_hidden_layers", "n_layer")),
            width=width,
            inner=int(config.get("intermediate_size") or config.get("n_inner") or 4 * width),
            heads=heads,
            vocabulary=int(config["vocab_size"]),
            cached=cached,
            capped=bool(config.get("attn_logit_softcapping")),
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError, SafetensorError) as error:
        raise PbbError(
            f"model: {folder}: its sizes cannot be read ({error!r}): get the folder again"
        ) from error


def _first(config: dict[str, Any], *keys: str) -> Any:
    return next((config[key] for key in keys if key in config), None) or config[keys[0]]


def _weights(path: Path) -> int:
    with safe_open(path, "numpy") as file:
        return sum(math.prod(file.get_slice(name).get_shape()) for name in sorted(file.keys()))


def need(
    name: str,
    stage: Stage,
    documents: int,
    longest: int,
    of: Shape,
    gpu: bool,
    processes: int = 1,
    shards: int = 1,
) -> Need:
    """What a stage takes that shows so many documents, the longest of so many tokens.

    The bytes are those of each process, with a share of every batch and one of so many shards of the weights.
    """
    trained = of.adapter(stage.lora) if stage.lora else of.weights
    held = 4 * of.weights + 12 * trained + (4 * trained if stage.lora else 0)
    held += 4 * trained if processes > shards else 0
    cut = passes(stage.batch_size, stage.accumulate, processes, not gpu)
    rows = stage.batch_size // cut // processes
    drawn = 0  # answers at a time
    if stage.grpo:
        longest += stage.grpo.max_tokens
        drawn = stage.grpo.prompts_per_step * stage.grpo.group_size
        # all are kept for the backward pass, but few are as long as they may be, and groups that earn the same are left out
        rows = math.ceil(0.6 * drawn)
        documents = stage.grpo.shown(documents) * stage.grpo.group_size
        held += 4 * of.weights * bool(stage.grpo.kl and not stage.lora)
    if stage.dpo:
        longest += stage.dpo.max_tokens
        drawn = HAND * stage.dpo.group_size
        rows = 2 * stage.batch_size
        held += 4 * of.weights * (not stage.lora)
    if drawn and not gpu:
        held += 4 * of.weights
    tokens = rows * longest
    layer = 12 * of.width + 4 * of.inner + (0 if gpu and not of.capped else 3 * of.heads * longest)
    kept = layer + of.layers * of.width if stage.checkpointing else of.layers * layer
    # TRL's DPO takes every position's logits, by tiles
    tiled = TILED * min(tokens, TILE[0]) * min(of.vocabulary, TILE[1])
    head = tiled if stage.dpo else 12 * int(WRITTEN * tokens) * of.vocabulary
    cache = drawn * longest * of.layers * of.cached if gpu else 0
    # vLLM has weights of its own while it draws, all in bfloat16
    drawing = 2 * (of.weights + cache) if stage.grpo and stage.grpo.vllm else 4 * cache
    size = PROCESS + held // shards + max(4 * tokens * kept + head, drawing)
    return Need(name, documents, longest, int(size))


def needs(recipe: Recipe, of: Shape, gpu: bool) -> list[Need]:
    """Every stage that an arm of the recipe trains, in the order of the recipe."""
    used = {stage for arm in recipe.arms.values() for stage in arm.stages}
    longest = _longest(recipe)
    return [
        need(
            name,
            stage,
            math.ceil(recipe.documents(name)),
            max(longest, _longest_chat(recipe, name)),
            of,
            gpu,
            *_shared_out(recipe, stage),
        )
        for name, stage in recipe.stages.items()
        if name in used
    ]


def _shared_out(recipe: Recipe, stage: Stage) -> tuple[int, int]:
    """How many processes train a stage, and over how many of them the weights are shared out."""
    processes = recipe.processes if stage.method == "sft" else 1
    return processes, processes if recipe.fsdp else 1


def asking(of: Shape, rows: int) -> int:
    """Bytes of an evaluation that puts so many questions at a time: the weights, and what is kept of each position."""
    return PROCESS + 4 * of.weights + 4 * rows * LONGEST * of.layers * of.cached


def places(model: str, rows: int) -> int:
    """Of a run's cores, how many an evaluation takes the place of: as few as memory allows side by side, but all on a GPU.

    All for a model as well whose files are still to be had.
    """
    if place.small(model):
        return 1
    here = place.local(model)
    of = SMOLLM2 if model == "smollm2" else shape(here) if here and here.is_dir() else None
    fit = 0 if of is None or machine.devices() else int(SPARE * machine.memory()[0]) // asking(of, rows)
    return -(-machine.available_cores() // fit) if fit else ALL


def _longest(recipe: Recipe) -> int:
    """Tokens of the longest document about programs: of a small sample where these are pbb's own, else a guess."""
    from pbb.documents.corpus import Share, stage_documents
    from pbb.documents.render import templates

    if recipe.data.isolate() is not None:
        return LONGEST
    few: dict[str, Any] = {"io": DRAWN, "source_only": DRAWN}
    if recipe.compose:
        few["compose"] = recipe.compose.model_copy(update=few)
    some = recipe.data.model_copy(update=few)
    try:
        programs = some.programs(0, recipe.asked(), lambda done, total, what: None)
    except PbbError:  # dials that no small set satisfies
        return LONGEST
    shares = [
        s.model_copy(update={"per_program": 4.0})
        for name in recipe.stages
        for s in recipe.mix(name)
        if isinstance(s, Share)
    ]
    phrasings = templates(recipe.data.templates).cut(**recipe.templates.model_dump())
    documents = stage_documents(programs, shares, phrasings, stage="sample", seed=0)
    chosen = random.Random(0).sample(documents, min(400, len(documents)))
    lengths = _lengths(recipe.model, [f"{d.prompt}\n{d.completion}" for d in chosen])
    return round(SEEN * max(lengths, default=LONGEST)) + 8  # and the marks of the chat


def _longest_chat(recipe: Recipe, stage: str) -> int:
    """Tokens of the longest of the chats that a stage replays; 0 where it replays none. PbbError where they cannot be read."""
    from pbb.documents.chats import Chat, replayed

    chats = [
        c for part in recipe.mix(stage) if isinstance(part, Chat) for c in replayed(part, random.Random(0))
    ]
    lengths = _lengths(recipe.model, [f"{c.prompt}\n{c.completion}" for c in chats])
    return max(lengths, default=-8) + 8


def _lengths(model: str, texts: Sequence[str]) -> list[int]:
    from tokenizers import Tokenizer

    path = place.folder(model) / "tokenizer.json"
    if not path.is_file():
        return [len(t) // 2 for t in texts]
    return [
        len(e.ids) for e in Tokenizer.from_file(str(path)).encode_batch(list(texts), add_special_tokens=False)
    ]


def preflight(recipe: Recipe, workers: int) -> list[str]:
    """What to tell a person before the recipe trains: for each of its models faults of the tokenizer, then memory.

    Raises:
        PbbError: the model can't be had or read, or memory is too small for a stage or an evaluation, or there are fewer cores or GPUs than
            processes, or no vLLM that the recipe asks for; the line says what would fit.
    """
    machine.enough(recipe.processes)
    if recipe.fsdp and not machine.devices():
        raise PbbError("fsdp: weights are shared out over GPUs, and there is none: give --launch torchrun")
    used = {stage for arm in recipe.arms.values() for stage in arm.stages}
    rolled = any((grpo := recipe.stages[name].grpo) and grpo.vllm for name in used)
    if recipe.evaluation.vllm or rolled:
        from pbb.models.vllm import require

        require("grpo.vllm" if rolled else "evaluation.vllm")
    lines = []
    alone = [name for name, stage in recipe.stages.items() if name in used and stage.method != "sft"]
    if recipe.processes > 1 and alone:
        lines.append(f"{', '.join(alone)}: trained in one process, not in {recipe.processes}")
    return lines + [line for start in recipe.starts() for line in _fits(recipe.alone(start), workers)]


def _fits(recipe: Recipe, workers: int) -> list[str]:
    """`preflight` of a recipe whose arms all start from its model."""
    source, lines = place.folder(recipe.model), []
    if recipe.model not in place.EMBEDDED:
        from pbb.models.fitness import warnings
        from pbb.models.load import read_tokenizer

        place.architecture(recipe.model, source)
        lines += warnings(read_tokenizer(recipe.model, str(source)), recipe.model)
    of, gpu = shape(source), machine.devices() > 0
    free = machine.device_memory() if gpu else machine.memory()[0]
    found = needs(recipe, of, gpu)
    if found:
        largest = max(found, key=lambda n: n.bytes)
        small = place.small(recipe.model)
        beside = min(workers, _side_by_side(recipe)) if small else 1
        if not small and not gpu:
            beside, _ = _shared_out(recipe, recipe.stages[largest.stage])
        if free is not None and largest.bytes * beside > SPARE * free:
            raise PbbError(_too_little(recipe, largest, of, beside, free, gpu))
        if gpu and any(recipe.stages[n.stage].method == "sft" for n in found):
            _loaded(recipe, of)
        there = "; what the GPU has free is not known" if free is None else f" of {gigabytes(free)} free"
        need = f"stage {largest.stage} needs about {gigabytes(largest.bytes)}"
        lines.append(f"{recipe.model}: {_count(of.weights)} weights; {need}{there}")
    if free is not None and not recipe.evaluation.vllm:
        _answered(recipe, of, free)
    return lines


def _loaded(recipe: Recipe, of: Shape) -> None:
    """PbbError where several processes cannot have the model in the machine's memory, which each takes its weights to its GPU from."""
    free = machine.memory()[0]
    size = recipe.processes * (PROCESS + 4 * of.weights)
    if recipe.processes > 1 and size > SPARE * free:
        raise PbbError(
            f"memory: {recipe.model}: each of {recipe.processes} processes loads the whole model before it goes to the GPUs, "
            f"which needs about {gigabytes(size)} of the machine's own memory, and {gigabytes(free)} are free: give fewer --processes, "
            f"or take a machine with {gigabytes(size)}"
        )


def _answered(recipe: Recipe, of: Shape, free: int) -> None:
    """PbbError where the questions of an evaluation cannot be put, as many at a time as the recipe says."""
    rows = recipe.evaluation.batch_size
    size = asking(of, rows)
    if size <= SPARE * free:
        return
    remedy = f"take a smaller model, or a machine with {gigabytes(size)}"
    while rows := rows // 2:
        if (fewer := asking(of, rows)) <= free:
            remedy = f"--set evaluation.batch_size={rows} needs about {gigabytes(fewer)}"
            break
    raise PbbError(
        f"memory: {recipe.model}: an evaluation of {recipe.evaluation.batch_size} questions at a time needs about {gigabytes(size)}, "
        f"and {gigabytes(free)} are free: {remedy}"
    )


def _side_by_side(recipe: Recipe) -> int:
    """How many trainings of a recipe can run at once: one for each chain of stages that is no other's beginning, and each seed."""
    chains = {tuple(arm.stages) for arm in recipe.arms.values()}
    begun = {chain[:length] for chain in chains for length in range(len(chain))}
    return len(chains - begun) * len(recipe.seeds)


def _too_little(recipe: Recipe, largest: Need, of: Shape, beside: int, free: int, gpu: bool) -> str:
    """The error's line, with the smallest change that would fit."""
    stage = recipe.stages[largest.stage]
    documents = math.ceil(recipe.documents(largest.stage))
    drawn = stage.grpo or stage.dpo
    length = largest.longest - (drawn.max_tokens if drawn else 0)
    changes: list[dict[str, Any]] = []
    out = _shared_out(recipe, stage)
    if stage.method == "sft":
        cuts = [n for n in range(2, stage.batch_size + 1) if stage.batch_size % (n * out[0]) == 0]
        changes += [{"accumulate": n} for n in cuts]
        changes += [{"accumulate": n, "checkpointing": True} for n in cuts]
    if not recipe.fsdp:
        changes += [{**c, "lora": 16, "optimizer": "adamw"} for c in [{"checkpointing": True}, *changes]]
    remedy = f"take a smaller model, or a machine with {gigabytes(largest.bytes * beside)}"
    if beside > 1 and largest.bytes <= SPARE * free:
        fit = int(SPARE * free) // largest.bytes
        remedy = (
            f"give --workers {fit}" if recipe.processes == 1 else "give fewer --processes, and --workers 1"
        )
    else:
        for change in changes:
            fits = need(largest.stage, stage.model_copy(update=change), documents, length, of, gpu, *out)
            if fits.bytes * beside <= free:
                given = " ".join(
                    f"--set stages.{largest.stage}.{k}={str(v).lower()}" for k, v in change.items()
                )
                remedy = f"{given} needs about {gigabytes(fits.bytes * beside)}"
                break
    each = (
        f" for each of {beside} {'workers' if recipe.processes == 1 else 'processes'}" if beside > 1 else ""
    )
    return (
        f"memory: {recipe.model}: stage {largest.stage} needs about {gigabytes(largest.bytes)}{each}, "
        f"and {gigabytes(free)} are free: {remedy}"
    )


def gigabytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB"


def _count(weights: int) -> str:
    return f"{weights / 1e9:.1f} billion" if weights >= 1e9 else f"{weights / 1e6:.1f} million"


SMOLLM2 = Shape(134_515_008, 30, 576, 1536, 9, 49152, 384)
KNOWN = {
    "base (2.7 million weights)": Shape(2_747_040, 8, 160, 416, 5, 2048, 320),
    "smollm2 (135 million)": SMOLLM2,
    "a Llama of 1 billion": Shape(1_235_814_400, 16, 2048, 8192, 32, 128256, 1024),
    "a Llama of 8 billion": Shape(8_030_261_248, 32, 4096, 14336, 32, 128256, 2048),
}


def fits(free: int) -> list[dict[str, Any]]:
    """What of a few well-known sizes can be trained in so much memory, documents of 170 tokens: full, frugally, or by LoRA."""
    ways = {
        "full, batch 16": Stage(),
        "full, 16 passes, checkpointing": Stage(accumulate=16, checkpointing=True),
        "lora 16, 16 passes, checkpointing": Stage(accumulate=16, checkpointing=True, lora=16),
    }
    rows = []
    for name, of in KNOWN.items():
        sizes = {way: need("", stage, 1, 170, of, False).bytes for way, stage in ways.items()}
        rows.append({"model": name, **{way: {"bytes": b, "fits": b <= free} for way, b in sizes.items()}})
    return rows
