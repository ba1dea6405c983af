"""What the documents say of the code holds: every key of a recipe is in docs/recipes.md, every link leads to a file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from pbb.documents.chats import Chat
from pbb.documents.corpus import Share
from pbb.programs.compose import Compose
from pbb.programs.families import FAMILIES
from pbb.recipe import Arm, Recipe, Stage
from pbb.recipe_claims import Curve, Evaluation, Hypothesis, Sampled
from pbb.recipe_file import shipped
from pbb.training.pairs import Dpo
from pbb.training.rollouts import Grpo

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


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
def test_recipes_that_are_run_exist(page: Path) -> None:
    named = set(
        re.findall(
            r"`pbb (?:run|show|estimate|sweep) ([a-z][a-z0-9-]*)[ `]", page.read_text(encoding="utf-8")
        )
    )
    assert named - set(shipped()) == set()
