"""The composite beside its parts: the product is that of its own two parts, and what was not asked is left out."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from pbb.evaluation.composition import compositions


def answers(
    program: str, right: list[int], group: str = "source_only", **changes: Any
) -> list[dict[str, Any]]:
    row = {"arm": "proactive", "seed": 0, "group": group, "split": "test", "ask": "trace", "sample": 0}
    return [row | {"program": program, "needs": "", "correct": bool(r)} | changes for r in right]


def pair(first: str, second: str, right: list[int], **changes: Any) -> list[dict[str, Any]]:
    needs = {"needs": f"{first},{second}"}
    return answers(f"{first}_{second}", right, "source_only_composed", **(needs | changes))


PARTS = [*answers("A", [1, 1, 1, 1]), *answers("B", [1, 1, 0, 0]), *answers("C", [1, 0, 0, 0])]


def test_each_composite_is_held_against_its_own_parts() -> None:
    (row,) = compositions(pd.DataFrame([*PARTS, *pair("A", "B", [1, 1]), *pair("C", "B", [0, 0])]))
    assert (row["arm"], row["seed"], row["group"], row["ask"]) == (
        "proactive",
        0,
        "source_only_composed",
        "trace",
    )
    assert row["accuracy"] == 0.5 and row["programs"] == 2
    assert row["first"] == pytest.approx((1 + 0.25) / 2) and row["second"] == pytest.approx(0.5)
    assert row["expected"] == pytest.approx((1 * 0.5 + 0.25 * 0.5) / 2)
    assert row["difference"] == pytest.approx(0.5 - row["expected"])
    assert row["low"] <= row["difference"] <= row["high"]
    json.dumps(row)


def test_w_io_composites_are_held_against_w_io_parts() -> None:
    parts = [*answers("A", [1, 1], "io"), *answers("B", [1, 0], "io"), *answers("A", [0]), *answers("B", [0])]
    made = answers("A_B", [1, 1], "io_composed", needs="A,B")
    (row,) = compositions(pd.DataFrame([*parts, *made]))
    assert (row["group"], row["first"], row["second"], row["expected"]) == ("io_composed", 1.0, 0.5, 0.5)


def test_a_composite_counts_once_however_often_it_was_asked() -> None:
    (row,) = compositions(pd.DataFrame([*PARTS, *pair("A", "B", [1] * 9), *pair("A", "C", [0])]))
    assert row["accuracy"] == 0.5


def test_only_held_out_greedy_answers_count() -> None:
    noise = [
        *answers("A", [0] * 5, split="train"),
        *answers("B", [1] * 5, sample=1),
        *answers("B", [1], arm="untrained"),
    ]
    noise += answers("A", [0] * 5, ask="direct")
    rows = compositions(pd.DataFrame([*PARTS, *pair("A", "B", [1, 1]), *noise]))
    assert [row["expected"] for row in rows] == [0.5]


def test_a_composite_whose_part_was_not_asked_is_left_out() -> None:
    (row,) = compositions(pd.DataFrame([*PARTS, *pair("A", "B", [1]), *pair("A", "D", [0])]))
    assert (row["programs"], row["accuracy"]) == (1, 1.0)
    assert compositions(pd.DataFrame([*PARTS, *pair("A", "D", [0])])) == []


def test_seeds_are_pooled_and_names_of_two_seeds_are_two_programs() -> None:
    rows = [*PARTS, *pair("A", "B", [1])] + [
        row | {"seed": 1, "correct": False} for row in [*PARTS, *pair("A", "B", [1])]
    ]
    found = {row["seed"]: row for row in compositions(pd.DataFrame(rows))}
    assert set(found) == {0, 1, "all"}
    assert (found["all"]["programs"], found["all"]["accuracy"], found["all"]["expected"]) == (2, 0.5, 0.25)


def test_without_composites_there_is_nothing_to_say() -> None:
    assert compositions(pd.DataFrame(PARTS)) == []
    assert compositions(pd.DataFrame(PARTS).drop(columns="needs")) == []
