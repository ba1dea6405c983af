"""Ask a model to run programs: prompts, generations, and one row a question in predictions.parquet.

Every way of asking is put to the same held-out calls. The phrasing of a question is drawn by (program, call, way of asking), so that all
arms and seeds of training are asked the very same questions.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pbb.documents.corpus import disguised
from pbb.documents.render import (
    Ask,
    Representation,
    Templates,
    answer,
    declaration,
    declared,
    question,
    shown,
)
from pbb.evaluation.answer import parse, same_source
from pbb.models.decode import Generation, decode
from pbb.models.load import encode
from pbb.models.vllm import Vllm
from pbb.programs.equality import equal
from pbb.programs.isolation import worker
from pbb.programs.program import Example, Program, Split

# A measure that stops one token early reads as ignorance: limits leave room over the longest right answer.
ROOM, SLACK = 1.25, 12


@dataclass(frozen=True)
class Question:
    """One prompt, with what is needed to judge the answer. `example` is None when the source alone is asked for."""

    program: Program
    ask: str
    split: str
    example: Example | None
    prompt: str
    longest: str


def questions(
    programs: Sequence[Program],
    asks: Sequence[str],
    splits: Sequence[Split],
    per_program: int,
    templates: Templates,
    representation: Representation = "source",
) -> list[Question]:
    """For every program, way of asking and split: its first `per_program` calls in file order; for recall one question a program.

    A composite that is only named has no source to recall.
    """
    result = []
    for p in programs:
        for ask in asks:
            rng = random.Random(f"ask:{p.name}:{ask}")
            if ask == "recall" and p.only_named:
                continue
            if ask == "recall":
                d = declaration(p, templates, rng, representation)
                result.append(
                    Question(p, ask, "none", None, d.prompt, max(templates.openings, key=len) + d.completion)
                )
                continue
            how: Ask = ask.removeprefix("in-context-")  # type: ignore[assignment]
            context = representation if ask.startswith("in-context") else None
            for split in splits:
                calls = p.calls(split)
                for e in calls[:per_program]:
                    longest = answer(p, e, how, templates, rng, representation)
                    result.append(
                        Question(p, ask, split, e, question(p, e, how, templates, rng, context), longest)
                    )
    return result


def drawn(asked: Sequence[Question], samples: int) -> list[tuple[int, int]]:
    """The place of each question that is sampled, so many times, with the number of the sample, from 1.

    Sampled are those that have a value, about programs known by their source alone, on held-out inputs.
    """
    return [
        (place, number)
        for place, q in enumerate(asked)
        if q.example and q.split == "test" and q.program.group.startswith("source_only")
        for number in range(1, samples + 1)
    ]


def recited(text: str, functions: int = 1) -> str:
    """The functions that a generation begins by writing: from a `def` to the first line after it that is not indented, so many times."""
    start = text.find("def ")
    if start < 0:
        return ""
    rows = text[start:].split("\n")
    body = [rows[0]]
    for row in rows[1:]:
        functions -= row.startswith("def ")
        if not row.startswith(" ") and not (row.startswith("def ") and functions):
            break
        body.append(row)
    return "\n".join(body)


def ask(
    model: PreTrainedModel | Vllm,
    tokenizer: PreTrainedTokenizerBase,
    asked: Sequence[Question],
    *,
    arm: str,
    seed: int,
    planted: dict[str, Program] | None = None,
    representation: Representation = "source",
    batch_size: int = 256,
    isolate: bool | None = None,
    samples: int = 0,
    temperature: float = 1.0,
    report: Callable[[float, float, str], None] = lambda done, total, note: None,
) -> pd.DataFrame:
    """Put every question to the model, greedily, and judge the answers: the frame of predictions.parquet.

    Below these rows, which are the same with samples and without, stand those of `samples` more answers at `temperature` to the questions that
    are `drawn`. All arms of a seed are drawn by the same random numbers.

    `planted` gives, by name, the program whose source was taught under that name in the wrong-source arm. Its outputs come from
    execution: isolated, or not at all, where `isolate` is not None (see `pbb.programs.family.Data.isolate`).
    """
    limits = token_limits(tokenizer, asked)
    again = drawn(asked, samples)

    def written(put: Sequence[Question], temperature: float, note: str) -> list[Generation]:
        return decode(
            model,
            encode(tokenizer, [q.prompt for q in put]),
            end=int(tokenizer.eos_token_id),
            pad=int(tokenizer.pad_token_id),
            limits=[limits[q.ask] for q in put],
            batch_size=batch_size,
            temperature=temperature,
            seed=seed,
            report=lambda done, total: report(done, total, note),
        )

    generations = written(asked, 0.0, "questions")
    if again:
        generations += written([asked[place] for place, _ in again], temperature, "samples")
    others = [(planted or {}).get(q.program.name) for q in asked]
    wrong = outputs(others, asked, isolate)
    rows = []
    for (place, number), g in zip([*((i, 0) for i in range(len(asked))), *again], generations, strict=True):
        text = str(tokenizer.decode(g.tokens, skip_special_tokens=True))
        row = judge(asked[place], text, others[place], wrong[place], representation)
        row |= {"sample": number, "arm": arm, "seed": seed}
        rows.append(row | {"tokens": len(g.tokens), "finished": g.finished})
    return pd.DataFrame(rows)


def judge(
    q: Question, text: str, other: Program | None, wrong: object, representation: Representation = "source"
) -> dict[str, object]:
    """One row of predictions.parquet, but for the arm, the seed and the token count.

    `other` is the planted program and `wrong` what it gives for this call. What was recited is held against what the
    representation shows of either program, source or prose.
    """
    p = q.program
    row: dict[str, object] = {
        "group": p.group,
        "split": q.split,
        "ask": q.ask,
        "program": p.name,
        "length": p.facts.length,
        "ops": ",".join(p.facts.ops),
        "needs": ",".join(p.needs),
        "source": shown(p, "source"),
        "prompt": q.prompt,
        "generation": text,
        "sample": 0,
        "recalled": None,
        "recalled_form": None,
    }
    if q.ask in ("recite", "recall"):
        truth = shown(p, representation) if q.ask == "recite" else declared(p, representation)
        exact = _recited(text, truth, representation)
        same = representation == "source" and _like(text, truth)
        row |= {"recalled": exact, "recalled_form": exact or same}
    if q.example is None:
        taught = declared(disguised(p, other), representation) if other else None
        return row | {
            "call": "",
            "expected": declared(p, representation),
            "planted": taught,
            "parsed": None,
            "correct": row["recalled"],
            "lenient": row["recalled_form"],
            "planted_correct": taught is not None and _recited(text, taught, representation),
        }
    said = parse(text, cot=not q.ask.endswith("direct"))
    return row | {
        "call": p.call(q.example),
        "expected": repr(q.example.output),
        "planted": None if other is None else repr(wrong),
        "parsed": said.text if said.ok else None,
        "correct": said.ok and equal(said.value, q.example.output, lenient=False),
        "lenient": said.ok and equal(said.value, q.example.output, lenient=True),
        "planted_correct": other is not None and said.ok and equal(said.value, wrong, lenient=False),
    }


def _recited(text: str, truth: str, representation: Representation) -> bool:
    """Whether a generation holds this source as its first functions, or this prose (or source of other parts) on lines of its own."""
    functions = representation == "source" and _functions(truth, truth) == truth
    return _functions(text, truth) == truth if functions else f"\n{truth}\n" in f"\n{text}\n"


def _like(text: str, truth: str) -> bool:
    """Whether the functions are the truth's but for names and layout, and its imports and the like stand before them."""
    above = [row for row in truth[: _first(truth)].split("\n") if row.strip()]
    written = {row.strip() for row in text[: _first(text)].split("\n")}
    return {row.strip() for row in above} <= written and same_source(
        _functions(text, truth), _functions(truth, truth)
    )


