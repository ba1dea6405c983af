"""Harvest from a folder to a file: what it writes is what the package gives, shows all of the working, and says whom it has left out."""

from __future__ import annotations

import importlib.util
import json
import random
from pathlib import Path

import pytest

from pbb.check import check
from pbb.cli import main
from pbb.documents.render import answer, templates
from pbb.programs.brought import tells
from pbb.programs.isolation import unavailable
from pbb.programs.package_place import locate
from pbb.programs.packages import Harvest, harvest
from pbb.programs.program import Program, write_programs

REASON = unavailable()
pytestmark = pytest.mark.skipif(REASON is not None, reason=f"no isolation here: {REASON}")


def harvested(folder: Path, text: str, name: str = "own") -> Harvest:
    file = folder / f"{name}.py"
    file.write_text(text, encoding="utf-8")
    return harvest(locate(str(file)), True, lambda done, total, what: None)


def programs(folder: Path, text: str) -> dict[str, Program]:
    return {p.name: p for p in harvested(folder, text).programs}


TABLES = """
ONES = {1: "one", 2: "two", 3: "three"}
ONES[4] = "four"
BYTES = {c: "=%02X" % c for c in range(60)}
BYTES[32] = "_"
RULES = [("s", "")]

def _rule(old, new):
    RULES.insert(0, (old, new))

_rule("people", "person")

def word(n: int) -> str:
    return ONES.get(n, "many " + str(n))

def quoted(n: int) -> str:
    return BYTES.get(n, str(n))

def singular(text: str) -> str:
    for old, new in RULES:
        if text.endswith(old):
            return text[: len(text) - len(old)] + new
    return text

def plain(n: int) -> str:
    return "n" + str(n)
"""


def test_every_output_is_what_the_package_itself_gives(tmp_path: Path) -> None:
    made = harvested(tmp_path, TABLES)
    spec = importlib.util.spec_from_file_location("own", tmp_path / "own.py")
    assert spec and spec.loader
    own = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(own)  # the test's own text
    for p in made.programs:
        assert [getattr(own, p.entry)(*e.args) for e in p.examples] == [e.output for e in p.examples]
    assert [p.name for p in made.programs] == ["plain"]
    assert made.fell["needs what its module changes later"] == 3


SAID = """
def wrong(n: int) -> int:
    \"\"\"
    >>> wrong(4)
    9
    \"\"\"
    return n * 2

def fails(n: int) -> int:
    \"\"\"
    >>> fails(4)
    8
    \"\"\"
    return n * 2 if n != 4 else [][n]

def items(text: str):
    \"\"\"
    >>> list(items("ab"))
    ['ab']
    \"\"\"
    yield from text

def right(n: int) -> list[int]:
    \"\"\"
    >>> right(2)
    [0, 1]
    >>> right(30)
    [0, 1, ..., 29]
    >>> sorted(right(3))
    [0, 1, 2]
    >>> right(-1) == []
    True
    >>> n = 4
    >>> right(n)
    'is not looked at'
    >>> right("a")
    Traceback (most recent call last):
    TypeError
    >>> right(5)  # doctest: +SKIP
    5
    \"\"\"
    return list(range(n))

def about(n: int) -> float:
    \"\"\"
    >>> about(1)
    0.333333333
    \"\"\"
    return n / 3

def every(text: str):
    \"\"\"
    >>> list(every("ab"))
    ['a', 'b']
    >>> every("ab")
    'an iterator'
    \"\"\"
    yield from text
"""


def test_a_function_that_its_doctest_contradicts_is_left_out(tmp_path: Path) -> None:
    made = harvested(tmp_path, SAID)
    assert made.fell == {"gives something else than its doctest says": 3}
    assert [p.name for p in made.programs] == ["right", "about", "every_list"]


