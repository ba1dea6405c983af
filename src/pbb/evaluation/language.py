"""Do the strings that a model makes up by itself belong to a grammar's language? What samples score.

Asked for any string of a grammar (`What is Zibdax(choices)? Any one string.`), a model has many right answers: each sample is judged by
membership. A grammar is then scored by

    member     the share of its samples that are strings of the language (what cannot be read is none)
    distinct   how many different strings of the language there are among them, as a share of the samples
    coverage   the share of the grammar's productions that the derivations of those strings use
    random     the share of random strings of the same letters and lengths that are in the language: what guessing earns

and an arm by the mean over grammars. `member` alone is won by writing one string again and again, hence the other two.

Contract: the rows that `pbb.evaluation.sample` wrote in, plain rows of scores.json out.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pandas as pd

from pbb.documents.render import Ask
from pbb.evaluation.answer import parse
from pbb.evaluation.statistics import clustered_interval
from pbb.programs.grammar import choices_of, rules_of, used

ASK: Ask = "sample"
LONGEST = 60
"""Letters of the longest string whose membership is looked into; longer ones count as none of the language."""
GUESSES = 5
"""Random strings for each sample that was read."""
MEASURES = ("member", "distinct", "coverage", "random")


def member(source: str, value: object) -> bool:
    """Whether a value is a string of the language of the grammar in a source."""
    return (
        isinstance(value, str) and len(value) <= LONGEST and choices_of(rules_of(source), value) is not None
    )


def languages(predictions: pd.DataFrame) -> list[dict[str, Any]]:
    """A row for every arm, seed and group: the measures over its grammars, with 95 % intervals of `member` over grammars.

    `planted` is the share of samples in the language of the planted grammar, null where there is none. Empty where nothing was sampled.
    """
    rows = predictions[(predictions["ask"] == ASK) & (predictions["sample"] > 0)]
    found = []
    key: Any
    for key, part in rows.groupby(["arm", "seed", "group"], sort=False):
        scored = [of_grammar(cell) for _, cell in part.groupby("program", sort=True)]
        row: dict[str, Any] = {"arm": key[0], "seed": int(key[1]), "group": key[2]}
        row |= {m: float(np.mean([s[m] for s in scored])) for m in MEASURES}
        interval = clustered_interval(np.array([s["member"] for s in scored]), np.arange(len(scored)), seed=0)
        row |= {"low": interval and interval.low, "high": interval and interval.high}
        told = part[part["planted"].notna()]
        row["planted"] = float(told["planted_correct"].astype(bool).mean()) if len(told) else None
        row |= {"parse_failures": float(part["parsed"].isna().mean())}
        found.append(row | {"n": len(part), "programs": len(scored)})
    return found


def of_grammar(rows: pd.DataFrame) -> dict[str, float]:
    """The measures of one grammar's samples."""
    first = rows.iloc[0]
    rules = rules_of(first["source"])
    values = [parse(text, cot=False).value for text in rows["generation"]]
    strings = [value for value in values if isinstance(value, str)]
    inside = {s: c for s in dict.fromkeys(strings) if (c := _derivation(rules, s)) is not None}
    letters = sorted({s for rights in rules.values() for right in rights for s in right if s not in rules})
    rng = random.Random(f"random strings:{first['program']}")
    guesses = [
        "".join(rng.choice(letters) for _ in s) for s in strings if len(s) <= LONGEST for _ in range(GUESSES)
    ]
    covered = {production for choices in inside.values() for production in used(rules, choices)}
    return {
        "member": sum(s in inside for s in strings) / len(rows),
        "distinct": len(inside) / len(rows),
        "coverage": len(covered) / sum(len(rights) for rights in rules.values()),
        "random": sum(_derivation(rules, g) is not None for g in guesses) / max(1, len(guesses)),
    }


def _derivation(rules: dict[str, list[str]], text: str) -> list[int] | None:
    return choices_of(rules, text) if len(text) <= LONGEST else None
