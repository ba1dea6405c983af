"""Which functions stand by themselves, by their text alone: what comes along, what is taken off, and the rule that another falls at."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from pbb.programs.package_modules import MAX_BYTES, read
from pbb.programs.package_source import LINES, Candidate, Left, bare, candidates


def found(folder: Path, **files: str) -> dict[str, str] | str:
    """By name the sources of the candidates of a package `p`, or the one rule that its one function falls at."""
    for name, text in files.items():
        path = folder / "p" / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    modules, broken = read(folder / "p", "p")
    assert not broken
    listed = list(candidates(modules))
    if isinstance(listed[0], Left):
        assert len(listed) == 1
        return listed[0].rule
    return {c.name: c.source for c in listed if isinstance(c, Candidate)}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("async def f(x):\n    return x", "is async"),
        ("def f(x):\n    global y\n    y = x", "changes global state"),
        ("def f(x):\n" + "    x += 1\n" * LINES, f"is longer than {LINES} lines"),
        ("def f(x):\n    return elsewhere", "uses a name from elsewhere"),
        ("import socket\ndef f(x):\n    return socket", "imports what is not allowed"),
        ("from .other import y\ndef f(x):\n    return y", "imports what is not allowed"),
        ("from elsewhere import y\ndef f(x):\n    return y", "imports what is not allowed"),
        ("def f(x):\n    return input(x)", "does input or output, or asks the interpreter"),
        ("def f():\n    return 1", "takes no arguments"),
        ("def f(*, x=1):\n    return x", "takes keyword arguments only"),
        ("def f(**kw):\n    return kw", "takes keyword arguments only"),
        ("def f(x, *, step):\n    return x + step", "must be given a keyword argument"),
        (
            "from typing import NamedTuple\ndef f(x):\n    class P(NamedTuple):\n        x: int\n    return P(x)",
            "needs its annotations",
        ),
    ],
)
def test_a_function_falls_at_its_rule(text: str, rule: str, tmp_path: Path) -> None:
    assert found(tmp_path, m=text) == rule


def test_what_it_needs_counts_as_its_length(tmp_path: Path) -> None:
    half = "    x += 1\n" * (LINES // 2)
    text = f"def _g(x):\n{half}    return x\ndef f(x):\n{half}    return _g(x)"
    modules, _ = read(_written(tmp_path, text), "m")
    assert list(candidates(modules)) == [
        Left("m._g", "has a private name"),
        Left("m.f", f"is longer than {LINES} lines with what it needs"),
    ]


def _written(folder: Path, text: str) -> Path:
    path = folder / "m.py"
    path.write_text(text)
    return path


def test_a_name_that_is_defined_again_or_in_two_files_is_left_out(tmp_path: Path) -> None:
    modules, _ = read(_written(tmp_path, "def f(x):\n    return 1\ndef f(x):\n    return 2"), "m")
    first, second = candidates(modules)
    assert first == Left("m.f", "is defined again below") and isinstance(second, Candidate)
    two = {
        "a": "from .b import g\nK = 1\ndef f(x):\n    return g(x) + K",
        "b": "K = 2\ndef g(x):\n    return x * K",
    }
    for name, text in two.items():
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "m.py").unlink()
    modules, _ = read(tmp_path, "p")
    assert next(iter(candidates(modules))) == Left("p.a.f", "needs two things of the same name")


def test_what_it_needs_comes_along_without_annotations(tmp_path: Path) -> None:
    sources = found(
        tmp_path,
        m="import math\nfrom .sub.k import K\nT: list[int] = [1]\nN: int\ndef f(x: int) -> int:\n    y: int\n    z: int = K\n"
        "    return math.gcd(x, z) + len(T)\n",
        sub__k="from ..base import K\n",
        base="K = 3\n",
    )
    assert sources == "imports what is not allowed"  # through a file that does not define it
    (tmp_path / "p" / "sub" / "k.py").write_text("K = 3\n")
    sources = found(tmp_path)
    assert isinstance(sources, dict)
    assert sources["f"].startswith("import math\n\n") and "int" not in sources["f"]
    assert {"T = [1]", "K = 3", "    z = K"} <= set(sources["f"].splitlines())
    space: dict[str, object] = {}
    exec(sources["f"], space)  # the test's own source
    assert space["f"](9) == 4  # type: ignore[operator]


@pytest.mark.parametrize(
    "text",
    [
        'def f(x):\n    """Said."""',
        'class C:\n    """Said."""\n    x: int',
        "def f(x):\n    if x:\n        y: int\n    return x",
        "def f(x):\n    for y in x:\n        z: int\n    return x",
        "def f(x):\n    while x:\n        z: int\n    return x",
        "def f(x):\n    with x:\n        z: int\n    return x",
        "def f(x):\n    try:\n        z: int\n    except ValueError:\n        z: int\n    return x",
        "def f(x):\n    match x:\n        case 1:\n            z: int\n    return x",
    ],
)
def test_a_body_of_which_nothing_is_left_stays_a_body(text: str) -> None:
    left = bare(ast.parse(text).body[0])
    ast.parse(left)
    assert "int" not in left and "Said" not in left and "pass" in left


def test_files_that_are_too_long_or_no_python_are_counted(tmp_path: Path) -> None:
    (tmp_path / "long.py").write_text("#" * (MAX_BYTES + 1))
    (tmp_path / "deep.py").write_text("x = " + "(" * 5000 + ")" * 5000)
    (tmp_path / "null.py").write_bytes(b"x = 1\0")
    (tmp_path / "fine.py").write_text("def f(x):\n    return x\n")
    modules, broken = read(tmp_path, "p")
    assert ([m.name for m in modules], broken) == (["p.fine"], 3)
