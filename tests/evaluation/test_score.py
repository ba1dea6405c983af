"""Scores of planted predictions, whose every figure is known beforehand."""

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

sys.path.insert(0, str(Path(__file__).parent))

from predicted import Row, cell, only, row, scored  # noqa: E402

from pbb.errors import PbbError  # noqa: E402
from pbb.evaluation.score import score, write  # noqa: E402
from pbb.evaluation.statistics import clustered_interval, pass_at_k  # noqa: E402


def test_a_row_counts_every_greedy_question_once() -> None:
    rows = [row("A", True), row("A", True, question=1), row("A", False, question=2), row("B", False)]
    rows[2] |= {"parsed": None, "finished": False}
    rows[3] |= {"lenient": True}
    rows += [row("C", True, sample=1), row("A", True, sample=1)]  # sampled, so not in the greedy figures
    found = only(scored(rows))
    assert (found["arm"], found["seed"], found["group"], found["split"], found["ask"]) == (
        *("proactive", 0, "source_only", "test", "recite"),
    )
    assert (found["accuracy"], found["n"], found["programs"]) == (0.5, 4, 2)
    assert (found["parse_failures"], found["unfinished"], found["lenient"]) == (0.25, 0.25, 0.75)
    ends = clustered_interval([1, 1, 0, 0], ["A", "A", "A", "B"])
    assert ends is not None and (found["low"], found["high"]) == (ends.low, ends.high)
    assert found["planted"] is found["planted_low"] is found["planted_high"] is None


def test_intervals_are_those_of_programs_drawn_by_the_seed() -> None:
    rows = [row(f"P{i:02}", (7 * i + 3 * q) % 4 < 2, question=q) for i in range(17) for q in range(i % 5 + 1)]
    flat = [r["correct"] for r in rows], [r["program"] for r in rows]
    for seed in (0, 3):
        expected = clustered_interval(*flat, seed=seed)
        found = only(scored(rows, seed=seed))
        assert expected is not None
        assert [found["low"], found["high"]] == [expected.low, expected.high]
    assert clustered_interval(*flat, seed=0) != clustered_interval(*flat, seed=3)


def test_nothing_right_does_not_claim_certainty() -> None:
    found = only(scored(cell(0, 40)))
    assert (found["accuracy"], found["low"]) == (0, 0)
    assert found["high"] == pytest.approx(stats.binomtest(0, 40).proportion_ci(method="exact").high)


def test_the_best_constant_is_counted_within_each_program_and_averaged_over_programs() -> None:
    expected = {"A": ["1", "1", "1", "2"], "B": ["1", "2", "3", "3"], "C": ["5"] * 4}
    rows = [
        row(program, False, question=i, expected=value)
        for program, values in expected.items()
        for i, value in enumerate(values)
    ]
    found = only(scored(rows))
    assert found["constant"] == pytest.approx((0.75 + 0.5 + 1) / 3)
    ends = clustered_interval([0.75, 0.5, 1], ["A", "B", "C"])
    assert ends is not None and (found["constant_low"], found["constant_high"]) == (ends.low, ends.high)
    # A: three calls whose others say 1 twice, and one whose others do not say 2; B: calls 1 and 2 are given 3, the 3s one of 1, 2 and 3; C: all
    assert found["guess"] == pytest.approx((0.75 + 2 / 4 / 3 + 1) / 3)


def test_guessing_earns_nothing_where_all_answers_differ() -> None:
    found = only(scored([row("A", False, question=i, expected=str(i)) for i in range(5)]))
    assert (found["constant"], found["guess"]) == (0.2, 0)


