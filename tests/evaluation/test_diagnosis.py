"""Every failure signature on a run that has it, one that has not, and one that cannot tell."""

import re
from collections.abc import Sequence
from typing import Any

import pytest

from pbb.evaluation.diagnosis import SIGNATURES, diagnose, main_arm

Row = dict[str, Any]


def row(group: str, split: str, ask: str, accuracy: float, **other: Any) -> Row:
    """A row of scores.json, its interval 0.05 to both sides."""
    made: Row = {
        "arm": "proactive",
        "seed": 0,
        "group": group,
        "split": split,
        "ask": ask,
        "accuracy": accuracy,
        "low": max(0.0, accuracy - 0.05),
        "high": min(1.0, accuracy + 0.05),
        "n": 400,
        "programs": 40,
        "recall": None,
        "recall_form": None,
        "given_recall": None,
        "parse_failures": 0.0,
        "constant": 0.2,
        "constant_low": 0.15,
        "constant_high": 0.25,
        "guess": 0.2,
        "guess_low": 0.15,
        "guess_high": 0.25,
        "planted": None,
        "planted_low": None,
        "planted_high": None,
        "unfinished": 0.0,
        "by_length": [],
    }
    return made | other


def without(accuracy: float, ask: str = "recite", **other: Any) -> Row:
    return row("source_only", "test", ask, accuracy, **other)


def known(accuracy: float, ask: str = "recite", **other: Any) -> Row:
    return row("io", "test", ask, accuracy, **other)


def length(length: int, accuracy: float, n: int = 50, spread: float = 0.05) -> Row:
    ends = {"low": max(0.0, accuracy - spread), "high": min(1.0, accuracy + spread)}
    return {"length": length, "accuracy": accuracy, "n": n, **ends}


WRONG = {"arm": "wrong-source"}
BEFORE = {"arm": "stage-1-only"}
TRANSFER = "stage 1 fine, w/o IO low"
MEMORISED = "memorised pairs rather than an interpreter"
LENGTH = "decay with length"
EXECUTION = "recall without execution"
FORGETTING = "forgetting in stage 2"
UNPARSED = "answers that cannot be parsed"
GUESSING = "guessing"
SOURCE = "never learned the source"
LEAK = "the sources leak through the name or the phrasing"