def test_helpers_of_tests_beside_a_package_are_no_part_of_it(tmp_path: Path) -> None:
    files = {
        "pkg/__init__.py": "def inc(x: int) -> int:\n    return x + 1\n",
        "pkg/conftest.py": "def own_helper(x: int) -> int:\n    return x + 2\n",
        "tests/helpers.py": "def fake(x: int) -> int:\n    return x * 1000\n",
        "tests/conftest.py": "def named(x: int) -> str:\n    return 'user' + str(x)\n",
        "tests/test_inc.py": "def test_inc():\n    assert inc(77) == 78\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    made = harvest(locate(str(tmp_path / "pkg")), True, lambda done, total, what: None)
    assert [p.name for p in made.programs] == ["inc"]
    assert [77] in [e.args for e in made.programs[0].examples]


def test_steps_of_a_library_are_not_the_programs(tmp_path: Path) -> None:
    """The first call compiles the patterns, every other finds them there; a loop of the program's own ends as ever."""
    patterns = [f"(a|b{i}|[c-f]{{1,{i + 2}}})+x{i}$" for i in range(60)]
    text = f"import re\nPATTERNS = {patterns!r}\n\ndef ending(text: str) -> str:\n"
    text += "    for pattern in PATTERNS:\n        text = re.sub(pattern, '!', text)\n    return text\n"
    text += "\ndef endless(n: int) -> int:\n    while n:\n        n = n or 1\n    return n\n"
    made = harvested(tmp_path, text)
    assert [p.name for p in made.programs] == ["ending"]
    assert made.fell == {"fails on too many inputs": 1}


TABLE = '''
def ending(n: int) -> str:
    """
    >>> ending(1)
    'st'
    """
    return {1: "st", 2: "nd", 3: "rd"}.get(n, "th" * (n % 5))
'''


def test_what_a_table_in_its_source_gives_is_not_asked(tmp_path: Path) -> None:
    (made,) = programs(tmp_path, TABLE).values()
    assert len(made.examples) >= 10
    assert not {(1,), (2,), (3,)} & {tuple(e.args) for e in made.examples}
    assert tells(made) == []


def test_a_call_stands_there_once_however_it_is_written(tmp_path: Path) -> None:
    functions = []
    for number in range(4):
        said = "".join(
            f"    >>> f{number}({n})\n    >>> f{number}({n}, 3)\n    >>> f{number}({n}.0)\n" for n in range(8)
        )
        functions.append(
            f'def f{number}(x, k=3):\n    """\n{said}    """\n    return min(x, {number + 4}) + k\n'
        )
    made = harvested(tmp_path, "\n".join(functions))
    assert len(made.programs) == 4
    for p in made.programs:
        calls = [tuple(e.args) if len(e.args) == 2 else (*e.args, 3) for e in p.examples]
        assert len(set(calls)) == len(calls)
    write_programs(made.programs, tmp_path / "programs.jsonl")
    assert check(tmp_path / "programs.jsonl", True, lambda done, total, what: None)[1] == []


WORKING = """
def third(n: int) -> float:
    y = n / 3
    return y

def rounds(n: int) -> int:
    x = 1
    for i in [4, 4, 4]:
        x = max(x, n)
    return x * i

def different(n: int) -> int:
    seen = set()
    for i in (1, n):
        seen.add(i)
    return len(seen) + n

def turned(n: int) -> list:
    m = n + 1
    m = iter([m, n])
    m = list(m)
    return m

def looked(n: int) -> int:
    if (found := {n}) and n > 3:
        return n
    return len(found)

def caught(n: int) -> int:
    try:
        m = 12 // (n % 3)
    except ZeroDivisionError as error:
        m = len(error.args) - n
    return m

def plainly(n: int) -> int:
    return n * 2

def early(n: int) -> int:
    if n < 9:
        return n - 1
    m = n * 3
    return m

def none(n: int) -> int:
    total = n
    for k in range(n % 2):
        total = total + 1
    del n
    return total
"""


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Program]:
    return programs(tmp_path_factory.mktemp("working"), WORKING)


def test_working_and_answer_say_the_same(worked: dict[str, Program]) -> None:
    for e in worked["third"].examples:
        assert e.trace == [f"y = {e.output!r}"]


