"""Two runs on the same calls: only what both were asked counts, and the order of rows does not matter."""

from __future__ import annotations

import pandas as pd
import pytest

from pbb.errors import PbbError
from pbb.evaluation.compare import compare


def frame(right: dict[str, list[int]], arm: str = "proactive", source: str = "def {}(x)") -> pd.DataFrame:
    """program -> whether each of its calls is right."""
    return pd.DataFrame(
        [
            {"arm": arm, "group": "source_only", "split": "test", "ask": "trace", "seed": 0, "sample": 0}
            | {"program": name, "source": source.format(name), "call": f"{name}({i})", "correct": bool(ok)}
            for name, calls in right.items()
            for i, ok in enumerate(calls)
        ]
    )


def test_the_difference_is_of_shared_calls_by_program() -> None:
    a = frame({"A": [1, 1, 0], "B": [0, 0], "C": [1]})
    b = frame({"A": [1, 0], "B": [1, 1], "D": [1]}).sample(frac=1, random_state=1)
    (row,) = compare(a, b)
    assert (row["n"], row["programs"], row["left_out"]) == (4, 2, 3)
    assert (row["first"], row["second"]) == (0.5, 0.75)
    assert row["difference"] == pytest.approx((-0.5 + 1) / 2)
    assert compare(b, a)[0]["difference"] == -row["difference"]


def test_a_run_against_itself_is_no_different() -> None:
    a = frame({name: [1, 0] for name in "ABCDEFGH"})
    (row,) = compare(a, a)
    assert (row["difference"], row["p"], row["p_holm"], row["left_out"]) == (0, 1, 1, 0)


@pytest.mark.parametrize("column", ["correct", "source", "sample"])
def test_a_run_without_a_column_is_refused(column: str) -> None:
    a = frame({"A": [1, 0]})
    with pytest.raises(PbbError, match=f"run 2: predictions.parquet lacks {column}"):
        compare(a, a.drop(columns=column))


def test_arms_are_corrected_for_together() -> None:
    names = "ABCDEFGHIJKL"
    low, high = {n: [0] for n in names}, {n: [1] for n in names}
    alone = compare(frame(low), frame(high))
    one = low | {"A": [1]}
    both = compare(
        pd.concat([frame(low), frame(low, "mixed"), frame(low, "untrained")]),
        pd.concat([frame(high), frame(one, "mixed"), frame(low, "untrained")]),
    )
    assert alone[0]["p_holm"] == alone[0]["p"] < 0.01
    assert {row["arm"]: row["p_holm"] for row in both} == {
        "proactive": 2 * alone[0]["p"],
        "mixed": 1,
        "untrained": 1,  # the same answers in both runs: no comparison, so the others are not corrected for it
    }


def test_runs_without_a_common_question_are_refused() -> None:
    with pytest.raises(PbbError, match="share no arm"):
        compare(frame({"A": [1]}), frame({"B": [1]}))
    with pytest.raises(PbbError, match="share no arm"):  # one name, two programs
        compare(frame({"A": [1]}), frame({"A": [1]}, source="other {}"))


def test_an_arm_is_held_against_the_one_that_is_named() -> None:
    names = "ABCDEFGHIJKL"
    low, high = frame({n: [0] for n in names}, "own"), frame({n: [1] for n in names}, "grpo")
    (row,) = compare(low, high, [("own", "grpo")])
    assert (row["arm"], row["other"], row["difference"]) == ("own", "grpo", 1)
    both = pd.concat([low, high])
    assert [(r["arm"], r["other"], r["difference"]) for r in compare(both, both, [("grpo", "own")])] == [
        ("grpo", "own", -1)
    ]
    assert [(r["arm"], r["other"]) for r in compare(both, both)] == [("own", "own"), ("grpo", "grpo")]


@pytest.mark.parametrize(
    "pairs, says",
    [
        ([("nobody", "grpo")], "run 1 has no arm nobody: it has own"),
        ([("own", "grpo"), ("own", "nobody")], "run 2 has no arm nobody: it has grpo"),
        ([("own", "grpo"), ("own", "grpo")], "named twice"),
    ],
)
def test_a_pair_that_cannot_be_held_is_refused(pairs: list[tuple[str, str]], says: str) -> None:
    with pytest.raises(PbbError, match=says):
        compare(frame({"A": [1]}, "own"), frame({"A": [1]}, "grpo"), pairs)


def test_a_named_pair_that_shares_no_call_is_refused_beside_one_that_does() -> None:
    a, b = frame({"A": [1, 0]}, "own"), frame({"B": [1]}, "far")
    both = pd.concat([a, b])
    assert len(compare(both, both, [("own", "own")])) == 1
    with pytest.raises(PbbError, match="--arms own=far: they were not asked the same calls"):
        compare(both, both, [("own", "own"), ("own", "far")])
