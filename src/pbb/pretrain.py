"""Makes the embedded models: `pbb pretrain` (about five hours on two cores), whose results ship in models/base and beside it.

A Llama of 2.7 million parameters with a tokenizer of its own, trained in phases on the corpus of `pbb.documents.pretraining`: fresh programs
with their source in context, and a library that is read by name. Five phases of Random Arithmetic leave a model that runs one to three
statements. From there a sixth, half of it ciphers and grammars, makes base-strings; and a seventh, of one to five statements and of pairs, with
two more of the same under names that keep no rule of their syllables, makes the base. They play the pretrained LLM; their in-context accuracy is
measured on fresh programs at the end and stands in their README.md. Like `pbb.steps` it joins rooms: documents, models, training and evaluation.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from transformers import (
    AutoConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from pbb import folder as folders
from pbb.documents.pretraining import pretraining_corpus
from pbb.documents.pretraining_phases import EXACT, LONG, LONGER, NAMES, STRINGS
from pbb.documents.pretraining_strings import strings_document
from pbb.documents.render import Document, Representation, templates
from pbb.errors import PbbError
from pbb.evaluation.ask import ask, questions
from pbb.models.load import autocast_pays, encode_pairs, load
from pbb.models.tokenizer import SPECIAL, VOCABULARY, grow, train_tokenizer
from pbb.programs.arithmetic import Dials
from pbb.programs.ciphers import Ciphers, ciphers
from pbb.programs.grammars import Grammars, grammars
from pbb.programs.names import ENDINGS, OPENINGS, names
from pbb.programs.program import Program
from pbb.programs.random_arithmetic import random_arithmetic
from pbb.training.sft import Settings, save, sft

WIDTH, LAYERS, HEAD = 160, 8, 32
TOKENIZER_DOCUMENTS = 20_000
SETTINGS = tuple(
    Settings(
        batch_size=batch,
        learning_rate=rate,
        warmup=warmup,
        decay=decay,
        optimizer="muon",
        newton_schulz=iterations,
        checkpoint_seconds=300,
    )
    for batch, rate, warmup, decay, iterations in (
        (64, 3.0e-3, 200, 0.3, 5),
        (32, 2.0e-3, 50, 0.6, 5),
        (64, 2.5e-3, 100, 0.4, 5),
        (64, 1.5e-3, 50, 0.8, 5),
        (64, 1.5e-3, 50, 0.8, 5),
        (32, 2.0e-3, 50, 0.6, 5),
        (64, 2.0e-3, 50, 0.8, 3),
        (64, 2.0e-3, 50, 0.8, 3),
        (64, 2.0e-3, 50, 0.8, 3),
    )
)
STEPS = (3000, 5000, 3600, 1600, 2500, 3600, 6000, 2400, 2200)


def configuration(width: int = WIDTH, layers: int = LAYERS) -> LlamaConfig:
    """A stock Llama with embeddings tied: width 160 and 8 layers are 2.7 million parameters. The width counts in heads of 32.

    Raises:
        PbbError: there is no such Llama.
    """
    if width < HEAD or width % HEAD or layers < 1:
        raise PbbError(
            f"pretrain: width {width}, {layers} layers: a width is a multiple of {HEAD}, and a model has a layer at least"
        )
    return LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=width * 8 // 3 // 32 * 32,
        num_hidden_layers=layers,
        num_attention_heads=width // HEAD,
        num_key_value_heads=width // HEAD,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )


def pretrain(
    out: Path,
    *,
    seed: int = 0,
    steps: Sequence[int] = STEPS,
    width: int = WIDTH,
    layers: int = LAYERS,
    report: Callable[[float, float, str], None],
) -> dict[str, float]:
    """Write `base` and `base-strings` (bfloat16) to folders of `out`, their in-context accuracy to `out/accuracy.json`; continues if interrupted.

    `steps` are the optimizer steps of the nine phases (see `PHASES` of the corpus). The sixth and the seventh both go on from the fifth, others
    from the one before; the last four may be left out by 0 steps, but none of which another goes on. The base is what the last phase leaves that
    is not of strings. `width` and `layers` make models of another size. Returns accuracy by model and way of asking, on fresh programs with
    names that pretraining has not met.

    Raises:
        PbbError: no model has that size, or a phase that others go on from has no steps, or the folder holds phases of another seed, size or
            number of steps.
    """
    configured = configuration(width, layers)
    if min(steps[:STRINGS]) < 1:
        raise PbbError(
            "pretrain: steps: only the last four phases may be left out: give the others a step at least"
        )
    for phase in range(NAMES, len(steps)):
        if steps[phase] and not steps[phase - 1]:
            raise PbbError(
                f"pretrain: steps: phase {phase + 1} goes on from the one before: give that a step at least"
            )
    accuracy: dict[str, float] = {}
    last = max(phase for phase, count in enumerate(steps) if count and phase != STRINGS)
    models = {STRINGS: "base-strings", last: "base"}
    documents = [count * settings.batch_size for count, settings in zip(steps, SETTINGS, strict=True)]
    for phase, count in enumerate(steps):
        if not count:
            continue
        folder = out / f"phase-{phase + 1}"
        # What a phase goes on from: the one before it, but for that of long programs, which has no use for strings.
        before = out / f"phase-{STRINGS if phase == LONG else phase}" / "model" if phase else configured
        made = {"seed": seed, "steps": count, "size": list(_size(configured))}
        if folders.read_json(folder / "made.json") not in (None, made):
            raise PbbError(
                f"pretrain: {folder} is of another seed, number of steps or size: give another --out"
            )
        if not (folder / "model").exists():
            folder.mkdir(parents=True, exist_ok=True)
            folders.write_json(folder / "made.json", made)

            def within(done: float, total: float, note: str, phase: int = phase) -> None:
                shown = sum(documents[:phase]) + done / total * documents[phase]
                report(shown, sum(documents), f"phase {phase + 1}, {note}")

            _phase(phase, count, before, folder, seed, within)
        elif _size(AutoConfig.from_pretrained(folder / "model")) != _size(configured):
            raise PbbError(f"pretrain: {folder} is of a model of another size: give another --out")
        if name := models.get(phase):
            model, tokenizer = load(str(folder / "model"))
            found = in_context(model, tokenizer, seed, phase)
            accuracy |= {f"{name} {way}": share for way, share in found.items()}
            save(model.bfloat16(), tokenizer, out / name)
    (out / "accuracy.json").write_text(json.dumps(accuracy, indent=1) + "\n", encoding="utf-8")
    return accuracy


def _size(config: PretrainedConfig) -> tuple[int, int]:
    return config.hidden_size, config.num_hidden_layers


def _phase(
    phase: int,
    steps: int,
    before: Path | LlamaConfig,
    out: Path,
    seed: int,
    report: Callable[[float, float, str], None],
) -> None:
    settings = SETTINGS[phase].model_copy(update={"seed": seed, "bf16": autocast_pays()})
    documents = list(pretraining_corpus(seed, steps * settings.batch_size, phase))
    if isinstance(before, Path):
        model, tokenizer = load(str(before))
        if phase == STRINGS:
            known = list(_texts(list(pretraining_corpus(seed, TOKENIZER_DOCUMENTS, phase - 1))))
            tokenizer = _with_strings(tokenizer, known, seed)
            _embed_anew(model, tokenizer, known, seed)
    else:
        tokenizer = train_tokenizer(_texts(documents[:TOKENIZER_DOCUMENTS]))
        torch.set_float32_matmul_precision("medium")
        torch.manual_seed(seed)
        model = LlamaForCausalLM(before)
        model.set_attn_implementation("eager")
    pairs = encode_pairs(tokenizer, [d.prompt for d in documents], [d.completion for d in documents])
    sft(model, tokenizer, pairs, settings, out, report)
    shutil.rmtree(out / "checkpoints", ignore_errors=True)


def _with_strings(
    tokenizer: PreTrainedTokenizerBase, known: Sequence[str], seed: int
) -> PreTrainedTokenizerBase:
    """The tokenizer with the words of ciphers and grammars added; what is known it reads as before."""
    passing = names(1000, seed, "passing")
    strings = (strings_document(seed, index, passing) for index in range(TOKENIZER_DOCUMENTS // 5))
    fast = cast(PreTrainedTokenizerFast, tokenizer)
    return grow(fast, [text for d in strings for text in (d.prompt, d.completion)], known)


def _embed_anew(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, known: Sequence[str], seed: int
) -> None:
    """Draw the embeddings of tokens that have not been met afresh, as the others are spread.

    With tied embeddings a token that never occurs is pushed away from every answer, all such tokens the same way: most letters ended up
    as one vector (cosine 1.00), and a phase of training did not part them again (docs/lab-notes.md).
    """
    seen = {i for ids in tokenizer(list(known))["input_ids"] for i in ids} | set(range(len(SPECIAL)))
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    met = torch.tensor([i in seen for i in range(len(tokenizer))])
    with torch.no_grad():
        weight: torch.Tensor = model.get_input_embeddings().weight  # type: ignore[assignment]
        # On the CPU, whose random numbers are the same everywhere.
        drawn = torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed))
        weight[~met] = weight[met].mean(0) + weight[met].std(0) * drawn[~met].to(weight.device)


def _texts(documents: Sequence[Document]) -> Iterator[str]:
    """What the tokenizer learns its merges from: documents and all two-syllable names."""
    for d in documents:
        yield d.prompt
        yield d.completion
    for opening in OPENINGS:
        for ending in ENDINGS:
            yield f" {opening}{ending}"


def in_context(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, seed: int, phase: int
) -> dict[str, float]:
    """Accuracy with the program in the prompt, on programs and names that pretraining has not met: Random Arithmetic of one to three
    statements as source and as prose (200 programs), and after those of long programs and names such of four and five as source (100), after that
    of strings ciphers and grammars as recipes draw them by default (100 each); five calls a program."""
    fresh = seed + 1_000_003

    def sampled(dials: Dials, count: int) -> list[Program]:
        drawn = random_arithmetic(
            seed=fresh, io=0, source_only=count, dials=dials, train_inputs=0, test_inputs=25
        )
        return random.Random(seed).sample(drawn, count)

    shown: list[tuple[str, str, Representation, list[Program]]] = [
        ("source", "arithmetic", "source", sampled(EXACT, 200)),
        ("prose", "arithmetic", "prose", sampled(EXACT, 200)),
    ]
    if phase >= LONG:
        shown += [("long source", "arithmetic", "source", sampled(replace(LONGER, length=(4, 5)), 100))]
    if phase == STRINGS:
        size = {"io": 1, "source_only": 100, "train_inputs": 20, "test_inputs": 10}
        shown += [
            ("ciphers", "ciphers", "source", ciphers(Ciphers(**size), fresh)[:100]),
            ("grammars", "grammars", "source", grammars(Grammars(**size), fresh)[:100]),
        ]
    result = {}
    for label, family, representation, programs in shown:
        asked = questions(
            programs, ["in-context-direct", "in-context-trace"], ["test"], 5, templates(family), representation
        )  # fmt: skip
        frame = ask(model, tokenizer, asked, arm="base", seed=seed, representation=representation)
        for way, rows in frame.groupby("ask"):
            result[f"{way} {label}"] = round(float(rows["correct"].mean()), 4)
    return result