def test_giving_an_argument_back_is_told_beside_what_is_right_elsewhere() -> None:
    calls = [
        ("A(7)", "7", True),
        ("A(8)", "6", False),
        ("A(9)", "7", True),
        ("B(1, 'x')", "'x'", True),
        ("B(2, 'x')", "4", False),
    ]
    rows = [
        row(call[0], right, question=i) | {"call": call, "expected": expected}
        for i, (call, expected, right) in enumerate(calls)
    ]
    found = only(scored(rows))
    assert (found["accuracy"], found["echo"]) == (0.6, 0.4)
    assert found["unechoed"] == pytest.approx(1 / 3)
    ends = clustered_interval([0, 1, 0], ["A", "A", "B"])
    assert ends is not None and (found["unechoed_low"], found["unechoed_high"]) == (ends.low, ends.high)
    nothing = only(scored([row("A", True) | {"call": "A(7)", "expected": "7"}]))
    assert (nothing["echo"], nothing["unechoed"], nothing["unechoed_low"]) == (1, None, None)


def test_recall_of_recite_is_read_from_its_own_rows() -> None:
    flags = [(True, True, True), (False, True, True), (False, True, False), (False, False, True)]
    rows = [row(f"P{i}", right, recalled=r, recalled_form=f) for i, (r, f, right) in enumerate(flags)]
    found = only(scored(rows))
    assert (found["recall"], found["recall_form"]) == (0.25, 0.75)
    assert found["given_recall"] == pytest.approx(2 / 3)


def test_recall_of_direct_is_that_of_the_recall_question_in_the_same_arm_seed_and_group() -> None:
    def asked(program: str, form: bool, **other: Any) -> Row:
        recall = {"ask": "recall", "split": "none", "call": "", "expected": "def", "parsed": None}
        return row(program, form, recalled=False, recalled_form=form, **recall, **other)

    rows = [row("A", True, ask="direct"), row("B", False, ask="direct"), row("C", True, ask="direct")]
    rows += [asked("A", True), asked("B", True), asked("C", False), asked("D", False)]
    rows += [asked("A", False, seed=1), asked("B", False, arm="other"), asked("A", False, group="io")]
    rows += [row("A", True, ask="direct", group="io")]
    rows += [
        row("A", True, ask="in-context-direct"),
        row("B", False, ask="trace"),
        row("C", True, ask="trace"),
    ]
    scores = scored(rows)
    traced = only(scores, ask="trace")
    assert (traced["recall_form"], traced["given_recall"]) == (0.5, 0.0)
    assert only(scores, ask="direct", seed=0, group="io")["recall_form"] == 0.0
    found = only(scores, ask="direct", seed=0, group="source_only")
    assert (found["recall"], found["recall_form"]) == (0.0, pytest.approx(2 / 3))
    assert found["given_recall"] == 0.5
    shown = only(scores, ask="in-context-direct")
    assert shown["recall"] is shown["recall_form"] is shown["given_recall"] is None
    recall = only(scores, ask="recall", arm="proactive", seed=0, group="source_only")
    assert (recall["accuracy"], recall["recall"], recall["recall_form"]) == (0.5, 0.0, 0.5)
    assert recall["given_recall"] is recall["parse_failures"] is recall["constant"] is None


def test_direct_without_a_recall_question_has_no_recall() -> None:
    found = only(scored(cell(5, ask="direct")))
    assert found["recall"] is found["given_recall"] is None


def test_lengths_and_operations_have_rows_of_their_own() -> None:
    rows = [
        row("A", True, length=1, ops="add"),
        row("B", False, length=1, ops="mul"),
        row("C", True, length=10, ops="add,mul"),
        row("D", True, length=2, ops=""),
    ]
    found = only(scored(rows))
    lengths = [(r["length"], r["accuracy"], r["n"]) for r in found["by_length"]]
    assert lengths == [(1, 0.5, 2), (2, 1.0, 1), (10, 1.0, 1)]
    assert [(r["op"], r["accuracy"], r["n"]) for r in found["by_op"]] == [("add", 1.0, 2), ("mul", 0.5, 2)]
    assert all(r["low"] <= r["accuracy"] <= r["high"] for r in found["by_length"] + found["by_op"])


