"""Ask a model for strings of grammars, many of each: `What is Zibdax(choices)? Any one string.`

Contract: grammars in, rows of predictions.parquet out, with `sample` from 1 and judged by membership; `pbb.evaluation.score` leaves them out
of every accuracy, `pbb.evaluation.language` scores them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pbb.documents.render import Templates, question
from pbb.evaluation.answer import parse
from pbb.evaluation.language import ASK, member
from pbb.models.decode import decode
from pbb.models.load import encode
from pbb.models.vllm import Vllm
from pbb.programs.program import Program

LIMIT = 40
"""The most tokens of a sample."""


def sample(
    model: PreTrainedModel | Vllm,
    tokenizer: PreTrainedTokenizerBase,
    programs: Sequence[Program],
    count: int,
    templates: Templates,
    *,
    arm: str,
    seed: int,
    planted: dict[str, Program] | None = None,
    batch_size: int = 256,
    report: Callable[[float, float, str], None] = lambda done, total, note: None,
) -> pd.DataFrame:
    """`count` strings of every grammar, drawn at temperature 1: rows of predictions.parquet.

    `planted` gives, by name, the grammar that was taught under that name in the wrong-source arm.
    """
    owners, prompts = asked(programs, count, templates)
    written = decode(
        model,
        encode(tokenizer, prompts),
        end=int(tokenizer.eos_token_id),
        pad=int(tokenizer.pad_token_id),
        limits=[LIMIT] * len(prompts),
        batch_size=batch_size,
        temperature=1.0,
        seed=seed,
        report=lambda done, total: report(done, total, "samples"),
    )
    rows = []
    for i, (p, prompt, g) in enumerate(zip(owners, prompts, written, strict=True)):
        text = str(tokenizer.decode(g.tokens, skip_special_tokens=True))
        row = judge(p, text, (planted or {}).get(p.name))
        row |= {"prompt": prompt, "sample": i % count + 1, "arm": arm, "seed": seed}
        rows.append(row | {"tokens": len(g.tokens), "finished": g.finished})
    return pd.DataFrame(rows)


def asked(programs: Sequence[Program], count: int, templates: Templates) -> tuple[list[Program], list[str]]:
    """`count` prompts of every program, one after the other, and whose each of them is."""
    prompts, owners = [], []
    for p in programs:
        rng = random.Random(f"ask:{p.name}:{ASK}")
        prompts += [question(p, p.examples[0], ASK, templates, rng) for _ in range(count)]
        owners += [p] * count
    return owners, prompts


def judge(p: Program, text: str, other: Program | None) -> dict[str, object]:
    """One sample's row, but for the prompt, its number, the arm, the seed and the token count."""
    said = parse(text, cot=False)
    right = said.ok and member(p.source, said.value)
    return {
        "group": p.group,
        "split": "none",
        "ask": ASK,
        "program": p.name,
        "length": p.facts.length,
        "ops": ",".join(p.facts.ops),
        "source": p.source.rstrip("\n"),
        "generation": text,
        "recalled": None,
        "recalled_form": None,
        "call": p.head(),
        "expected": "",
        "planted": other and other.source,
        "parsed": said.text if said.ok else None,
        "correct": right,
        "lenient": right,
        "planted_correct": other is not None and said.ok and member(other.source, said.value),
    }
