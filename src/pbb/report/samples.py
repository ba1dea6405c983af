"""The predictions that the page lets a reader browse: a sample drawn without looking at the outcomes.

Per seed and group at most 40 programs, an equal share from every length, chosen by a hash of their names: so
every arm shows the same programs and the same calls under every way of asking, and nobody picked the pretty
ones. Too much for one page: first fewer calls a program, then fewer programs.
Contract: `embed` returns JSON text that is safe inside a script element and at most `BUDGET` bytes long.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pbb.errors import PbbError
from pbb.report.scoreboard import ARM_ORDER, ASK_ORDER, GROUP_ORDER, order

BUDGET = 2_000_000
LEVELS = (
    (40, 3),
    (40, 2),
    (40, 1),
    (30, 1),
    (20, 1),
    (12, 1),
    (6, 1),
    (3, 1),
    (1, 1),
)  # (programs, calls of a program)
LONGEST = 4000  # characters kept of one text
_TEXTS = ("source", "prompt", "generation", "call", "expected", "planted", "parsed")
_FLAGS = ("correct", "lenient", "planted_correct", "finished", "recalled", "recalled_form")
_KEYS = ("arm", "seed", "group", "split", "ask", "program", "length", "call", "sample")

Record = dict[str, Any]


@dataclass(frozen=True)
class Shown:
    """What is embedded, and of how much it is a sample."""

    json: str
    rows: int
    of: int
    programs: int
    calls: int


def _rank(*parts: object) -> str:
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()


def _stratified(programs: dict[str, int], seed: object) -> list[str]:
    """Names in an order of which every beginning holds the lengths as evenly as can be."""
    strata: dict[int, list[str]] = defaultdict(list)
    for name in sorted(programs, key=lambda name: _rank(seed, name)):
        strata[programs[name]].append(name)
    place = {name: (i, length) for length, names in strata.items() for i, name in enumerate(names)}
    return sorted(programs, key=lambda name: place[name])


def _read(paths: list[Path]) -> tuple[list[Record], int]:
    """The greedy rows of the largest level with their ranks, and the number of greedy rows there are."""
    import pyarrow.parquet as parquet

    chosen: list[Record] = []
    total = 0
    for path in paths:
        try:
            table = parquet.read_table(path)
            keys = table.select(list(_KEYS)).to_pylist()
        except (OSError, ValueError, KeyError) as error:
            raise PbbError(f"predictions cannot be read: {path}: {error}: evaluate the arm again") from error
        greedy = [(i, key) for i, key in enumerate(keys) if key["sample"] == 0]
        total += len(greedy)
        lengths: dict[tuple[Any, ...], dict[str, int]] = defaultdict(dict)
        calls: dict[tuple[Any, ...], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for _, key in greedy:
            lengths[key["seed"], key["group"]][key["program"]] = key["length"]
            calls[key["seed"], key["program"], key["split"]][key["call"]].add(key["ask"])
        ranks = {
            (seed, group, name): rank
            for (seed, group), programs in lengths.items()
            for rank, name in enumerate(_stratified(programs, seed))
        }
        places = {
            (*cell, call): place
            for cell, asked in calls.items()
            # those first that were asked in the most ways, so that a call is shown in all of them
            for place, call in enumerate(sorted(asked, key=lambda c: (-len(asked[c]), _rank(*cell[:2], c))))
        }
        kept = []
        for i, key in greedy:
            rank = ranks[key["seed"], key["group"], key["program"]]
            place = places[key["seed"], key["program"], key["split"], key["call"]]
            if rank < LEVELS[0][0] and place < LEVELS[0][1]:
                kept.append((i, rank, place))
        rows = table.take([i for i, _, _ in kept]).to_pylist()
        chosen += [
            {**row, "rank": rank, "place": place} for row, (_, rank, place) in zip(rows, kept, strict=True)
        ]
    return chosen, total


def _sort_key(row: Record) -> tuple[Any, ...]:
    group, arm, ask = (
        order(row["group"], GROUP_ORDER),
        order(row["arm"], ARM_ORDER[::-1]),
        order(row["ask"], ASK_ORDER),
    )
    return (group, row["seed"], arm, row["rank"], row["program"], row["split"], row["place"], ask)


def _pack(rows: list[Record]) -> str:
    """Columns of small integers over one list of distinct texts: the same prompt stands in the page once."""
    texts: dict[str, int] = {}

    def text(value: str | None) -> int:
        if value is None:
            return -1
        if len(value) > LONGEST:
            value = f"{value[:LONGEST]}\n… [{len(value) - LONGEST} more characters in predictions.parquet]"
        return texts.setdefault(value, len(texts))

    def flags(row: Record) -> int:
        """Two bits a flag: 0 false, 1 true, 2 does not apply."""
        states = (2 if row.get(name) is None else int(row[name]) for name in _FLAGS)
        return sum(state << (2 * i) for i, state in enumerate(states))

    columns: dict[str, list[int]] = {
        name: [text(row.get(name)) for row in rows]
        for name in ("arm", "group", "split", "ask", "program", "ops", *_TEXTS)
    }
    for name in ("seed", "length", "tokens"):
        columns[name] = [int(row.get(name) or 0) for row in rows]
    columns["flags"] = [flags(row) for row in rows]
    data = json.dumps(
        {"flags": _FLAGS, "texts": list(texts), "columns": columns}, ensure_ascii=False, separators=(",", ":")
    )
    # Inside a script element only "<" can end the data; the others are for readers that are less strict.
    for character in "<>&\u2028\u2029":
        data = data.replace(character, f"\\u{ord(character):04x}")
    return data


def embed(paths: list[Path]) -> Shown:
    """The sample at the highest level that keeps within the budget; no rows for no predictions."""
    rows, total = _read(paths)
    rows.sort(key=_sort_key)
    data, kept, level = _pack([]), [], LEVELS[0]
    for level in LEVELS:
        kept = [row for row in rows if row["rank"] < level[0] and row["place"] < level[1]]
        data = _pack(kept)
        if len(data.encode()) <= BUDGET:
            break
    else:
        data, kept = _pack([]), []
    return Shown(data, len(kept), total, *level)
