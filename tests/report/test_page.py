"""The page: one file, safe against what models write, the same bytes twice, whole where parts are missing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fake_run import HOSTILE, Run

from pbb.errors import PbbError
from pbb.report.page import write_report

VOID = {"meta", "input", "br", "img", "link", "hr", "path", "use"}


class Reader(HTMLParser):
    """Collects what a browser would act upon, and checks that tags close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.open and self.open[-1] == tag, (tag, self.open)
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.text += data


def parse(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader


def page(run: Run) -> str:
    write_report(**vars(run))
    return (run.out / "report.html").read_text(encoding="utf-8")


def data(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found
    return dict(json.loads(found.group(1)))


@pytest.fixture(scope="module")
def html(shared_run: Run) -> str:
    return (shared_run.out / "report.html").read_text(encoding="utf-8")


def test_asks_the_network_for_nothing(html: str) -> None:
    assert not re.search(
        r"(https?:)?//[\w-]+\.\w", re.sub(r"<script type=.*?</script>", "", html, flags=re.DOTALL)
    )
    for tag, attributes in parse(html).tags:
        assert tag not in ("link", "iframe", "object", "embed", "base", "img")
        for name in ("src", "href", "xlink:href", "action"):
            assert (attributes.get(name) or "#").startswith(("#", "figures/")), (tag, attributes)
    assert "url(http" not in html and "@import" not in html
    assert "default-src &#39;none&#39;" in html


def test_tags_close_and_ids_are_unique(html: str) -> None:
    reader = parse(html)
    assert reader.open == []
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_every_local_link_leads_somewhere(html: str, shared_run: Run) -> None:
    tags = parse(html).tags
    ids = {attributes.get("id") for _, attributes in tags}
    for tag, attributes in tags:
        target = attributes.get("href") or ""
        if tag == "a" and target.startswith("#"):
            assert target[1:] in ids
        elif tag == "a":
            assert (shared_run.out / target).is_file()


def test_hostile_text_stays_text(make_run: Callable[..., Run]) -> None:
    run = make_run(arms=("proactive",), count=2)
    run.recipe.update(title=HOSTILE, about=HOSTILE, hostile=HOSTILE)
    run.environment[HOSTILE] = {"x": HOSTILE}
    run.command = HOSTILE
    content = run.content()
    content["diagnosis"] = [
        {"signature": HOSTILE, "verdict": HOSTILE, "evidence": HOSTILE, "advice": HOSTILE}
    ]
    for row in content["scores"]:
        row["by_op"] = [{**part, "op": HOSTILE} for part in row["by_op"]]
    run.rewrite(content)
    html = page(run)
    assert "<img" not in html and "</script><" not in html.replace("</script>\n<", "")
    assert html.count("<script") == html.count("</script>") == 3
    reader = parse(html)
    assert not any(name.startswith("on") for _, attributes in reader.tags for name in attributes)
    assert reader.text.count("<img src=x onerror=alert(1)>") >= 5  # all of it is there to be read
    assert any(HOSTILE in text for text in data(html)["texts"])


def test_same_input_same_bytes(make_run: Callable[..., Run], tmp_path: Path) -> None:
    run = make_run(arms=("proactive", "wrong-source"), count=4, calls=1)
    first = page(run)
    run.out = tmp_path / "again"
    assert page(run) == first
    files = sorted((tmp_path / "again" / "figures").iterdir())
    assert len(files) >= 12
    for file in files:
        assert file.read_bytes() == (tmp_path / "run" / "out" / "figures" / file.name).read_bytes()


def test_embedded_predictions_are_the_parquet_rows(make_run: Callable[..., Run]) -> None:
    run = make_run(arms=("wrong-source",), count=3, calls=2)
    content = data(page(run))
    texts, columns = content["texts"], content["columns"]
    rows = pd.concat([pd.read_parquet(path) for path in run.predictions])
    assert len(columns["flags"]) == len(rows)
    for name in ("call", "generation", "prompt", "expected", "ops"):
        shown = [texts[i] for i in columns[name]]
        assert sorted(shown) == sorted(rows[name])
    right = sum(bits & 3 == 1 for bits in columns["flags"])
    assert right == rows["correct"].sum()
    assert sum(i < 0 for i in columns["parsed"]) == rows["parsed"].isna().sum()


@pytest.mark.parametrize("missing", ["ratios", "tests", "diagnosis", "cost"])
def test_a_missing_part_leaves_out_its_section(make_run: Callable[..., Run], missing: str) -> None:
    run = make_run(arms=("untrained", "proactive"), count=2, calls=1)
    content = run.content()
    del content[missing]
    run.rewrite(content)
    html = page(run)
    heading = {"ratios": "PBB ratio</caption>", "tests": "Paired permutation tests</caption>"}
    assert heading.get(missing, f'id="{missing}"') not in html
    assert parse(html).open == []


def test_nothing_but_an_empty_table_of_scores(make_run: Callable[..., Run]) -> None:
    run = make_run(arms=("proactive",), count=1, calls=1)
    run.rewrite({"recipe": "empty", "scores": []})
    run.predictions, run.training, run.recipe, run.environment = [], {}, {}, {}
    text = parse(page(run)).text
    assert (
        "No w/o IO programs were asked about." in text and "No predictions were given to this report." in text
    )
    assert list((run.out / "figures").iterdir()) == []


def test_nulls_everywhere(make_run: Callable[..., Run]) -> None:
    run = make_run(arms=("proactive", "wrong-source"), count=2, calls=1)
    content = run.content()
    named = ("arm", "seed", "group", "split", "ask")
    for row in content["scores"]:
        row.update({name: None for name in row if name not in named})
    run.rewrite(content)
    assert parse(page(run)).open == []


def test_names_the_seeds(make_run: Callable[..., Run], html: str) -> None:
    assert "one seed (0)" in page(make_run(arms=("proactive",), count=1, calls=1))
    assert "three seeds (0, 1, 2)" in html


def test_unreadable_scores_are_a_users_error(make_run: Callable[..., Run]) -> None:
    run = make_run(arms=("proactive",), count=1, calls=1)
    run.scores.write_text("{")
    with pytest.raises(PbbError, match="scores cannot be read: .*: score the run again"):
        write_report(**vars(run))
    run.scores.write_text('{"scores": []}')
    run.predictions = [run.scores]
    with pytest.raises(PbbError, match="predictions cannot be read"):
        write_report(**vars(run))


def test_an_arm_of_a_hostile_name_stays_a_name(make_run: Callable[..., Run]) -> None:
    html = page(make_run(arms=("proactive", "<img src=x onerror=alert(1)>"), count=2))
    assert "<img" not in html
    assert html.count("<script") == html.count("</script>") == 3