def test_planted_accuracy_is_over_the_questions_that_have_a_planted_value() -> None:
    rows = [row(f"P{i}", False, planted="5", planted_correct=i < 3) for i in range(4)] + [row("P4", True)]
    found = only(scored(rows))
    assert (found["planted"], found["accuracy"]) == (0.75, 0.2)
    assert 0 <= found["planted_low"] < 0.75 < found["planted_high"] <= 1


def passes(found: Row) -> dict[int, float]:
    return {part["k"]: pytest.approx(part["accuracy"]) for part in found["pass_at_k"]}


def test_pass_at_k_is_over_all_sampled_questions_up_to_their_fewest_samples() -> None:
    rows = [row("A", False), row("B", False)]
    rows += [row("A", i <= 2, sample=i) for i in range(1, 6)]  # 2 of 5
    rows += [row("B", False, sample=i, parsed=None) for i in range(1, 4)]  # 0 of 3
    found = only(scored(rows))
    assert passes(found) == {1: 0.4 / 2, 2: (1 - 3 / 10) / 2, 3: (1 - 1 / 10) / 2}
    rows += [row("C", i <= 2, sample=i) for i in range(1, 6)]  # as A
    found = only(scored(rows))
    assert passes(found) == {1: 0.8 / 3, 2: 2 * (1 - 3 / 10) / 3, 3: 2 * (1 - 1 / 10) / 3}
    assert only(scored(cell(1)))["pass_at_k"] is None


def test_intervals_of_pass_at_k_are_over_programs() -> None:
    programs = [f"P{i:02}" for i in range(12)]
    shares = [(7 * i + 3 * q) % 5 for i in range(12) for q in range(i % 3 + 1)]  # right ones of four
    asked = [(p, q) for i, p in enumerate(programs) for q in range(i % 3 + 1)]
    rows = [row(p, False, question=q) for p, q in asked]
    rows += [
        row(p, i <= c, question=q, sample=i)
        for (p, q), c in zip(asked, shares, strict=True)
        for i in range(1, 5)
    ]
    found = only(scored(rows, seed=3))
    assert [part["k"] for part in found["pass_at_k"]] == [1, 2, 4]
    for part in found["pass_at_k"]:
        alone = [pass_at_k(4, min(c, 4), part["k"]) for c in shares]
        expected = clustered_interval(alone, [p for p, _ in asked], seed=3)
        assert expected is not None
        assert [part["accuracy"], part["low"], part["high"]] == pytest.approx(
            [expected.mean, expected.low, expected.high]
        )
    greedy = only(scored(rows[: len(asked)], seed=3))
    assert found | {"pass_at_k": None} == greedy  # samples leave what is greedy as it was


def test_pass_at_k_tells_prompts_and_seeds_apart() -> None:
    def sampled(*right: bool, **other: Any) -> list[Row]:
        return [row("A", r, sample=k, **other) for k, r in enumerate((False, *right))]

    rows = sampled(True, False) + sampled(False, False, prompt="another")[1:]
    assert passes(only(scored(rows))) == {1: 0.25, 2: 0.5}
    rows = sampled(True, False) + sampled(True, False, seed=1)
    assert passes(only(scored(rows), seed="all")) == {1: 0.5, 2: 1.0}


def test_seeds_are_pooled_and_the_same_name_in_two_seeds_is_two_programs() -> None:
    scores = scored(cell(2) + cell(6, seed=1))
    assert [r["seed"] for r in scores["scores"]] == [0, 1, "all"]
    pooled = only(scores, seed="all", arm="proactive")
    assert (pooled["accuracy"], pooled["n"], pooled["programs"]) == (0.4, 20, 20)
    assert len(scored(cell(2))["scores"]) == 1
    arms = ("proactive", "mixed", "untrained")
    scores = scored([r for seed in (0, 1) for arm in arms for r in cell(2, seed=seed, arm=arm)])
    assert [r["arm"] for r in scores["scores"]] == [*arms, *arms, *arms]