CASES: list[tuple[str, str, Sequence[Row], str]] = [
    (
        TRANSFER,
        "seen",
        [known(0.9), without(0.39)],
        "recite: w/ IO 90.0 % (85.0 to 95.0), w/o IO 39.0 % (34.0 to 44.0)",
    ),
    (TRANSFER, "not seen", [known(0.9), without(0.41)], "w/o IO 41.0 %"),
    (TRANSFER, "cannot tell", [known(0.79), without(0.0)], "no verdict before w/ IO reaches 80 %"),
    (TRANSFER, "cannot tell", [without(0.0)], "not both asked"),
    (TRANSFER, "cannot tell", [known(0.9, "trace"), without(0.0)], "not both asked"),
    (
        TRANSFER,
        "seen",
        [known(0.9), without(0.9), known(0.9, "direct"), without(0.0, "direct")],
        "direct: w/ IO 90.0 % (85.0 to 95.0), w/o IO 0.0 % (0.0 to 5.0) on held-out inputs; recite: w/ IO",
    ),
    (MEMORISED, "seen", [row("io", "train", "direct", 0.95), known(0.7, "direct")], "direct: w/ IO 95.0 %"),
    (
        MEMORISED,
        "not seen",
        [row("io", "train", "direct", 0.95), known(0.8, "direct")],
        "80.0 % (75.0 to 85.0)",
    ),
    (MEMORISED, "not seen", [row("io", "train", "direct", 0.95, low=0.7), known(0.7, "direct")], "(70.0 to"),
    (MEMORISED, "cannot tell", [known(0.7, "direct")], "not asked on both"),
    (
        LENGTH,
        "seen",
        [without(0.7, by_length=[length(9, 0.4), length(1, 0.9)])],
        "recite: 90.0 % (85.0 to 95.0) at length 1, 40.0 %",
    ),
    (
        LENGTH,
        "not seen",
        [without(0.7, by_length=[length(1, 0.6), length(9, 0.9)])],
        "90.0 % (85.0 to 95.0) at length 9",
    ),
    (
        LENGTH,
        "not seen",
        [without(0.7, by_length=[length(1, 0.8), length(9, 0.65)])],
        "65.0 % (60.0 to 70.0) at length 9",
    ),
    (
        LENGTH,
        "not seen",
        [without(0.7, by_length=[length(1, 0.7, spread=0.2), length(9, 0.45, spread=0.15)])],
        "45.0 % (30.0 to 60.0) at length 9",
    ),
    (LENGTH, "seen", [without(0.7, by_length=[length(1, 0.9, n=20), length(9, 0.4, n=20)])], "40.0 %"),
    (LENGTH, "cannot tell", [without(0.7, by_length=[length(1, 0.9), length(9, 0.1, n=19)])], "20 questions"),
    (
        EXECUTION,
        "seen",
        [without(0.4, recall=0.0, recall_form=0.8, given_recall=0.49)],
        "execution given recall 49.0 %",
    ),
    (
        EXECUTION,
        "not seen",
        [without(0.5, recall=0.0, recall_form=0.8, given_recall=0.5)],
        "source recalled 80.0 %",
    ),
    (
        EXECUTION,
        "cannot tell",
        [without(0.1, recall=0.0, recall_form=0.79, given_recall=0.1)],
        "before recall reaches 80 %",
    ),
    (EXECUTION, "cannot tell", [without(0.1)], "not asked for or never recalled"),
    (FORGETTING, "seen", [known(0.6, **BEFORE), known(0.4)], "60.0 % (55.0 to 65.0) after stage 1, 40.0 %"),
    (FORGETTING, "not seen", [known(0.4, **BEFORE), known(0.6)], "after stage 2"),
    (FORGETTING, "not seen", [known(0.6, **BEFORE), known(0.52)], "52.0 %"),
    (FORGETTING, "not seen", [known(0.6, **BEFORE), known(0.4, high=0.6)], "(35.0 to 60.0)"),
    (FORGETTING, "cannot tell", [known(0.4)], "not asked after stage 1"),
    (FORGETTING, "cannot tell", [known(0.4, **BEFORE)], "not asked after stage 1"),
    (
        UNPARSED,
        "seen",
        [known(0.4), without(0.4, "trace", parse_failures=0.05, unfinished=0.03)],
        "5.0 % of the answers could not be read and 3.0 % were cut off (trace, w/o IO, held-out inputs).",
    ),
    (
        UNPARSED,
        "not seen",
        [without(0.4, parse_failures=0.04), without(0.0, parse_failures=1.0, **WRONG)],
        "4.0 %",
    ),
    (UNPARSED, "cannot tell", [row("io", "none", "recall", 1.0, parse_failures=None)], "No question"),
    (GUESSING, "seen", [without(0.29)], "29.0 % (24.0 to 34.0), best constant answer 20.0 % (15.0 to 25.0)"),
    (GUESSING, "seen", [without(0.3)], "30.0 %"),
    (GUESSING, "not seen", [without(0.31)], "31.0 %"),
    (GUESSING, "cannot tell", [without(0.29, n=159)], "fewer than 4 questions a program"),
    (GUESSING, "seen", [without(0.29, n=160)], "29.0 %"),
    (GUESSING, "not seen", [without(0.9, n=40)], "90.0 %"),
    (SOURCE, "seen", [row("source_only", "none", "recall", 0.1, recall=0.1, recall_form=0.49)], "49.0 % of"),
    (
        SOURCE,
        "not seen",
        [row("source_only", "none", "recall", 0.1, recall=0.1, recall_form=0.5)],
        "(10.0 % to the",
    ),
    (SOURCE, "seen", [without(0.1, recall=0.0, recall_form=0.2)], "20.0 % of the w/o IO sources"),
    (
        SOURCE,
        "not seen",
        [
            without(0.1, recall=0.1, recall_form=0.1),
            row("source_only", "none", "recall", 0.9, recall=0.9, recall_form=0.9),
        ],
        "90.0 % of the w/o IO sources",
    ),
    (SOURCE, "cannot tell", [without(0.1, "direct")], "not asked for"),
    (
        LEAK,
        "seen",
        [without(0.9), without(0.31, **WRONG)],
        "wrong source 31.0 % (26.0 to 36.0) on the true program",
    ),
    (LEAK, "not seen", [without(0.9), without(0.3, **WRONG)], "no source 25.0 % at most"),
    (
        LEAK,
        "not seen",
        [without(0.9), without(0.5, **WRONG), without(0.4, **BEFORE)],
        "no source 45.0 % at most",
    ),
    (LEAK, "seen", [without(0.51, n=40, constant_high=1.0, **WRONG), without(0.4, **BEFORE)], "51.0 %"),
    (
        LEAK,
        "not seen",
        [without(0.1, planted=0.8, planted_low=0.7, planted_high=0.9, **WRONG)],
        "80.0 % (70.0 to 90.0) on the planted one",
    ),
    (LEAK, "cannot tell", [without(0.9), without(0.5, n=40, **WRONG)], "no arm with wrong sources"),
    (LEAK, "cannot tell", [without(0.9)], "no arm with wrong sources"),
]