def test_every_round_is_a_line(worked: dict[str, Program]) -> None:
    for e in worked["rounds"].examples:
        (n,) = e.args
        assert e.trace == ["x = 1", *["i = 4", f"x = {max(1, n)}"] * 3]


def test_working_that_is_not_all_is_none(worked: dict[str, Program]) -> None:
    """A set, an iterator and an error cannot be shown; nor is there anything to show of a line that returns alone."""
    for name in ("different", "turned", "looked", "caught", "plainly"):
        assert {e.trace is None for e in worked[name].examples} == {True}, name


def test_what_is_deleted_or_never_set_hides_nothing(worked: dict[str, Program]) -> None:
    for e in worked["none"].examples:
        (n,) = e.args
        assert e.trace == ([f"total = {n}", "k = 0", f"total = {n + 1}"] if n % 2 else [f"total = {n}"])


def test_a_call_without_working_leaves_no_blank_line(worked: dict[str, Program]) -> None:
    """Neither where no call has any, nor where some return at once."""
    for name in ("plainly", "early"):
        p = worked[name]
        for e in p.examples:
            recited = answer(p, e, "recite", templates("python"), random.Random(0))
            assert e.trace is None and "\n\n" not in recited


LITTLE = '''
def last(items, default=None):
    """
    >>> last([1, 2, 3], "none")
    6
    >>> last([], "none")
    'none'
    >>> last([], 0)
    0
    """
    return items[-1] * 2 if items else default

def nth(items, n, default=None):
    """
    >>> nth([4, 11, 9, 15, 6, 5, 8], 3, "zebra")
    >>> nth([4, 11, 9], 20, "zebra")
    'zebra'
    """
    return items[n] * 3 if 0 <= n < len(items) else default

def same(n: int) -> int:
    return n
'''


def test_calls_that_tell_little_are_few_where_there_are_others(tmp_path: Path) -> None:
    made = programs(tmp_path, LITTLE)
    for name in ("last", "nth"):
        examples = made[name].examples
        little = [e for e in examples if e.args[0] == [] or e.output in e.args]
        assert len(examples) == 30 and 0 < len(little) <= 10, name
    assert all(e.output == e.args[0] for e in made["same"].examples)


def test_who_is_left_out_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "def twice(n: int) -> int:\n    return n * 2\ndef _own(n):\n    return n\ndef loose(n):\n    return n\n"
    text += "async def wait(n):\n    return n\n"
    text += "def step(n: int, *, by: int) -> int:\n    return n + by\ndef named(**kw: int) -> int:\n    return len(kw)\n"
    text += "def sink(x: list[int]) -> int:\n"
    (tmp_path / "own.py").write_text(text + "    x.append(1)\n    return sum(x)\ndef none():\n    return 1\n")
    command = [
        "harvest",
        str(tmp_path / "own.py"),
        "--out",
        str(tmp_path / "p.jsonl"),
        "--allow-code",
        "--json",
    ]
    assert main(command) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["refused"] == {
        "changes its inputs": ["own.sink"],
        "has a private name": ["own._own"],
        "has no examples, and no types to draw inputs from": ["own.loose"],
        "is async": ["own.wait"],
        "must be given a keyword argument": ["own.step"],
        "takes keyword arguments only": ["own.named"],
        "takes no arguments": ["own.none"],
    }
    assert told["fell"] == {rule: len(names) for rule, names in told["refused"].items()}


def test_files_beside_the_output_stay_and_a_failure_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "def twice(n: int) -> int:\n    return n * 2\n"
    made = harvested(tmp_path, text).programs
    mine = tmp_path / "programs.tmp"
    mine.write_text("notes")
    write_programs(made, tmp_path / "programs.jsonl")
    assert mine.read_text() == "notes"
    assert (tmp_path / "programs.jsonl").stat().st_mode == mine.stat().st_mode
    there = sorted(tmp_path.iterdir())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pbb.programs.program.os.replace", full)
    with pytest.raises(OSError, match="No space"):
        write_programs(made, tmp_path / "other.jsonl")
    assert sorted(tmp_path.iterdir()) == there
