"""The page over many runs: each with its finding and its claims, the unfinished named, nothing interpreted, nothing fetched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from fake_run import Run

from pbb.cli import main
from pbb.errors import PbbError
from pbb.experiment import latest_runs
from pbb.report.gather import write_gathered

CLAIM = {
    "says": "<b>so</b>", "arm": "proactive", "above": "mixed", "ask": "trace", "group": "source_only", "alpha": 0.05,
    "difference": 0.25, "low": 0.125, "high": 0.375, "p": 0.001, "p_holm": 0.002, "programs": 6, "verdict": "holds",
}  # fmt: skip


@pytest.fixture
def runs(shared_run: Run, tmp_path: Path) -> Path:
    """Two recipes: one has an older and a newer run, and one on another model; the other is not finished."""
    scores = shared_run.content() | {"hypotheses": [CLAIM]}
    for place, model in (("a/1", "base"), ("a/2", "base"), ("a/3", "owner/big"), ("b/1", "base")):
        folder = tmp_path / "runs" / place
        folder.mkdir(parents=True)
        recipe = {"name": place[0], "title": f"Title <{place}>", "model": model}
        (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
        if place != "b/1":
            (folder / "scores.json").write_text(json.dumps(scores))
            (folder / "report.html").write_text("")
    return tmp_path / "runs"


def test_the_latest_run_of_every_recipe_and_model(runs: Path) -> None:
    assert [str(run.relative_to(runs)) for run in latest_runs(runs)] == ["a/2", "a/3", "b/1"]
    (runs / "a" / "2" / "scores.json").unlink()
    assert [str(run.relative_to(runs)) for run in latest_runs(runs)] == ["a/1", "a/3", "b/1"]


def test_the_page_tells_them(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(runs)]) == 0
    page = (runs / "index.html").read_text()
    assert capsys.readouterr().out.strip() == str(runs / "index.html")
    for words in (
        "Title &lt;a/2&gt;",
        "Title &lt;a/3&gt; (owner/big)",
        "&lt;b&gt;so&lt;/b&gt;",
        "holds",
        "+25",
    ):
        assert words in page
    assert 'href="a/2/report.html"' in page and "<b>so</b>" not in page and "a/1" not in page
    assert "No scores yet: <code>b/1</code>" in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")


def test_what_cannot_be_gathered_is_said_in_one_line(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(PbbError, match="no runs: start one"):
        write_gathered([], tmp_path / "index.html")
    assert main(["report", str(tmp_path / "nothing")]) == 2
    assert main(["report", str(runs), "--out", str(tmp_path / "no" / "folder.html")]) == 2
    assert main(["report", str(runs), "--out", str(tmp_path)]) == 2
    for told in ("{", "[]", '{"scores": [{}]}', "null"):
        (runs / "a" / "2" / "scores.json").write_text(told)
        assert main(["report", str(runs)]) == 2, told
    for told in (": :", "[]"):
        (runs / "a" / "2" / "recipe.yaml").write_text(told)
        assert main(["report", str(runs)]) == 2, told
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 9 and all(line.startswith("pbb: report: ") for line in errors)
    shutil.rmtree(runs)


def test_a_recipe_of_a_hostile_name_stays_a_name(runs: Path) -> None:
    for file in runs.glob("a/*/recipe.yaml"):
        file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"name": 'a"><img src=q>'}))
    write_gathered(latest_runs(runs), runs / "index.html")
    assert "<img" not in (runs / "index.html").read_text()
