"""Predictions that are planted, one row each, and what their scores say."""

from __future__ import annotations

from typing import Any

import pandas as pd

from pbb.evaluation.score import score

Row = dict[str, Any]


def row(program: str, right: bool, **other: Any) -> Row:
    """One greedy prediction about a w/o IO program on a held-out input, 17 where it is right."""
    question = other.pop("question", 0)
    made: Row = {
        "arm": "proactive",
        "seed": 0,
        "group": "source_only",
        "split": "test",
        "ask": "recite",
        "program": program,
        "length": 2,
        "ops": "add,mul",
        "call": f"{program}({question})",
        "source": "def ...",
        "prompt": f"What is {program}({question})?",
        "generation": "Answer: 17",
        "expected": "17" if right else "18",
        "planted": None,
        "parsed": "17",
        "correct": right,
        "lenient": right,
        "planted_correct": False,
        "recalled": None,
        "recalled_form": None,
        "sample": 0,
        "tokens": 4,
        "finished": True,
    }
    return made | other


def scored(rows: list[Row], **arguments: Any) -> dict[str, Any]:
    return score(pd.DataFrame(rows), recipe="planted", **arguments)


def only(scores: dict[str, Any], table: str = "scores", **which: Any) -> Row:
    found = [r for r in scores[table] if all(r[name] == value for name, value in which.items())]
    assert len(found) == 1, found
    return found[0]


def cell(count: int, programs: int = 10, **other: Any) -> list[Row]:
    """One question about each of `programs` programs, the first `count` of them right."""
    return [row(f"P{i}", i < count, **other) for i in range(programs)]
