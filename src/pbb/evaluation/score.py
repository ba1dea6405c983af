"""From predictions to `scores.json`: every accuracy with its interval, and beside it what keeps it honest.

One row of the result, as a reader finds it:

{"arm": "proactive", "seed": 0, "group": "source_only", "split": "test", "ask": "recite", "accuracy": 0.63,
"low": 0.48, "high": 0.78, "n": 40, "programs": 40, "recall": 1.0, "given_recall": 0.63, "parse_failures":
0.0, "constant": 0.21, ...}

Denominators are fixed: every greedy question counts, unparsed ones as wrong (a scorer that leaves those out
inflates what is left). The unit of every interval and test is the program of a seed. Departures from the
paper, which gives accuracies alone: intervals, the best constant answer, what giving back an argument earns,
execution given recall, and the PBB ratio with its interval.

Contract: a frame of predictions (one row a question and sample) in, a dict of plain JSON values out.
"""

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pbb.errors import PbbError
from pbb.evaluation.break_even import break_evens
from pbb.evaluation.diagnosis import CONTROLS, diagnose, main_arm
from pbb.evaluation.differences import curve_differences, difference
from pbb.evaluation.echo import given_back
from pbb.evaluation.hypotheses import verdicts
from pbb.evaluation.statistics import (
    clustered_interval,
    holm,
    pass_at_k,
    ratio_interval,
)

Row = dict[str, Any]
COLUMNS = (
    *(
        "arm",
        "seed",
        "group",
        "split",
        "ask",
        "program",
        "length",
        "ops",
        "call",
        "prompt",
        "expected",
        "planted",
    ),
    *("parsed", "correct", "lenient", "planted_correct", "recalled", "recalled_form", "sample", "finished"),
)
CEILINGS: Mapping[str, str] = {
    "recite": "in-context-trace",
    "trace": "in-context-trace",
    "direct": "in-context-direct",
}
"""Which way of asking with the source in the prompt bounds which way of asking without.

Reciting puts the source into the context by the model's own hand and then traces, so its ceiling is the trace.
"""
CONTROL = "stage-1-only"
UNSEEN = ("source_only", "source_only_composed")
"""The groups that are never executed in training: those that the claim is about."""
BASE = "untrained"
_CELL = ["arm", "seed", "group", "split", "ask"]
_HAS = "has:"


