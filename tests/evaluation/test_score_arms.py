"""Arms held against one another: ratios, paired tests, what a recipe claims, and the arm that a diagnosis is of."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from predicted import Row, cell, only, row, scored  # noqa: E402

from pbb.evaluation.score import score  # noqa: E402


def test_a_ratio_is_between_the_control_and_the_higher_ceiling() -> None:
    rows = cell(10, 20) + cell(2, 20, arm="stage-1-only")
    rows += cell(14, 20, ask="in-context-trace") + cell(18, 20, ask="in-context-trace", arm="untrained")
    rows += cell(20, 20, ask="in-context-direct", arm="untrained")  # the ceiling of direct, not of recite
    found = only(scored(rows), "ratios")
    assert found["ratio"] == pytest.approx((0.5 - 0.1) / (0.9 - 0.1))
    assert (found["control"], found["control_arm"]) == (0.1, "stage-1-only")
    assert (found["ceiling"], found["ceiling_arm"], found["ceiling_ask"]) == (
        *(0.9, "untrained", "in-context-trace"),
    )
    assert 0.2 < found["low"] < 0.5 < found["high"] < 0.8
    rows = [r | {"correct": r["program"] in ("P0", "P1")} if r["arm"] == "untrained" else r for r in rows]
    own = only(scored(rows), "ratios")
    assert (own["ceiling"], own["ceiling_arm"]) == (0.7, "proactive")


def test_a_ratio_is_within_one_model() -> None:
    rows = [r for arm in ("proactive", "small") for r in cell(10, 20, arm=arm)] + cell(
        2, 20, arm="stage-1-only"
    )
    rows += cell(18, 20, ask="in-context-trace", arm="untrained")
    rows += [r for arm in ("proactive", "small") for r in cell(12, 20, ask="in-context-trace", arm=arm)]
    starts = dict.fromkeys(("proactive", "stage-1-only"), "base") | {"small": "other", "untrained": "other"}
    found = score(pd.DataFrame(rows), recipe="small", starts=starts)["ratios"]
    assert [(r["arm"], r["ceiling_arm"], r["ceiling"]) for r in found] == [("proactive", "proactive", 0.6)]


def test_there_is_a_ratio_for_held_out_inputs_of_programs_only_read_and_for_nothing_else() -> None:
    def asked(**other: Any) -> list[Row]:
        return [
            r for arm, count in (("stage-1-only", 1), ("proactive", 5)) for r in cell(count, arm=arm, **other)
        ]

    rows = asked(ask="direct") + asked(group="io") + asked(split="train") + asked(ask="recall")
    rows += [
        r
        for other in ({"group": "io"}, {"split": "train"}, {})
        for r in cell(9, ask="in-context-trace", **other)
    ]
    rows += (
        cell(9, ask="in-context-trace", arm="untrained") + asked()
    )  # as high as the arm's own: that one is named
    found = only(scored(rows), "ratios")
    assert (found["arm"], found["ask"], found["ceiling_arm"]) == ("proactive", "recite", "proactive")
    assert (found["seed"], found["group"]) == (0, "source_only")
    assert found["ratio"] == pytest.approx((0.5 - 0.1) / (0.9 - 0.1))


def test_there_is_no_ratio_without_control_or_ceiling_and_a_null_one_without_room() -> None:
    assert scored(cell(5) + cell(9, ask="in-context-trace"))["ratios"] == []
    assert scored(cell(5) + cell(0, arm="stage-1-only"))["ratios"] == []
    scores = scored(cell(5) + cell(3, arm="stage-1-only") + cell(3, arm="untrained", ask="in-context-trace"))
    found = only(scores, "ratios", arm="proactive")
    assert found["ratio"] is found["low"] is found["high"] is None


def test_the_main_arm_is_one_that_reads() -> None:
    rows = [r for arm in ("demonstrations", "reading", "stage-1-only") for r in cell(10, 20, arm=arm)]
    said = score(pd.DataFrame(rows), recipe="small", readers=["reading"])
    assert (said["main_arm"], said["reads"]) == ("reading", True)
    assert {test["arm_a"] for test in said["tests"]} == {"reading"}
    said = score(pd.DataFrame(rows), recipe="small", readers=[])
    assert (said["main_arm"], said["reads"]) == ("demonstrations", False)


def test_controls_and_ceilings_are_told_for_those_who_read_scores_alone() -> None:
    rows = [r for arm in ("wrong-source", "proactive", "untrained", "prose") for r in cell(1, arm=arm)]
    said = scored(rows)
    assert said["controls"] == ["wrong-source", "untrained"]
    assert said["ceilings"] == {
        "direct": "in-context-direct", "trace": "in-context-trace", "recite": "in-context-trace"
    }  # fmt: skip


def test_the_diagnosis_is_of_the_main_arm() -> None:
    rows = []
    for arm, right in (("demonstrations", 0), ("reading", 18)):
        for q in range(4):
            rows += cell(right, 20, arm=arm, question=q) + cell(18, 20, arm=arm, group="io", question=q)
    said = score(pd.DataFrame(rows), recipe="small", readers=["reading"])
    assert only(said, "diagnosis", signature="stage 1 fine, w/o IO low")["verdict"] == "not seen"
    said = score(pd.DataFrame(rows), recipe="small", readers=["demonstrations"])
    assert only(said, "diagnosis", signature="stage 1 fine, w/o IO low")["verdict"] == "seen"


def test_without_proactive_the_first_arm_that_is_no_control_is_tested() -> None:
    scores = scored(cell(1, arm="untrained") + cell(5, arm="prose") + cell(5, arm="retroactive-grpo"))
    assert [(t["arm_a"], t["arm_b"]) for t in scores["tests"]] == [
        ("prose", "untrained"),
        ("prose", "retroactive-grpo"),
    ]


def test_the_arm_of_the_claim_is_tested_against_every_other_one_and_corrected_within_an_ask() -> None:
    rows = cell(4, 20, group="io") + cell(2, 20, group="io", arm="mixed")
    rows += cell(16, 20, arm="stage-1-only") + cell(16, 20) + cell(0, 20, arm="mixed")
    rows += cell(10, 20, ask="direct") + cell(0, 20, ask="direct", arm="mixed") + cell(3, 20, split="train")
    scores = scored(rows)
    assert [(t["arm_a"], t["arm_b"], t["ask"]) for t in scores["tests"]] == [
        ("proactive", "stage-1-only", "recite"),
        ("proactive", "mixed", "recite"),
        ("proactive", "mixed", "direct"),
    ]
    same, apart, direct = scores["tests"]
    assert (same["difference"], same["p"], same["p_holm"], same["programs"]) == (0.0, 1.0, 1.0, 20)
    assert apart["difference"] == 0.8 and apart["p"] < 0.001
    assert (apart["seed"], apart["group"], apart["split"]) == (0, "source_only", "test")
    assert apart["low"] < 0.8 < apart["high"]
    assert apart["p_holm"] == pytest.approx(2 * apart["p"])
    assert direct["difference"] == 0.5 and direct["p_holm"] == direct["p"] < 0.01


def test_composites_that_were_only_read_have_tests_and_ratios() -> None:
    other = {"group": "source_only_composed"}
    rows = cell(10, 20, **other) + cell(2, 20, arm="stage-1-only", **other)
    scores = scored(rows + cell(18, 20, ask="in-context-trace", **other))
    assert only(scores, "ratios", **other)["ratio"] == pytest.approx((0.5 - 0.1) / (0.9 - 0.1))
    assert only(scores, "tests", **other)["difference"] == 0.4


def test_holms_correction_keeps_groups_and_seeds_apart() -> None:
    rows = []
    for seed in (0, 1):
        for group in ("source_only", "source_only_composed"):
            for arm, right in (("proactive", 14), ("mixed", 8)):
                rows += cell(right, 20, seed=seed, group=group, arm=arm)
    tests = scored(rows)["tests"]
    assert len(tests) == 6  # two seeds and both together, of two groups
    assert all(test["p_holm"] == test["p"] for test in tests)


def test_questions_are_paired_by_call_whatever_their_order() -> None:
    ours = [row("A", True), row("A", False, question=1), row("B", True)]
    theirs = [row("B", True, arm="mixed"), row("A", False, question=1, arm="mixed")]
    found = only(scored(ours + theirs), "tests")
    assert (found["difference"], found["p"], found["programs"]) == (0.0, 1.0, 2)


CLAIM = {
    "says": "so", "arm": "proactive", "above": "mixed", "ask": "recite", "group": "source_only", "alpha": 0.05
}  # fmt: skip


def claimed(rows: list[Row], seed: int = 0) -> Row:
    (verdict,) = scored(rows, hypotheses=[CLAIM], seed=seed)["hypotheses"]
    return dict(verdict)


def test_what_a_recipe_claims_is_decided_on_held_out_inputs_of_its_seed_or_of_all() -> None:
    rows = cell(18, 20, seed=3) + cell(2, 20, seed=3, arm="mixed") + cell(0, 20, seed=3, split="train")
    one = claimed(rows)
    assert (one["difference"], one["programs"], one["verdict"]) == (0.8, 20, "holds")
    again = rows + cell(6, 20, seed=5) + cell(2, 20, seed=5, arm="mixed")
    both = claimed(again)
    assert (both["difference"], both["programs"]) == (pytest.approx(0.5), 40)
    near = cell(8, 20) + cell(5, 20, arm="mixed")
    assert claimed(near, seed=1)["p"] != claimed(near)["p"]
    assert only(scored(near, seed=1), "tests")["p"] != only(scored(near), "tests")["p"]
    assert "hypotheses" not in scored(rows)
    nothing = score(pd.DataFrame(rows).iloc[:0], recipe="r", hypotheses=[CLAIM])["hypotheses"]
    assert [row["verdict"] for row in nothing] == ["not asked"]