@pytest.mark.parametrize(("signature", "verdict", "rows", "evidence"), CASES)
def test_a_signature_is_told_with_its_figures(
    signature: str, verdict: str, rows: Sequence[Row], evidence: str
) -> None:
    arms = [{**r, "arm": "proactive"} for r in rows[:1] if r["arm"] != "proactive"]
    # A run without a row of proactive would be about another arm: name it in a group that nothing looks at.
    padding = [{**r, "group": "other"} for r in arms]
    found = next(f for f in diagnose({"scores": [*rows, *padding]}) if f["signature"] == signature)
    assert found["verdict"] == verdict
    assert evidence in found["evidence"].replace("\u00a0", " ")
    assert found["evidence"].endswith(".") and found["advice"]


def test_every_signature_has_cases_of_every_verdict() -> None:
    assert {(signature, verdict) for signature, verdict, _, _ in CASES} == {
        (signature, verdict)
        for signature, _, _ in SIGNATURES
        for verdict in ("seen", "not seen", "cannot tell")
    }


def test_no_finding_speaks_in_fractions_or_in_the_names_of_columns() -> None:
    """It stands on the page beside percents of "w/o IO" programs; the one number after a point is that of a percent."""
    for _, _, rows, _ in CASES:
        for found in diagnose({"scores": rows}):
            assert not re.search(
                r"\b0?\.\d\d|source_only|\bio\b|\btest\b|wrong-source|stage-1-only", found["evidence"]
            )


def test_pooled_seeds_go_before_single_ones() -> None:
    rows = [without(0.1), without(0.9, seed=1), without(0.9, seed="all")]
    for order in (rows, rows[::-1]):
        guessing = next(f for f in diagnose({"scores": order}) if f["signature"] == GUESSING)
        assert guessing["verdict"] == "not seen"


def test_the_arm_of_the_run() -> None:
    assert main_arm(["untrained", "prose", "proactive"]) == "proactive"
    assert main_arm(["untrained", "stage-1-only", "prose", "retroactive-sft"]) == "prose"
    assert main_arm(["untrained", "prose", "other"], ["mixed", "other"]) == "other"
    assert main_arm(["untrained", "prose"], ["mixed"]) == "prose"
    assert main_arm(["untrained", "mixed"]) == "untrained"
    assert main_arm([]) is None
