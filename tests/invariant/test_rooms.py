"""Imports run one way: cli -> run -> steps -> (programs -> documents -> models, training -> evaluation -> report).

Read off the source, function bodies included, so that an import that hides in one counts as well.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import pbb

PACKAGE = Path(pbb.__file__).parent
BELOW = {
    "programs": set(),
    "documents": {"programs"},
    "models": set(),
    "training": set(),
    "evaluation": {"programs", "documents", "models"},
    "report": set(),
}
"""What each room may import besides itself and `pbb.errors`; modules outside of rooms join them and may import all."""


def imported(path: Path) -> Iterator[str]:
    """The modules of the package that a file names in its imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "pbb")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "pbb":
                yield from (f"pbb.{alias.name}" for alias in node.names)
            elif (node.module or "").startswith("pbb."):
                yield str(node.module)


def test_every_room_is_named() -> None:
    assert {p.name for p in PACKAGE.iterdir() if (p / "__init__.py").exists()} == set(BELOW)


@pytest.mark.parametrize("room", BELOW)
def test_a_room_imports_only_what_lies_below_it(room: str) -> None:
    allowed = {room, "errors"} | BELOW[room]
    found = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in sorted((PACKAGE / room).rglob("*.py"))
        for name in imported(path)
        if name.split(".")[1] not in allowed
    ]
    assert found == []


def test_what_is_asked_of_the_machine_does_not_need_the_engine() -> None:
    assert "pbb.run" not in set(imported(PACKAGE / "machine.py"))
