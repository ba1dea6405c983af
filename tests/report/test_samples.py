"""The browsable sample: blind to outcomes, the same programs and calls for every arm, within its budget."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fake_run import Run

from pbb.report import samples


def records(shown: samples.Shown) -> list[dict[str, Any]]:
    content = json.loads(shown.json)
    columns, texts = content["columns"], content["texts"]
    names = ("arm", "group", "split", "ask", "program", "call", "generation")
    return [
        {"length": columns["length"][i], **{name: texts[columns[name][i]] for name in names}}
        for i in range(shown.rows)
    ]


def test_every_arm_shows_the_same_programs_and_calls(make_run: Callable[..., Run]) -> None:
    run = make_run(arms=("proactive", "mixed", "untrained"), count=60, calls=5)
    shown = samples.embed(run.predictions)
    assert shown.of == 3 * 2 * 60 * (1 + 5 * 2 * 5) and shown.rows < shown.of
    cells = defaultdict(set)
    for row in records(shown):
        cells[row["arm"]].add((row["group"], row["program"], row["split"], row["ask"], row["call"]))
    assert cells["proactive"] == cells["mixed"] == cells["untrained"]
    programs = {(row["group"], row["program"]): row["length"] for row in records(shown)}
    assert Counter(group for group, _ in programs) == {"io": 40, "source_only": 40}
    lengths = Counter(length for (group, _), length in programs.items() if group == "io")
    assert max(lengths.values()) - min(lengths.values()) <= 4


def test_a_call_is_shown_in_every_way_that_it_was_asked(make_run: Callable[..., Run]) -> None:
    """Direct answers are asked on more calls than the others, which costs these none of their places."""
    run = make_run(arms=("proactive",), count=40, calls=6)
    frame = pd.read_parquet(run.predictions[0])
    calls = frame.groupby(["seed", "program", "split"])["call"].transform(lambda c: pd.factorize(c)[0])
    frame[(frame["ask"] == "direct") | (frame["ask"] == "recall") | (calls < 2)].to_parquet(
        run.predictions[0]
    )
    ways = defaultdict(set)
    for row in records(samples.embed(run.predictions)):
        if row["ask"] != "recall":
            ways[row["group"], row["program"], row["split"], row["call"]].add(row["ask"])
    programs = {key[:3] for key in ways}
    complete = Counter(key[:3] for key, asks in ways.items() if len(asks) == 5)
    assert programs and all(complete[program] >= 1 for program in programs)


def test_the_choice_does_not_look_at_outcomes(make_run: Callable[..., Run]) -> None:
    run = make_run(arms=("proactive",), count=60, calls=4)
    before = {(row["program"], row["call"]) for row in records(samples.embed(run.predictions))}
    frame = pd.read_parquet(run.predictions[0])
    frame["correct"] = ~frame["correct"]
    frame.sample(frac=1, random_state=1).to_parquet(run.predictions[0])
    assert {(row["program"], row["call"]) for row in records(samples.embed(run.predictions))} == before


def test_keeps_within_the_budget(make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(arms=("proactive", "mixed"), count=30, calls=3)
    full = samples.embed(run.predictions)
    monkeypatch.setattr(samples, "BUDGET", 60_000)
    small = samples.embed(run.predictions)
    assert len(small.json.encode()) <= 60_000 < len(full.json.encode())
    assert 0 < small.rows < full.rows and small.of == full.of
    monkeypatch.setattr(samples, "BUDGET", 400)
    assert samples.embed(run.predictions).rows == 0


def test_sampled_answers_are_left_out_and_long_ones_cut(make_run: Callable[..., Run]) -> None:
    run = make_run(arms=("proactive",), count=1, calls=1)
    frame = pd.read_parquet(run.predictions[0])
    frame["generation"] = "x" * 10_000
    more = frame.assign(sample=1)
    pd.concat([frame, more]).to_parquet(run.predictions[0])
    shown = samples.embed(run.predictions)
    assert shown.of == len(frame)
    assert all(
        row["generation"].endswith("… [6000 more characters in predictions.parquet]")
        for row in records(shown)
    )


def test_no_predictions() -> None:
    shown = samples.embed([])
    assert shown.rows == shown.of == 0 and json.loads(shown.json)["texts"] == []


def test_data_cannot_end_its_script_element(make_run: Callable[..., Run], tmp_path: Path) -> None:
    shown = samples.embed(make_run(arms=("proactive",), count=2).predictions)
    assert not set("<>&\u2028\u2029") & set(shown.json)
    assert any("</script>" in row["generation"] for row in records(shown))
