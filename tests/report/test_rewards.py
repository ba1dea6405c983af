"""What GRPO left behind, in the report: the rows of metrics.jsonl as logged, and rollouts as text that nothing interprets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from fake_run import Run

from pbb.report.page import write_report
from pbb.report.rewards import reward_curves, strangest, unrewarded


def written(folder: Path, rewards: list[float], texts: list[str]) -> Path:
    folder.mkdir(parents=True)
    rows = [
        {"step": i + 1, "loss": 0.0, "reward": r, "zero_variance": 0.5, "entropy": 0.2, "kl": None}
        for i, r in enumerate(rewards)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    odd = [
        {"asked": "Find Zib(1).", "text": t, "true": "1", "reward": 1.0, "unlike": 0.5, "step": 1}
        for t in texts
    ]
    (folder / "strangest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in odd))
    return folder / "metrics.jsonl"


def test_the_curve_is_what_was_logged_and_sft_has_none(tmp_path: Path) -> None:
    sft = tmp_path / "sft.jsonl"
    sft.write_text(json.dumps({"step": 1, "loss": 2.0}) + "\n")
    grpo = written(tmp_path / "grpo", [0.1, 0.4, 0.3], [])
    chart = reward_curves({"learn, seed 0": sft, "learn + run, seed 0": grpo})
    assert chart is not None
    assert [(row["training"], row["step"], row["reward"]) for row in chart.table] == [
        ("learn + run, seed 0", 1, 0.1), ("learn + run, seed 0", 2, 0.4), ("learn + run, seed 0", 3, 0.3),
    ]  # fmt: skip
    assert reward_curves({"learn, seed 0": sft}) is None


def test_a_training_that_never_earned_anything_is_named(make_run: Callable[..., Run], tmp_path: Path) -> None:
    """One rollout that earned something is enough to have taught something."""
    run = make_run(seeds=(0,), count=4, calls=1)
    run.training["warm + run-grpo, seed 0"] = written(tmp_path / "dead", [0.0, 0.0], [])
    run.training["warm + run-grpo, seed 1"] = written(tmp_path / "alive", [0.0, 0.1], [])
    assert unrewarded(reward_curves(run.training)) == ["warm + run-grpo, seed 0"]
    write_report(**vars(run))
    page = (run.out / "report.html").read_text()
    assert page.count("no answer ever earned a reward") == 1
    assert "<b>warm + run-grpo, seed 0</b>: no answer ever earned a reward" in page


def test_the_strangest_rollouts_are_shown_and_escaped(make_run: Callable[..., Run], tmp_path: Path) -> None:
    path = written(tmp_path / "grpo", [0.1, 0.4], ["<script>alert(1)</script>\nAnswer: 1"])
    run = make_run(seeds=(0,), count=4, calls=1)
    run.training["warm + run-grpo, seed 0"] = path
    write_report(**vars(run))
    page = (run.out / "report.html").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\nAnswer: 1" in page and "<script>alert(1)" not in page
    assert 'href="#rewards"' in page and (run.out / "figures" / "rewards.csv").is_file()
    assert [odd.label for odd in strangest(run.training)] == ["warm + run-grpo, seed 0"]
    assert strangest({"a": tmp_path / "nothing" / "metrics.jsonl"}) == []