def _first(text: str) -> int:
    """Where the first function begins."""
    return max(0, f"\n{text}".find("\ndef "))


def _functions(text: str, truth: str) -> str:
    """As many functions as the truth has."""
    return recited(text, max(1, sum(row.startswith("def ") for row in truth.split("\n"))))


def token_limits(tokenizer: PreTrainedTokenizerBase, asked: Sequence[Question]) -> dict[str, int]:
    """The most tokens for each way of asking: over all programs, since a planted program may be longer than the true one."""
    limits: dict[str, int] = {}
    lengths = (
        list(tokenizer([q.longest for q in asked], add_special_tokens=False)["input_ids"]) if asked else []
    )
    for q, tokens in zip(asked, lengths, strict=True):
        limits[q.ask] = max(limits.get(q.ask, 0), int(len(tokens) * ROOM) + SLACK)
    return limits


def outputs(
    others: list[Program | None], asked: Sequence[Question], isolate: bool | None = None
) -> list[object]:
    """What each planted program gives for its question's call, by execution; where that fails, `others` loses it."""
    wanted = [
        (i, o, q.example) for i, (o, q) in enumerate(zip(others, asked, strict=True)) if o and q.example
    ]
    values: list[object] = [None] * len(asked)
    if isolate is False:
        for i, _, _ in wanted:
            others[i] = None
    elif wanted:
        with worker(isolate, "the programs of the wrong-source arm") as sandbox:
            outcomes = sandbox.execute_many([o.job([e]) for _, o, e in wanted])
            for (i, _, _), outcome in zip(wanted, outcomes, strict=True):
                values[i] = outcome[0].value
                if outcome[0].error:
                    others[i] = None
    return values
