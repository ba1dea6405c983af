"""The real command line on a real (small) model: all six arms, asked again, asked a question, killed, and misled."""

from __future__ import annotations

import json
import random
import re
import shutil
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
from running import RECIPE, Command, outputs, pbb_says, scores, start, until

ARMS = {"untrained", "stage-1-only", "stage-2-only", "mixed", "wrong-source", "proactive"}
ASKS = {"direct", "trace", "recite", "in-context-direct", "in-context-trace", "recall"}
KILLS = 4


def test_a_run_of_all_arms(finished: tuple[Path, str]) -> None:
    directory, out = finished
    found = scores(directory)
    assert found["recipe"] == "six_arms"
    assert {row["arm"] for row in found["scores"]} == ARMS
    assert {row["ask"] for row in found["scores"]} == ASKS
    assert {row["group"] for row in found["scores"]} == {"io", "source_only"}
    for row in found["scores"]:
        assert 0 <= row["low"] <= row["accuracy"] <= row["high"] <= 1
        assert row["programs"] == (6 if row["group"] == "source_only" else 3)
    assert all(arm in out for arm in ARMS)
    assert re.search(r"^18 steps run, 0 reused", out, re.MULTILINE)
    assert out.rstrip().endswith("report.html")
    folders = [p for p in (directory / "steps").iterdir() if p.is_dir()]
    assert len(folders) == 18 and all((p / "DONE").exists() for p in folders)
    trained = [p for p in folders if p.name.startswith("train-")]
    assert len(trained) == 5  # stage 1 once, for three arms
    assert not [p for p in trained if (p / "checkpoints").exists()]
    for name in ("recipe.yaml", "environment.json", "events.jsonl"):
        assert (directory / name).stat().st_size > 0


def test_the_predictions_are_all_there(finished: tuple[Path, str]) -> None:
    directory, _ = finished
    frames = [pd.read_parquet(p) for p in (directory / "steps").glob("evaluate-*/predictions.parquet")]
    whole = pd.concat(frames)
    assert set(whole["arm"]) == ARMS and len(frames) == len(ARMS)
    asked = {arm: set(map(tuple, rows[["ask", "prompt"]].values)) for arm, rows in whole.groupby("arm")}
    assert all(questions == asked["proactive"] for questions in asked.values())
    judged = whole[whole["planted"].notna()]
    assert set(judged["arm"]) == {"wrong-source"} and set(judged["group"]) == {"source_only"}


def test_the_report_stands_alone(finished: tuple[Path, str]) -> None:
    directory, _ = finished
    page = (directory / "report.html").read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith("<!doctype html") and "</html>" in page
    assert "<svg" in page and all(arm in page for arm in ARMS)
    # links may lead elsewhere (to the figures' numbers, to a paper), but nothing that the page shows is fetched
    assert not re.search(r"<link\b|<script[^>]+src|@import|\bfetch\(|XMLHttpRequest|\bimport\(", page)
    shown = re.findall(r"""(?:\bsrc\s*=\s*["']?|url\(\s*["']?)([^"'\s)>]+)""", page)
    assert [address for address in shown if not address.startswith(("#", "data:"))] == []
    links = re.findall(r"""\bhref\s*=\s*["']([^"']+)""", page)
    beside = [link for link in links if not link.startswith(("#", "http"))]
    assert [link for link in beside if not (directory / link).is_file()] == []
    assert list((directory / "figures").glob("*.svg")) and list((directory / "figures").glob("*.csv"))


def test_asked_again_it_runs_nothing(finished: tuple[Path, str], command: Command, place: Path) -> None:
    directory, _ = finished
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*")}
    code, out, err = pbb_says(*command, "--json", cwd=place)
    assert code == 0, err
    assert json.loads(out) == json.loads((directory / "scores.json").read_text())
    assert "all 18 steps are there already" in err
    assert {path: path.stat().st_mtime_ns for path in directory.rglob("*")} == before


def test_a_model_of_the_run_can_be_asked(finished: tuple[Path, str], place: Path) -> None:
    directory, _ = finished
    programs = next((directory / "steps").glob("programs-*/programs.jsonl"))
    records = map(json.loads, programs.read_text().splitlines())
    program = next(p for p in records if p["group"] == "source_only")
    example = program["examples"][0]
    call = f"{program['name']}({example['args'][0]})"
    code, out, err = pbb_says("ask", "six_arms", call, "--json", cwd=place)
    assert code == 0, err
    rows = json.loads(out)
    assert [row["ask"] for row in rows] == ["direct", "trace", "recite"]
    for row in rows:
        assert row["true"] == repr(example["output"])
        assert row["right"] is (row["answer"] == row["true"])
    code, out, err = pbb_says("ask", str(directory), call, "--arm", "untrained", cwd=place)
    assert code == 0 and "recite" in out, err


