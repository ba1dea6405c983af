"""The files of a package as text: what each defines and imports at module level.

Contract: nothing is imported or executed.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MAX_BYTES = 1 << 20


@dataclass
class Module:
    """One file: what it defines and imports at module level. `test` files only give inputs.

    `changed` and `changed_elsewhere` are the names, and the modules of others, that `package_changes` has found to change later.
    """

    name: str
    tree: ast.Module
    test: bool
    imports: dict[str, ast.Import | ast.ImportFrom] = field(default_factory=dict)
    defined: dict[str, ast.stmt] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    changed_elsewhere: set[str] = field(default_factory=set)


def read(folder: Path, name: str) -> tuple[list[Module], int]:
    """The modules of a package's folder, or of a single file, and how many files are no Python that could be parsed."""
    modules, broken = [], 0
    files = [folder] if folder.is_file() else sorted(folder.rglob("*.py"))
    for path in files:
        inside = path.relative_to(folder.parent if folder.is_file() else folder)
        parts = [p for p in inside.with_suffix("").parts if p != "__init__"]
        try:
            if path.stat().st_size > MAX_BYTES:
                raise ValueError("too long")
            tree = ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
            broken += 1
            continue
        test = any(
            part in ("tests", "test", "conftest") or part.startswith("test_") or part.endswith("_test")
            for part in parts
        )
        modules.append(Module(".".join(parts if folder.is_file() else [name, *parts]), tree, test))
        _define(modules[-1])
    return modules, broken


def _define(module: Module) -> None:
    for statement in module.tree.body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            for alias in statement.names:
                one = (
                    ast.Import([alias])
                    if isinstance(statement, ast.Import)
                    else ast.ImportFrom(statement.module, [alias], statement.level)
                )
                module.imports[alias.asname or alias.name.partition(".")[0]] = one
        elif isinstance(statement, ast.FunctionDef | ast.ClassDef):
            module.defined[statement.name] = statement
        elif isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            if isinstance(statement.targets[0], ast.Name):
                module.defined[statement.targets[0].id] = statement
        elif (
            isinstance(statement, ast.AnnAssign)
            and statement.value
            and isinstance(statement.target, ast.Name)
        ):
            module.defined[statement.target.id] = ast.Assign([statement.target], statement.value, lineno=1)


def absolute(module: Module, statement: ast.ImportFrom, modules: Mapping[str, Module]) -> str:
    """The full name of the module that a `from` names, relative ones too."""
    if not statement.level:
        return statement.module or ""
    parts = module.name.split(".")
    is_package = any(other.startswith(module.name + ".") for other in modules)
    up = statement.level - 1 if is_package else statement.level
    return ".".join([*parts[: len(parts) - up], *([statement.module] if statement.module else [])])
