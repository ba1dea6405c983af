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
from pbb.experiment import as_yaml
from pbb.recipe_file import load
from pbb.report.gather import write_gathered
from pbb.runs import latest_runs

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


def section(page: Path, title: str) -> str:
    """What the page says under a heading."""
    return page.read_text().split(f"<h2>{title}</h2>")[1].split("</section>")[0]


def test_each_run_tells_the_command_that_makes_it_again(runs: Path) -> None:
    """Those that are not finished too; where the recipe does not load, that there is none."""
    changed, unfinished = load("arithmetic", ["data.io=50"]), load("programs", seeds=3)
    for run, recipe in (("a/2", changed), ("b/1", unfinished)):
        (runs / run / "recipe.yaml").write_text(as_yaml(recipe))
    assert main(["report", str(runs)]) == 0
    page = runs / "index.html"
    assert f"<code>pbb run {runs}/a/2/recipe.yaml --out {runs}</code>" in section(page, changed.title)
    told = section(page, unfinished.title)
    assert f"<code>pbb run programs --seeds 3 --out {runs}</code>" in told and "No scores yet" in told
    assert "no command: this version of pbb does not load its recipe" in section(
        page, "Title &lt;a/3&gt; (owner/big)"
    )


def test_figures_lead_to_their_numbers_and_the_run_to_all_of_its_own(runs: Path, tmp_path: Path) -> None:
    for file in (
        "figures/accuracy-io.csv",
        "figures/accuracy-io.svg",
        "figures/by-length.csv",
        "tables/scores.csv",
    ):
        (runs / "a" / "2" / file).parent.mkdir(exist_ok=True)
        (runs / "a" / "2" / file).write_text("")
    for page, way in ((runs / "index.html", ""), (tmp_path / "page.html", "runs/")):
        write_gathered(dict.fromkeys(latest_runs(runs)), page)
        told = section(page, "Title &lt;a/2&gt;")
        captions = [part.split("</figcaption>")[0] for part in told.split("<figcaption>")[1:]]
        caption = next(words for words in captions if "w/ IO programs" in words)
        for word, ending in (("numbers", "csv"), ("figure", "svg")):
            assert f'<a href="{way}a/2/figures/accuracy-io.{ending}">{word}</a>' in caption
        assert told.count(">numbers</a>") == 1  # what is not there is not linked to
        for file in ("figures/accuracy-io.csv", "figures/by-length.csv", "tables/scores.csv"):
            assert f'<a href="{way}a/2/{file}">{Path(file).stem}</a>' in told.split("<dt>Numbers</dt>")[1]
        assert f'<a href="{way}a/2/report.html#predictions">' in told
        assert "<dt>Numbers</dt>" not in section(page, "Title &lt;a/3&gt; (owner/big)")


def test_a_link_survives_signs_that_mean_something_in_addresses(runs: Path) -> None:
    odd = runs.rename(runs.with_name("runs #1 50%"))
    write_gathered(dict.fromkeys(latest_runs(odd)), odd.parent / "index.html")
    assert 'href="runs%20%231%2050%25/a/2/report.html"' in (odd.parent / "index.html").read_text()


def test_a_curve_is_drawn_of_every_group_that_it_is_of(runs: Path) -> None:
    curve = {
        "name": "replay", "title": "Replay", "below": "replay", "at": ["none", "all"],
        "lines": {"proactive": ["mixed", "proactive"]}, "beside": ["stage-1-only"],
    }  # fmt: skip
    path = runs / "a" / "2" / "recipe.yaml"
    known = yaml.safe_load(path.read_text())
    for more, groups in (({}, {"w/o IO", "w/ IO"}), ({"group": "io"}, {"w/ IO"})):
        path.write_text(yaml.safe_dump(known | {"curves": [curve | more]}))
        write_gathered(dict.fromkeys(latest_runs(runs)), runs / "index.html")
        told = section(runs / "index.html", "Title &lt;a/2&gt;")
        drawn = {g for g in ("w/o IO", "w/ IO") if f"<figcaption>Replay: accuracy on {g} programs" in told}
        assert drawn == groups and told.count("<figure>") == len(groups)
    # without curves, accuracy by arm
    told = section(runs / "index.html", "Title &lt;a/3&gt; (owner/big)")
    assert all(f"<figcaption>Accuracy on {group} programs" in told for group in ("w/o IO", "w/ IO"))


def test_what_cannot_be_gathered_is_said_in_one_line(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(PbbError, match="no runs: start one"):
        write_gathered({}, tmp_path / "index.html")
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
    write_gathered(dict.fromkeys(latest_runs(runs)), runs / "index.html")
    assert "<img" not in (runs / "index.html").read_text()