def test_a_run_is_compared_with_itself(finished: tuple[Path, str], place: Path) -> None:
    directory, _ = finished
    code, out, err = pbb_says("compare", "six_arms", str(directory), "--json", cwd=place)
    assert code == 0, err
    rows = json.loads(out)
    assert list(dict.fromkeys(row["arm"] for row in rows)) == list(
        dict.fromkeys(row["arm"] for row in json.loads((directory / "scores.json").read_text())["scores"])
    )
    assert {(row["difference"], row["left_out"]) for row in rows} == {(0.0, 0)}
    code, out, err = pbb_says(
        "compare", "six_arms", "six_arms", "--arms", "stage-1-only=proactive", "--json", cwd=place
    )
    assert code == 0, err
    assert {(row["arm"], row["other"]) for row in json.loads(out)} == {("stage-1-only", "proactive")}
    code, out, err = pbb_says("compare", "six_arms", "six_arms", "--arms", "proactive", cwd=place)
    assert code == 2 and "--arms proactive: expected ARM=ARM" in err and err.count("\n") == 1
    code, out, err = pbb_says("compare", "six_arms", "nothing", cwd=place)
    assert code == 2 and "nothing" in err and err.count("\n") == 1


def test_a_killed_run_ends_with_the_same_scores(
    finished: tuple[Path, str], command: Command, tmp_path: Path
) -> None:
    """SIGKILL at random moments of the work, to the run alone: what it started has to go with it."""
    rng = random.Random(0)
    written = sorted(path.stat().st_mtime for path in finished[0].rglob("*"))
    took = written[-1] - written[0]  # of the undisturbed run: the kills together take less
    events = lambda: next((tmp_path / "runs" / "six_arms").glob("*/events.jsonl"), None)  # noqa: E731
    killed = 0
    while killed < KILLS:
        seen = len(path.read_bytes()) if (path := events()) else 0
        process = start(*command, "--workers", "2", cwd=tmp_path)
        until(lambda: process.poll() is not None or ((path := events()) and len(path.read_bytes()) > seen))  # noqa: B023
        time.sleep(rng.uniform(0, took / (2 * KILLS)))
        process.kill()
        process.communicate()
        if process.returncode == 0:  # this machine has less else to do than it had
            shutil.rmtree(tmp_path / "runs")
            killed, took = 0, took / 2
            continue
        assert process.returncode == -signal.SIGKILL
        killed += 1
    code, out, err = pbb_says(*command, cwd=tmp_path)
    assert code == 0, err
    reused = re.search(r"(\d+) steps run, (\d+) reused", out)
    assert reused and int(reused[2]) > 0
    (directory,) = (tmp_path / "runs" / "six_arms").iterdir()
    undisturbed, _ = finished
    assert directory.name == undisturbed.name
    assert outputs(directory) == outputs(undisturbed)
    assert scores(directory) == scores(undisturbed)
    for path in directory.glob("steps/train-*/metrics.jsonl"):
        steps = [json.loads(line)["step"] for line in path.read_text().splitlines()]
        assert steps == sorted(set(steps))


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["run", "nonsense"], ["no recipe 'nonsense'", "arithmetic"]),
        (["run", str(RECIPE), "--set", "data.nonsense=1"], [str(RECIPE), "data.nonsense", "no such key"]),
        (["run", str(RECIPE), "--set", "data.io=many"], [str(RECIPE), "data.io", "integer"]),
        (["run", str(RECIPE), "--model", "./nowhere"], ["model", "./nowhere"]),
        (["run", str(RECIPE), "--model", "."], ["model", "config.json"]),
        (
            ["run", "arithmetic", "--model", "owner/model", "--out", "a-file"],
            ["a-file", "choose another folder"],
        ),
        (["run", "arithmetic", "--model", "owner/model", "--out", "/sys/runs"], ["/sys", "folder"]),
        (["ask", "six_arms", "Nobody(1)", "--out", "nothing"], ["six_arms", "pbb run"]),
    ],
    ids=[
        "recipe",
        "key",
        "type",
        "model folder",
        "not a model",
        "a file for a folder",
        "unwritable",
        "no run",
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments: Command, parts: list[str], tmp_path: Path) -> None:
    (tmp_path / "a-file").write_text("")
    code, out, err = pbb_says(*arguments, cwd=tmp_path)
    assert (code, out, len(err.splitlines())) == (2, "", 1), err
    assert err.startswith("pbb: ") and "Traceback" not in err
    assert [part for part in parts if part not in err] == [], err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a-file"]


def test_a_recipe_that_leaks_is_refused(tmp_path: Path) -> None:
    leak = "stages.read.mix.0={kind: execution, group: source_only, per_program: 1, ask: direct}"
    code, out, err = pbb_says("run", str(RECIPE), "--set", leak, cwd=tmp_path)
    assert (code, out, len(err.splitlines())) == (2, "", 1), err
    assert "executions of w/o IO programs are never trained on" in err
