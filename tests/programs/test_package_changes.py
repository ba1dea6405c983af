"""What a module changes after defining it, told by its text: functions that need it are left out, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbb.programs.package_modules import read
from pbb.programs.package_source import Candidate, candidates

TABLE = 'T = {1: "one"}\nK = 3\n'
FILL = "def _fill(k):\n    T[k] = str(k)\n"
NEEDS = "def f(n: int) -> str:\n    return T.get(n, str(n))\ndef g(n: int) -> int:\n    return n * K\n"


def kept(folder: Path, **files: str) -> set[str]:
    """The names of the functions of a package `p` that stand by themselves."""
    for name, text in files.items():
        (folder / "p").mkdir(exist_ok=True)
        (folder / "p" / f"{name}.py").write_text(text)
    modules, broken = read(folder / "p", "p")
    assert not broken
    return {c.name for c in candidates(modules) if isinstance(c, Candidate)}


CHANGES = {
    "an item": "T[2] = 'two'",
    "an item of an item": "T[2][3] = 4",
    "a deleted item": "del T[1]",
    "an attribute": "T.x = 1",
    "in place": "T |= {2: 'two'}",
    "a method": "T.update({2: 'two'})",
    "a method handed on": "list(map(T.setdefault, 'ab'))",
    "a second value": "T = dict(T)",
    "a condition": "if K:\n    T = {}",
    "a loop": "for i in range(3):\n    T[i] = i",
    "a loop over what holds it": "for t in (T, {}):\n    t[2] = 'two'",
    "another name": "U = T\nU[2] = 'two'",
    "try": "try:\n    T.clear()\nexcept ValueError:\n    pass",
    "with": "with K as t:\n    T[2] = t",
    "a call": FILL + "_fill(2)",
    "a call of what calls it": FILL + "def _more():\n    for k in range(3):\n        _fill(k)\n_more()",
    "a call whose value is kept": FILL + "U = _fill(2)",
    "a call in a loop": FILL + "for i in range(3):\n    _fill(i)",
    "a call of a lambda": "add = lambda k: T.update({k: 1})\nadd(2)",
    "a call with it": "def _in(t):\n    t[2] = 'two'\n_in(T)",
    "a call with a function": FILL + "list(map(_fill, 'ab'))",
    "a call that gives it": "def _all():\n    return T\n_all()[2] = 'two'",
    "a decorator": "def _kept(f):\n    T[f.__name__] = f\n    return f\n@_kept\ndef h():\n    pass",
    "a decorator with a value": "def _as(k):\n    def put(f):\n        T[k] = f\n        return f\n    return put\n@_as(2)\ndef h():\n    pass",
    "an instance": "class _C:\n    def __init__(self, k):\n        T[k] = self\nc = _C(2)",
    "a class's body": "class C:\n    T[2] = 'two'",
    "global": "def _set():\n    global T\n    T = {}\n_set()",
    "a library": "import random\nrandom.shuffle(T)",
    "a builtin": "setattr(T, 'x', 1)",
    "all names": "globals()['T'] = {}",
    "not the main program": "if __name__ == '__main__':\n    pass\nelse:\n    T[2] = 'two'",
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_function_that_needs_what_changes_is_left_out(change: str, tmp_path: Path) -> None:
    assert "f" not in kept(tmp_path, m=f"{TABLE}{change}\n{NEEDS}")


@pytest.mark.parametrize("change", [c for name, c in CHANGES.items() if name not in ("all names", "with")])
def test_what_does_not_need_it_stays(change: str, tmp_path: Path) -> None:
    assert "g" in kept(tmp_path, m=f"{TABLE}{change}\n{NEEDS}")


HARMLESS = {
    "read": "N = len(T)\nKEYS = sorted(T.keys())\nU = {**T}",
    "a copy that changes": "U = dict(T)\nU[2] = 'two'",
    "a text's method": "S = 'a b'\nWORDS = S.split()\nL = ', '.join(T.values())",
    "a function that is not called": FILL,
    "a function that is called for its value": "def _back(t):\n    new = {}\n    for k in t:\n        new[t[k]] = k\n    return new\nB = _back(T)",
    "printed": "print(T)",
    "the main program": FILL + "if __name__ == '__main__':\n    _fill(2)\n    T = {}",
    "a type checker": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    T = {}",
    "a decorator of its own": "def _d(f):\n    def g(n):\n        return f(T[n])\n    g.x = 1\n    return g\n@_d\ndef h(n):\n    return n",
    "a library's decorator": "import functools\n@functools.lru_cache(maxsize=None)\ndef h(n: int) -> int:\n    return n",
    "an instance": "class _C:\n    def __init__(self, k):\n        self.k = k\n        self.t = T\nc = _C(2)",
    "a definition twice": "def h(n):\n    return 1\ndef h(n):\n    return 2",
    "an import twice": "import math\nimport math",
    "a docstring": "def _h():\n    pass\n_h.__doc__ = 'said'",
    "a comprehension's own": "U = [K for K in range(3)]",
}  # fmt: skip


@pytest.mark.parametrize("text", HARMLESS.values(), ids=HARMLESS.keys())
def test_what_only_reads_changes_nothing(text: str, tmp_path: Path) -> None:
    assert {"f", "g"} <= kept(tmp_path, m=f"{TABLE}{text}\n{NEEDS}")


@pytest.mark.parametrize(
    "other",
    [
        "from .m import T\nT[2] = 'two'",
        "from . import m\nm.T[2] = 'two'",
        "import p.m\np.m.T[2] = 'two'",
        "from .m import _fill as put\nput(2)",
        "from . import m\nm._fill(2)",
        "from .between import T\nT.clear()",
    ],
)
def test_another_module_of_the_package_may_change_it(other: str, tmp_path: Path) -> None:
    files = {"m": TABLE + FILL + NEEDS, "between": "from .m import T\n"}
    assert kept(tmp_path, **files) == {"f", "g"}
    assert kept(tmp_path, other=other) == {"g"}


def test_tests_are_not_loaded_with_their_package(tmp_path: Path) -> None:
    text = "from .m import T\nT[2] = 'two'"
    assert kept(tmp_path, m=TABLE + NEEDS, test_m=text, __main__=text) == {"f", "g"}


@pytest.mark.parametrize(
    "change", ["decimal.getcontext().prec = 3", "decimal.setcontext(decimal.Context(prec=3))"]
)
def test_the_state_of_a_library_may_change_too(change: str, tmp_path: Path) -> None:
    text = "import decimal\ndef f(n: int) -> str:\n    return str(decimal.Decimal(n) / 7)\n"
    assert kept(tmp_path, m=text) == {"f"}
    assert kept(tmp_path, other=f"import decimal\n{change}") == set()


def test_a_function_that_is_changed_itself_is_left_out(tmp_path: Path) -> None:
    text = "import functools\n@functools.singledispatch\ndef f(x):\n    return 1\n@f.register(int)\ndef _(x):\n    return 2\n"
    assert kept(tmp_path, m=text) == set()
    assert kept(
        tmp_path, m="def f(x):\n    return 1\ndef g(x):\n    return x\nf.__code__ = g.__code__\n"
    ) == {"g"}


def test_expressions_that_are_nested_deeply_end_nothing(tmp_path: Path) -> None:
    deep = "T" + "[0]" * 900 + " = 1\n" + "x = K" + ".y()" * 900
    assert "h" in kept(tmp_path, m=f"{TABLE}{deep}\n{NEEDS}", other="def h(n: int) -> int:\n    return n\n")