def test_the_order_of_the_rows_and_their_index_do_not_count() -> None:
    rows = [row(f"P{i:02}", (5 * i + 3 * q) % 4 < 2, question=q) for i in range(9) for q in range(i % 4 + 1)]
    frame = pd.DataFrame(rows + [r | {"arm": "mixed", "correct": False} for r in rows])
    expected = score(frame, recipe="r")
    found = score(frame.iloc[::-1], recipe="r")
    by_arm = [{r["arm"]: r for r in scores["scores"]} for scores in (expected, found)]
    assert by_arm[0] == by_arm[1] and expected["tests"] == found["tests"]


def test_what_was_not_judged_is_wrong_and_what_has_no_operations_is_under_none() -> None:
    rows = cell(2, 4) + [row("X", True, correct=None, lenient=None, finished=None, ops=None)]
    found = only(scored(rows))
    assert (found["accuracy"], found["lenient"], found["unfinished"]) == (0.4, 0.4, pytest.approx(0.2))
    assert {r["op"] for r in found["by_op"]} == {"add", "mul"}


def test_scores_are_plain_json_the_same_each_time_and_do_not_touch_the_frame() -> None:
    rows = cell(5) + cell(2, arm="stage-1-only") + cell(9, arm="untrained", ask="in-context-trace")
    frame = pd.DataFrame(rows)
    before = frame.copy(deep=True)
    first = score(frame, recipe="planted")
    pd.testing.assert_frame_equal(frame, before)
    assert first["recipe"] == "planted" and len(first["diagnosis"]) == 9
    assert json.dumps(first, allow_nan=False) == json.dumps(score(frame, recipe="planted"), allow_nan=False)
    other = score(frame, recipe="planted", seed=1)
    assert other != first and other["scores"][0]["accuracy"] == first["scores"][0]["accuracy"]


def test_a_frame_that_went_through_parquet_scores_the_same(tmp_path: Path) -> None:
    rows = cell(5, recalled=True, recalled_form=True) + cell(2, ask="direct") + [row("X", True, parsed=None)]
    frame = pd.DataFrame(rows)
    frame.to_parquet(tmp_path / "predictions.parquet")
    again = pd.read_parquet(tmp_path / "predictions.parquet")
    assert score(again, recipe="r") == score(frame, recipe="r")


def test_no_predictions_give_empty_scores_and_a_missing_column_is_named() -> None:
    frame = pd.DataFrame(cell(1))
    empty = score(frame.iloc[:0], recipe="r")
    assert empty["scores"] == empty["ratios"] == empty["tests"] == []
    assert {finding["verdict"] for finding in empty["diagnosis"]} == {"cannot tell"}
    with pytest.raises(PbbError, match="lack columns: planted, parsed"):
        score(frame.drop(columns=["parsed", "planted"]), recipe="r")


def test_writing_is_whole_or_not_at_all_and_knows_no_nan(tmp_path: Path) -> None:
    path = tmp_path / "very" / "new" / "scores.json"
    write({"a": math.nan, "b": [np.float64(1.5), np.int64(2), np.inf], "c": None}, path)
    assert json.loads(path.read_text()) == {"a": None, "b": [1.5, 2, None], "c": None}
    with pytest.raises(TypeError):
        write({"a": object()}, path)
    assert json.loads(path.read_text())["c"] is None
    write({"é": [1]}, path)
    assert path.read_bytes() == b'{\n "\\u00e9": [\n  1\n ]\n}\n'
    assert [p.name for p in path.parent.iterdir()] == ["scores.json"]


def test_fifty_thousand_predictions_are_scored_in_seconds() -> None:
    rng = np.random.default_rng(0)
    arms = ["proactive", "stage-1-only", "untrained", "mixed", "wrong-source"]
    rows = [
        row(f"P{p}", bool(rng.random() < 0.5), arm=arm, ask=ask, length=p % 5, question=q)
        for arm in arms
        for ask in ("recite", "trace", "direct", "in-context-trace", "in-context-direct")
        for p in range(200)
        for q in range(10)
    ]
    started = time.process_time()
    scores = scored(rows)
    assert len(scores["scores"]) == 25
    assert time.process_time() - started < 5
