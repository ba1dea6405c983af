"""Scores counted again, by other means than `score` and `statistics`, for whoever does not take their word.

Equality is decided on the literals' own text by one canonical writing, accuracies by plain sums in Python, intervals by the t distribution
over program means. Contract: from the rows of predictions.parquet alone; nothing of `score`, `answer` or `statistics` is used.
"""

from __future__ import annotations

import ast
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from scipy.stats import t

Key = tuple[str, Any, str, str, str]
"""arm, seed (or "all"), group, split, ask."""
WORDS = {"true": True, "false": False, "null": None}


class _Words(ast.NodeTransformer):
    """JSON's words for Python's constants."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(WORDS[node.id]) if node.id in WORDS else node


def canonical(text: str) -> str:
    """One writing for every literal of the same value and types; what is no literal stands for itself."""
    try:
        return _written(ast.literal_eval(_Words().visit(ast.parse(text.strip(), mode="eval"))))
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return f"text {text.strip()}"


def _written(value: Any) -> str:
    if isinstance(value, float):
        return f"float {value:.12g}"
    if isinstance(value, dict):
        return f"dict {sorted((_written(k), _written(v)) for k, v in value.items())}"
    if isinstance(value, (set, frozenset)):
        return f"set {sorted(map(_written, value))}"
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__} {[_written(item) for item in value]}"
    return f"{type(value).__name__} {value!r}"


def verdict(row: Mapping[str, Any]) -> bool | None:
    """Whether the row's answer is right; None for recall, which has no answer to compare, and where only an approximate float decides."""
    if row["ask"] == "recall":
        return None
    if row["parsed"] is None:
        return False
    said, true = canonical(row["parsed"]), canonical(row["expected"])
    return None if said != true and "float" in said + true else said == true


def cells(rows: Iterable[Mapping[str, Any]]) -> dict[Key, dict[str, Any]]:
    """Accuracy, n, programs, parse_failures and a 95 % interval of every cell of greedy answers, each seed and all together."""
    programs: dict[Key, dict[tuple[int, str], list[bool]]] = defaultdict(lambda: defaultdict(list))
    unread: dict[Key, int] = defaultdict(int)
    for row in rows:
        if row["sample"] != 0:
            continue
        for seed in (int(row["seed"]), "all"):
            key = (row["arm"], seed, row["group"], row["split"], row["ask"])
            programs[key][int(row["seed"]), row["program"]].append(bool(row["correct"]))
            unread[key] += row["parsed"] is None
    return {key: _cell(answers, unread[key]) for key, answers in programs.items()}


def _cell(answers: Mapping[tuple[int, str], list[bool]], unread: int) -> dict[str, Any]:
    n = sum(map(len, answers.values()))
    right = sum(map(sum, answers.values()))
    k = len(answers)
    mean = right / n
    # the residuals of whole programs: calls of one program are no independent evidence
    spread = sum((sum(a) - mean * len(a)) ** 2 for a in answers.values())
    half = t.ppf(0.975, k - 1) * math.sqrt(spread * k / (k - 1)) / n if k > 1 else math.inf
    return {"accuracy": mean, "n": n, "programs": k, "parse_failures": unread / n, "half": half}
