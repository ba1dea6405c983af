"""A run held against published tables: does what was made again lie within the interval of what was published?

A published table is a CSV as the report writes it: accuracy by arm, length, operation or shift, a curve, wrong source, all scores. A line of one:

arm,seed,group,split,ask,accuracy,low,high,n,...
proactive,all,source_only,test,recite,0.919,0.8987,0.9367,1500,...

Contract: a folder of such files and the content of scores.json in; every published accuracy, of planted programs too, is held once against the run's
of the same arm, group, split, way of asking, seed and part (a length, operation or shift). What is of a table's only seed is held against what stands
for all seeds of the run, where that has no such seed.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pbb.errors import PbbError

NEEDED = ("arm", "group", "ask", "accuracy", "low", "high")
PLACE = ("arm", "group", "split", "ask", "length", "op", "shift")
MEASURES = {"accuracy": ("low", "high"), "planted": ("planted_low", "planted_high")}
POOLED = "all"
Row = dict[str, Any]
Key = tuple[tuple[str, ...], str, str]
"""What a row is about (its values of `PLACE`), seed, measure."""


class Told(NamedTuple):
    """A measure with its interval, and the best constant answer to the same questions where that is told."""

    value: float
    low: float
    high: float
    constant: float | None


def hold(scores: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """{published, held, within, programs, seeds: {published, run}, outside: rows}: how many there are, have their like in the run, and agree with it.

    programs: whether those of the run are "the same", "others", "in part the same", or "not said" where the tables name no seed. Seeds draw the
    programs; where the best constant answers differ, the same seeds have drawn other ones, of another recipe. A row of `outside` has the
    published value with its interval (`low`, `high`), and the run's (`run`, `run_low`, `run_high`).

    Raises:
        PbbError: the folder has no such table, one is broken, or none has a row in common with the run.
    """
    tables = _tables(folder)
    here = {str(row["seed"]) for row in scores["scores"]} - {POOLED}
    index = _index(scores, here)
    named = set().union(*map(_seeds, tables.values()))
    held: dict[tuple[Any, ...], Row] = {}
    absent: set[tuple[Any, ...]] = set()
    programs: set[str] = set()
    for name, rows in tables.items():
        seeds = _seeds(rows) or named
        for row, measure, told in ((r, m, t) for r in rows for m in MEASURES if (t := _told(r, m))):
            place, seed = _place(row), row["seed"]
            own = index.get((place, seed, measure))
            mine = own or (index.get((place, POOLED, measure)) if seeds == {seed} else None)
            key = (place, seed, measure, told[:3])  # several tables of a run tell the same accuracies
            if mine is None:
                absent.add(key)
                continue
            held[key] = (
                {"table": name, **{part: row[part] for part in PLACE if row.get(part)}}
                | {
                    "seed": seed,
                    "measure": measure,
                    "published": told.value,
                    "low": told.low,
                    "high": told.high,
                }
                | {"run": mine.value, "run_low": mine.low, "run_high": mine.high}
            )
            theirs, ours = ({seed}, {seed} if own else here) if seed != POOLED else (seeds, here)
            programs.add("unlike" if _unlike(told, mine) else _drawn(theirs, ours))
    if not held:
        raise PbbError(
            f"compare: {folder}: no published accuracy is of an arm, group, way of asking and seed of the run: compare a run of the same recipe"
        )
    outside = [row for row in held.values() if not row["low"] <= row["run"] <= row["high"]]
    return {
        "published": len(held.keys() | absent),
        "held": len(held),
        "within": len(held) - len(outside),
        "programs": "others"
        if "unlike" in programs
        else programs.pop()
        if len(programs) == 1
        else "in part the same",
        "seeds": {"published": sorted(map(int, named)), "run": sorted(map(int, here))},
        "outside": outside,
    }


def _drawn(theirs: set[str], ours: set[str]) -> str:
    if not theirs:
        return "not said"
    return "the same" if theirs == ours else "in part the same" if theirs & ours else "others"


def _unlike(told: Told, mine: Told) -> bool:
    theirs, ours = told.constant, mine.constant
    return theirs is not None and ours is not None and abs(theirs - ours) > 1e-9


def _tables(folder: Path) -> dict[str, list[Row]]:
    """The rows of every published table of a folder, by file; measures as numbers, empty ones as None."""
    tables = {}
    for path in sorted(folder.glob("*.csv")):
        try:
            with path.open(newline="", encoding="utf-8") as file:
                lines = csv.DictReader(file)
                names = lines.fieldnames or ()
                # the interval of a composite is that of its difference from its parts
                if set(NEEDED) <= set(names) and "difference" not in names:
                    tables[path.name] = [_read(row, f"{path}:{lines.line_num}") for row in lines]
        except (OSError, UnicodeDecodeError, csv.Error) as e:
            raise PbbError(f"compare: {path} cannot be read: {e}") from e
    if not any(tables.values()):
        raise PbbError(
            f"compare: {folder}: neither a run nor a folder of published tables (CSV files with the columns {', '.join(NEEDED)})"
        )
    return tables


def _read(row: Mapping[str | Any, str | Any], where: str) -> Row:
    read: Row = dict(row)
    if None in read or None in read.values():
        raise PbbError(f"compare: {where}: not as many values as columns: copy the table anew")
    try:
        read["seed"] = POOLED if (seed := read.get("seed") or POOLED) == POOLED else str(int(seed))
    except ValueError:
        raise PbbError(
            f"compare: {where}: seed is {seed!r:.40}, and no number or {POOLED}: copy the table anew"
        ) from None
    read |= {name: None for name in (*MEASURES, "constant") if not read.get(name)}
    ends = [end for measure, ends in MEASURES.items() if read[measure] is not None for end in ends]
    for name in (*(n for n in (*MEASURES, "constant") if read[n] is not None), *ends):
        try:
            read[name] = float(read.get(name) or "nothing")
        except ValueError:
            read[name] = -1.0
        if not 0 <= read[name] <= 1:
            raise PbbError(
                f"compare: {where}: {name} is {row.get(name)!r:.40}, and no share from 0 to 1: copy the table anew"
            )
    return read


def _seeds(rows: list[Row]) -> set[str]:
    return {row["seed"] for row in rows} - {POOLED}


def _place(row: Mapping[str, Any]) -> tuple[str, ...]:
    """What a row is about; where it does not say a split, held-out inputs."""
    said = {"split": "none" if row["ask"] == "recall" else "test"} | {
        name: str(row[name]) for name in PLACE if row.get(name) not in (None, "")
    }
    return tuple(said.get(name, "") for name in PLACE)


def _told(row: Mapping[str, Any], measure: str) -> Told | None:
    low, high = MEASURES[measure]
    return None if row.get(measure) is None else Told(row[measure], row[low], row[high], row.get("constant"))


def _index(scores: Mapping[str, Any], seeds: set[str]) -> dict[Key, Told]:
    """Every accuracy of a run; under the seed "all" those of its only seed, where there is one."""
    index: dict[Key, Told] = {}
    for row in _rows(scores):
        seed = str(row.get("seed", POOLED))
        for measure in MEASURES:
            if told := _told(row, measure):
                for label in {seed, POOLED if seeds == {seed} else seed}:
                    index[_place(row), label, measure] = told
    return index


def _rows(scores: Mapping[str, Any]) -> Iterator[Row]:
    """A run's accuracies as the rows of tables: whole cells, their parts, and those by shift."""
    for row in scores["scores"]:
        yield row
        cell = {name: row[name] for name in ("arm", "seed", "group", "split", "ask")}
        for part in (*(row.get("by_length") or ()), *(row.get("by_op") or ())):
            yield cell | part
    yield from scores.get("shifts") or ()