def score(
    predictions: pd.DataFrame,
    *,
    recipe: str,
    control: str = CONTROL,
    hypotheses: Sequence[Mapping[str, Any]] = (),
    break_even: Sequence[Mapping[str, Any]] = (),
    curves: Sequence[Mapping[str, Any]] = (),
    readers: Sequence[str] | None = None,
    starts: Mapping[str, str] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Everything of `scores.json` but its cost; `seed` draws the bootstraps and permutations.

    readers: the arms whose stages declare w/o IO programs, of which the run's main arm is one. starts: the model that each arm starts from, where
    they differ: ratios are within one.

    Rows: one for every arm, seed, group, split and way of asking; one more with seed "all" where there are
    more seeds than one, the same name in two seeds being two programs. An empty frame gives empty lists.
    Raises PbbError where the frame lacks a column.
    """
    missing = [column for column in COLUMNS if column not in predictions.columns]
    if missing:
        raise PbbError(
            f"predictions lack columns: {', '.join(missing)}: evaluate again with this version of pbb"
        )
    frame = _prepared(predictions)
    greedy = frame[frame["sample"] == 0]
    sampled = {key: part for key, part in _cells(frame[frame["sample"] > 0])}
    cells = dict(_cells(greedy))
    rows = [_row(key, cell, cells, sampled.get(key), seed) for key, cell in cells.items()]
    first = main_arm([key[0] for key in cells], readers)
    scores: dict[str, Any] = {
        "recipe": recipe,
        "main_arm": first,
        "reads": readers is None or first in readers,
        "controls": [arm for arm in dict.fromkeys(key[0] for key in cells) if arm in CONTROLS],
        "ceilings": CEILINGS,
        "scores": rows,
        "ratios": _ratios(cells, control, starts or {}, seed),
        "tests": _tests(cells, first, seed),
    }
    runs = "all" if frame["seed"].nunique() > 1 else next(iter(frame["seed"]), 0)
    held_out = lambda arm, group, ask: cells.get(  # noqa: E731
        (arm, runs, group, "none" if ask == "recall" else "test", ask)
    )
    if hypotheses:
        scores["hypotheses"] = verdicts(hypotheses, held_out, seed)
    if break_even:
        scores["break_even"] = break_evens(break_even, held_out, seed)
    if curves:
        scores["curve_tests"] = curve_differences(curves, held_out, seed)
    scores["diagnosis"] = diagnose(scores)
    return _plain(scores)  # type: ignore[no-any-return]


def write(scores: Mapping[str, Any], path: Path) -> None:
    """Write scores as JSON, whole or not at all; what is not finite becomes null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes((json.dumps(_plain(scores), indent=1) + "\n").encode())
    os.replace(temporary, path)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _prepared(predictions: pd.DataFrame) -> pd.DataFrame:
    """Numbers instead of text wherever only equality counts (it makes slices of cells cheap).

    `unit` numbers the programs of all seeds, `question` the calls and `asking` the prompts; `echo` is whether a
    call gives one of its arguments back, `has:add` whether a program has the operation add.
    """
    frame = predictions[[*_CELL, "length", "sample"]].reset_index(drop=True)
    given = predictions.reset_index(drop=True)
    frame["unit"] = given.groupby(["seed", "program"], sort=True).ngroup()
    for column, name in (("expected", "expected"), ("call", "question"), ("prompt", "asking")):
        frame[name] = pd.factorize(given[column])[0]
    for column in ("correct", "lenient", "planted_correct", "finished"):
        frame[column] = given[column].fillna(False).astype(bool).astype(float)
    for column in ("recalled", "recalled_form"):  # null where the question did not ask for a source
        frame[column] = given[column].astype("boolean").astype("Float64").astype(float)
    frame["unparsed"] = given["parsed"].isna().astype(float)
    frame["has_planted"] = given["planted"].notna()
    pairs, different = pd.factorize(pd.MultiIndex.from_frame(given[["call", "expected"]]))
    frame["echo"] = np.array([given_back(*pair) for pair in different], dtype=bool)[pairs]
    codes, distinct = pd.factorize(given["ops"].fillna(""))
    operations = [set(text.split(",")) - {""} for text in distinct]
    for operation in sorted(set().union(*operations)):
        frame[_HAS + operation] = np.array([operation in found for found in operations])[codes]
    return frame


def _cells(frame: pd.DataFrame) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """Every cell with its key (arm, seed, group, split, ask) in the frame's order, then pooled ones."""
    key: Any
    for key, cell in frame.groupby(_CELL, sort=False):
        yield (key[0], int(key[1]), *key[2:]), cell
    for key, cell in frame.groupby([name for name in _CELL if name != "seed"], sort=False):
        if cell["seed"].nunique() > 1:
            yield (key[0], "all", *key[1:]), cell


def _row(
    key: tuple[Any, ...],
    cell: pd.DataFrame,
    cells: Mapping[tuple[Any, ...], pd.DataFrame],
    sampled: Any,
    seed: int,
) -> Row:
    ask = key[4]
    row: Row = {name: key[place] for place, name in enumerate(_CELL)}
    row |= _interval(cell["correct"], cell["unit"], seed)
    row |= {"n": len(cell), "programs": int(cell["unit"].nunique())}
    row |= _recall(key, cell, cells.get((*key[:3], "none", "recall")))
    asks_value = ask != "recall"
    row["parse_failures"] = float(cell["unparsed"].mean()) if asks_value else None
    row |= _interval(*_constants(cell), seed, "constant") if asks_value else _no_interval("constant")
    row |= _interval(*_guesses(cell), seed, "guess") if asks_value else _no_interval("guess")
    row |= (
        _interval(cell["echo"].astype(float), cell["unit"], seed, "echo")
        if asks_value
        else _no_interval("echo")
    )
    other = cell[~cell["echo"]] if asks_value else cell[:0]
    row |= _interval(other["correct"], other["unit"], seed, "unechoed")
    row["lenient"] = float(cell["lenient"].mean())
    planted = cell[cell["has_planted"]]
    row |= _interval(planted["planted_correct"], planted["unit"], seed, "planted")
    row["unfinished"] = 1.0 - float(cell["finished"].mean())
    row["pass_at_k"] = None if sampled is None else _pass_at_k(sampled, seed)
    lengths = {int(length): cell["length"].to_numpy() == length for length in sorted(cell["length"].unique())}
    row["by_length"] = _by(cell, "length", lengths, seed)
    operations = [name for name in cell.columns if name.startswith(_HAS)]
    row["by_op"] = _by(cell, "op", {name[len(_HAS) :]: cell[name].to_numpy() for name in operations}, seed)
    return row


def _interval(values: Any, units: Any, seed: int, name: str = "accuracy") -> Row:
    """An interval under the contract's names: accuracy, low, high, or constant, constant_low,
    constant_high, and so on."""
    found = clustered_interval(values, units, seed=seed)
    if found is None:
        return _no_interval(name)
    low, high = _ends(name)
    return {name: found.mean, low: found.low, high: found.high}


def _no_interval(name: str) -> Row:
    return dict.fromkeys((name, *_ends(name)))


def _ends(name: str) -> tuple[str, str]:
    return ("low", "high") if name == "accuracy" else (f"{name}_low", f"{name}_high")


def _constants(cell: pd.DataFrame) -> tuple[pd.Series, pd.Index]:
    """The best constant answer: a program's share of its most frequent expected answer among this cell's
    questions.

    It is picked with the answers in view, so with few questions a program this favours it (of n different answers
    it has one in n). That is kept, being the strict side to err on: an accuracy above it is above any constant.
    What a constant earns on calls that it was not picked by is `_guesses`.
    """
    counts = cell.groupby(["unit", "expected"]).size()
    shares = counts.groupby(level=0).max() / counts.groupby(level=0).sum()
    return shares, shares.index


def _guesses(cell: pd.DataFrame) -> tuple[list[float], list[Any]]:
    """What guessing earns: each call of a program is given the most frequent answer of its other calls, one of them at random if several are."""
    shares: dict[Any, float] = {}
    for unit, counts in cell.groupby(["unit", "expected"]).size().groupby(level=0):
        often, right = counts.to_list(), 0.0
        for place, count in enumerate(often):
            others = often[:place] + often[place + 1 :]
            if count - 1 >= max(others, default=0) and count > 1:
                right += count / (1 + others.count(count - 1))
        shares[unit] = right / sum(often)
    return list(shares.values()), list(shares)


def _recall(key: tuple[Any, ...], cell: pd.DataFrame, asked: pd.DataFrame | None) -> Row:
    """How often the source was written, and the accuracy where it was.

    Of recite and recall from the source in the generation itself; of direct and trace from the recall
    question about the same program in the same arm, seed and group. With the source in the prompt there is
    nothing to recall.
    """
    ask = key[4]
    nothing: Row = {"recall": None, "recall_form": None, "given_recall": None}
    if ask in ("recite", "recall"):
        known = cell[cell["recalled_form"].notna()]
        exact, form = known["recalled"], known["recalled_form"]
        given = known.loc[form == 1, "correct"] if ask == "recite" else pd.Series(dtype=float)
    elif ask in ("direct", "trace") and asked is not None:
        units = asked.groupby("unit")[["recalled", "recalled_form"]].mean()
        units = units[units.index.isin(cell["unit"])]
        exact, form = units["recalled"], units["recalled_form"]
        given = cell.loc[cell["unit"].isin(form.index[form == 1]), "correct"]
    else:
        return nothing
    if not len(form):
        return nothing
    return {
        "recall": float(exact.mean()),
        "recall_form": float(form.mean()),
        "given_recall": float(given.mean()) if len(given) else None,
    }


def _pass_at_k(sampled: pd.DataFrame, seed: int) -> list[Row]:
    """pass@1, 2, 4 ... and at the fewest samples that any question has, over every sampled question."""
    counts = sampled.groupby(["unit", "question", "asking"])["correct"].agg(["size", "sum"]).astype(int)
    most = int(counts["size"].min())
    patterns = list(counts.itertuples(index=False, name=None))
    rows = []
    for k in sorted({most, *(2**power for power in range(most.bit_length()))}):
        chances = {(n, c): pass_at_k(n, c, k) for n, c in set(patterns)}
        of_questions = [chances[pattern] for pattern in patterns]
        rows.append({"k": k} | _interval(of_questions, counts.index.get_level_values("unit"), seed))
    return rows


def _by(cell: pd.DataFrame, name: str, parts: Mapping[Any, Any], seed: int) -> list[Row]:
    """Accuracy by length or by operation; a question counts under each of its program's operations."""
    correct, units = cell["correct"].to_numpy(), cell["unit"].to_numpy()
    return [
        {name: label, **_interval(correct[inside], units[inside], seed), "n": int(inside.sum())}
        for label, inside in parts.items()
        if inside.any()
    ]


def _ratios(
    cells: Mapping[tuple[Any, ...], pd.DataFrame],
    control: str,
    starts: Mapping[str, str],
    seed: int,
) -> list[Row]:
    """The PBB ratio of every arm but the control, on held-out inputs of the programs that are known by
    source only.

    The ceiling is the same arm with the source in its prompt or the base model with it, whichever is the more
    accurate: training can help or hurt reading a source, and the higher ceiling never flatters the arm.
    `control` and `ceiling` are the two accuracies, `ceiling_arm` says whose it was. No row where the control
    or a ceiling was not asked, or starts from another model; a null ratio where the ceiling is not above the control.
    """
    rows = []
    for (arm, run, group, split, ask), cell in cells.items():
        below = cells.get((control, run, group, split, ask))
        if ask not in CEILINGS or arm == control or group not in UNSEEN or split != "test" or below is None:
            continue
        if starts.get(arm) != starts.get(control):
            continue
        bounds = [name for name in (arm, BASE) if starts.get(name) == starts.get(arm)]
        candidates = [(name, cells.get((name, run, group, split, CEILINGS[ask]))) for name in bounds]
        ceilings = [
            (float(part["correct"].mean()), name, part) for name, part in candidates if part is not None
        ]
        if not ceilings:
            continue
        height, above_arm, above = max(ceilings, key=lambda ceiling: ceiling[0])
        parts = [(part["correct"].to_numpy(), part["unit"].to_numpy()) for part in (cell, below, above)]
        found = ratio_interval(parts[0], parts[1], parts[2], seed=seed)
        rows.append(
            {"arm": arm, "seed": run, "group": group, "ask": ask}
            | {"control": float(below["correct"].mean()), "control_arm": control}
            | {"ceiling": height, "ceiling_arm": above_arm, "ceiling_ask": CEILINGS[ask]}
            | {"ratio": found and found.ratio, "low": found and found.low, "high": found and found.high}
        )
    return rows


def _tests(cells: Mapping[tuple[Any, ...], pd.DataFrame], first: str | None, seed: int) -> list[Row]:
    """The arm of the claim against every other one, on the same held-out questions of programs known by
    source only.

    Holm's correction is within a group and way of asking (and seed, or all seeds pooled). Questions that only one of
    the two arms was asked do not enter.
    """
    families: dict[tuple[Any, str, str], list[Row]] = {}
    for (arm, run, group, split, ask), other in cells.items():
        ours = cells.get((first, run, group, split, ask))
        if arm == first or ours is None or group not in UNSEEN or split != "test":
            continue
        found = difference(ours, other, seed)
        if found is None:
            continue
        families.setdefault((run, group, ask), []).append(
            {"arm_a": first, "arm_b": arm, "seed": run, "group": group, "split": split, "ask": ask}
            | {"difference": found.difference, "low": found.low, "high": found.high, "p": found.p}
            | {"p_holm": None, "programs": found.clusters}
        )
    for family in families.values():
        for row, adjusted in zip(family, holm([row["p"] for row in family]), strict=True):
            row["p_holm"] = adjusted
    return [row for family in families.values() for row in family]
