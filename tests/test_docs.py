"""What the documents say of the code holds: every key of a recipe is in docs/recipes.md, every link leads to a place, and docs/extending.md works."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from pbb.documents.chats import Chat
from pbb.documents.corpus import Share
from pbb.programs.compose import Compose
from pbb.programs.families import FAMILIES
from pbb.recipe import Recipe
from pbb.recipe_claims import Curve, Evaluation, Hypothesis, Sampled
from pbb.recipe_file import load, shipped
from pbb.recipe_stages import Arm, Stage
from pbb.training.pairs import Dpo
from pbb.training.rollouts import Grpo

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXTENDING = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The examples of docs/extending.md."""
    return re.findall(rf"^```{language}\n(.*?)^```", EXTENDING, flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """What the headings of a page are linked by: their words in lower case, without signs."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    heads = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize(
    "model",
    [
        *(Recipe, Stage, Share, Chat, Arm, Evaluation, Sampled, Hypothesis, Curve, Grpo, Dpo, Compose),
        *FAMILIES.values(),
    ],
)
def test_every_key_of_a_recipe_is_explained(model: type[BaseModel]) -> None:
    page = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    coded = re.findall(r"`[^`]*`", re.sub(r"```.*?```", "", page, flags=re.DOTALL))
    words = {word for code in coded for word in re.findall(r"[a-z_0-9]+", code)}
    assert set(model.model_fields) - words == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", page.read_text(encoding="utf-8"))
    targets = [t for t in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text) if "://" not in t]
    assert [t for t in targets if not (page.parent / t).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_into_pages_lead_to_headings(page: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", page.read_text(encoding="utf-8"))
    places = re.findall(r"\]\(([^):#]*)#([^)]+)\)", text)
    assert [(t, a) for t, a in places if a not in anchors(page.parent / t if t else page)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_recipes_that_are_run_exist(page: Path) -> None:
    named = set(
        re.findall(
            r"`pbb (?:run|show|estimate|sweep) ([a-z][a-z0-9-]*)[ `]", page.read_text(encoding="utf-8")
        )
    )
    assert named - set(shipped()) == set()


def test_recipes_of_the_guide_are_recipes(tmp_path: Path) -> None:
    for number, text in enumerate(blocks("yaml")):
        (tmp_path / f"{number}.yaml").write_text(text, encoding="utf-8")
        models = [None, *re.findall(r"^  ([\w/]+):", text.partition("models:")[2], flags=re.MULTILINE)]
        assert len(models) == 2
        for model in models:
            assert load(str(tmp_path / f"{number}.yaml"), model=model).arms


def test_the_family_of_the_guide_draws_programs_without_twins() -> None:
    (text,) = (block for block in blocks("python") if "(Data):" in block)
    space: dict[str, Any] = {"__name__": "clocks"}
    exec(compile(text, "clocks.py", "exec", dont_inherit=True), space)
    data = space["Clocks"](io=20, source_only=10, train_inputs=20, test_inputs=10)
    drawn = data.programs(0, 5, lambda done, total, what: None)
    assert [p.group for p in drawn] == ["source_only"] * 10 + ["io"] * 20
    assert drawn == data.programs(0, 5, lambda done, total, what: None)
    run: dict[str, dict[int, Any]] = {}
    for p in drawn:
        scope: dict[str, Any] = {}
        exec(p.source, scope)
        run[p.name] = {x: scope[p.entry](x) for x in range(30)}
        assert all(run[p.name][e.args[0]] == e.output for e in p.examples)
    for p in drawn[:10]:
        held = [e.args[0] for e in p.calls("test")[:5]]
        same = [name for name, gives in run.items() if all(gives[x] == run[p.name][x] for x in held)]
        assert same == [p.name]


def test_the_functions_of_the_guide_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (text,) = (block for block in blocks("python") if "load_recipe" in block)
    monkeypatch.chdir(tmp_path)
    exec(compile(text, "guide.py", "exec", dont_inherit=True), {"__name__": "guide"})
    assert "a = 7 * 3 = 21" in capsys.readouterr().out
