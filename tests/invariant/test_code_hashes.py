"""No step is reused after code that it runs has changed: what its function imports is part of its hash."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import pbb
from pbb.graph import Step, function_digest, modules_needed, ordered
from pbb.recipe_file import load
from pbb.recipe_graph import graph

ROOT = Path(pbb.__file__).parent
NOT_RUN = {
    # `verify` is all that other families take from random_arithmetic, and composites are asked for by dials that only they have
    "programs": {"pbb.programs.arithmetic", "pbb.programs.arithmetic_prose", "pbb.programs.compose"},
}


def file_of(module: str) -> Path | None:
    place = ROOT.joinpath(*module.split(".")[1:])
    return next((p for p in (place.with_suffix(".py"), place / "__init__.py") if p.is_file()), None)


def imported(tree: ast.AST) -> set[str]:
    """The modules of pbb that code imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pbb."):
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("pbb.")}
    return {name for name in found if (path := file_of(name)) and path.name != "__init__.py"}


def run_by(step: Step) -> set[str]:
    """Modules that the code of a step imports, and those that these import."""
    tree = ast.parse((ROOT / "steps.py").read_text(encoding="utf-8"))
    name = step.function.partition(":")[2]
    (function,) = (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name)
    waiting = imported(function) - chosen(step) | (set(modules_needed([step])) - {"pbb.steps"})
    seen: set[str] = set()
    while waiting:
        seen.add(module := waiting.pop())
        path = file_of(module)
        waiting |= imported(ast.parse(path.read_text(encoding="utf-8"))) - seen if path else set()
    return {m for m in seen if (path := file_of(m)) and path.name != "__init__.py"}


@pytest.mark.parametrize(
    "recipe", ["arithmetic", "retroactive", "retroactive-dpo", "ciphers", "grammars", "composition"]
)
def test_all_that_a_step_runs_is_in_its_hash(recipe: str) -> None:
    checked = set()
    for step in graph(load(recipe)):
        if (step.function, step.code) not in checked:
            checked.add((step.function, step.code))
            hashed = set(modules_needed(ordered([step])))  # a hash rests on those of the parents
            missing = run_by(step) - hashed - {"pbb.errors"} - NOT_RUN.get(step.kind, set())
            assert missing == set(), step.label


def chosen(step: Step) -> set[str]:
    """What a step's function imports for some settings only, and not for these; a family names its code itself."""
    training = {f"pbb.training.{name}" for name in ("grpo", "dpo", "pairs", "rollouts")}
    grpo = training | {"pbb.reward", "pbb.models.decode"}
    sampled = "samples" in step.config.get("evaluation", {})
    return (
        {"pbb.programs.families"}
        | (
            set()
            if {"grpo", "dpo"} & set(step.config.get("settings", {}))
            else grpo
            if step.kind == "train"
            else set()
        )
        | (set() if sampled else {"pbb.evaluation.sample"})
    )


def test_the_function_itself_is_in_its_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what it uses of its module; what it does not use is not, nor is what is said about it."""
    text = (
        "from math import floor as cut\nimport os.path\nSIZE: int = 3\nSIDE = 1\nSIDE = 5\nOTHER = 4\n"
        "def keep(f):\n    return f\ndef inner():\n    return cut(SIZE) + SIDE\n"
        "@keep\ndef work():\n    return inner()\ndef idle():\n    return OTHER\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    def digest(code: str) -> str:
        function_digest.cache_clear()
        (tmp_path / "worked.py").write_text(code)
        return function_digest("worked:work")

    before = digest(text)
    assert (
        digest(text.replace("OTHER = 4", "OTHER = 5").replace("idle", "lazy").replace("os.path", "os"))
        == before
    )
    assert digest(text.replace("def inner():\n", 'def inner():\n    """Why."""\n\n    # because\n')) == before
    for old, new in (
        ("SIZE: int = 3", "SIZE: int = 4"),
        ("SIDE = 1", "SIDE = 2"),
        ("cut(SIZE)", "cut(-SIZE)"),
        ("return inner()", "return 7"),
        ("import floor", "import ceil"),
        ("return f\n", "return lambda: f\n"),
        ("@keep\n", ""),
    ):
        assert digest(text.replace(old, new)) != before
