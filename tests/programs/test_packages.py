"""Harvest: which functions stand by themselves, which inputs they get, and at which rule the others fall; always the same."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from pbb.check import check
from pbb.cli import main
from pbb.errors import PbbError
from pbb.programs.isolation import unavailable
from pbb.programs.package_inputs import inputs, seeds
from pbb.programs.package_modules import read
from pbb.programs.package_place import locate
from pbb.programs.package_source import Candidate, candidates
from pbb.programs.package_working import rounded, working
from pbb.programs.packages import Harvest, facts, harvest, renamed
from pbb.programs.program import Facts, Program, read_programs, write_programs
from pbb.programs.sandbox import Outcome, Worker

REASON = unavailable()
walled = pytest.mark.skipif(REASON is not None, reason=f"no isolation here: {REASON}")

PACKAGE = {
    "__init__.py": "from .words import shout\nraise SystemExit('a package is read and never imported')\n",
    "words.py": '''
import os
import random
from collections import Counter
from .shared import squeeze

COUNT = 2
seen = []

def shout(text: str, mark: str = "!") -> str:
    """Louder.

    >>> shout("ab")
    'AB!!'
    """
    return squeeze(text).upper() + mark * COUNT  # twice

def pairs(items):
    """
    >>> data = [3, 1, 2]
    >>> list(pairs(data))
    [(3, 1), (1, 2)]
    """
    for a, b in zip(items, items[1:]):
        yield a, b

def counted(items: list[int]) -> dict[int, int]:
    return dict(Counter(items))

def mean(items: list[float]) -> float:
    return sum(items) / len(items)

def order(text: str):
    return list(set(text + "aeiou"))

def sink(items: list[int]):
    items.append(0)
    return sum(items)

def stateful(n: int):
    seen.append(n)
    return len(seen)

def forever(n: int):
    while True:
        n += 1

def endless(n: int):
    while True:
        yield n

def noise(n: int):
    return random.randint(0, n)

def write(text: str):
    return open(text, "w")

def home(n: int):
    return os.getcwd()

def parity(n: int):
    return n % 2

def letters(text: str):
    return set(text)

def unknown(thing):
    return thing

def again(n: int):
    return n + 1

def nothing():
    return 1

def _private(n: int):
    return n
''',
    "more.py": "def again(n: int):\n    return n * 7 if n else again(1)\n",
    "shared.py": 'def squeeze(text):\n    """Example: squeeze("a b") is "ab"."""\n    return text.replace(" ", "")\n',
    "broken.py": "def f(:\n",
    "tests/test_it.py": "def test_it():\n    assert counted([5, 5, 1]) == {5: 2, 1: 1}\n    print(__file__)\n",
}  # fmt: skip


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "mix"
    for name, text in PACKAGE.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    about = folder.parent / "mix-1.2.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        "Metadata-Version: 2.4\nName: Mix\nVersion: 1.2\nLicense-Expression: MIT\n"
    )
    (about / "RECORD").write_text("".join(f"mix/{name},,\n" for name in PACKAGE))
    return folder


@pytest.fixture(scope="module")
def made(package: Path) -> Harvest:
    return harvest(locate(str(package)), True, lambda done, total, what: None)


@pytest.fixture(scope="module")
def found(made: Harvest) -> dict[str, Program]:
    return {p.name: p for p in made.programs}


@walled
def test_what_is_kept_and_where_the_others_fall(made: Harvest, found: dict[str, Program]) -> None:
    assert list(found) == ["again", "shout", "pairs_list", "counted", "mean", "again_2"]
    assert made.broken == 1
    assert made.fell == {
        "imports what is not allowed": 2,
        "is not deterministic, or keeps a state": 2,
        "changes its inputs": 1,
        "does input or output, or asks the interpreter": 1,
        "fails on too many inputs": 1,  # forever: every call takes too many steps
        "has a private name": 1,
        "has fewer than 3 different outputs": 2,  # parity; endless gives no list of 100 or fewer
        "has no examples, and no types to draw inputs from": 2,  # unknown, squeeze
        "has outputs that are no literals": 1,
        "takes no arguments": 1,
    }


EDGES = """
def halves(n: int):
    \"\"\"
    >>> halves(100000000000000000000)
    \"\"\"
    return chr(0xD800 + n % 256)

def partly(n: int):
    return chr(0xD7F0 + abs(n) % 32) + str(n)

def either(items: list[int]):
    return iter(items) if len(items) % 2 else items + [0]

def quoted(text):
    \"\"\"
    >>> quoted("a\\\\x00b"), quoted("\\\\U0010ffff"), quoted("c"), quoted({([],): 1}), quoted(range(10000000000000000000000))
    \"\"\"
    return text + text

def doubled(x):
    \"\"\"
    >>> doubled(1e308), doubled(1e999), doubled(-3.5)
    \"\"\"
    return x / 2
"""


@walled
def test_values_that_no_file_holds_and_iterators_now_and_then_end_no_harvest(tmp_path: Path) -> None:
    (tmp_path / "edges.py").write_text(EDGES, encoding="utf-8")
    made = harvest(locate(str(tmp_path / "edges.py")), True, lambda done, total, what: None)
    assert [p.name for p in made.programs] == ["partly", "quoted", "doubled"]
    assert made.fell == {"gives an iterator for some inputs only": 1, "has fewer than 3 different outputs": 1}
    write_programs(made.programs, tmp_path / "programs.jsonl")
    assert check(tmp_path / "programs.jsonl", True, lambda done, total, what: None)[1] == []


@walled
def test_a_source_stands_by_itself_without_what_its_author_said_about_it(found: dict[str, Program]) -> None:
    assert found["shout"].source == (
        "COUNT = 2\n\ndef squeeze(text):\n    return text.replace(' ', '')\n\n"
        "def shout(text, mark='!'):\n    return squeeze(text).upper() + mark * COUNT\n"
    )
    assert found["counted"].source.startswith("from collections import Counter\n\ndef counted(items):")
    assert found["pairs_list"].source.endswith("def pairs_list(items):\n    return list(pairs(items))\n")
    assert "again_2(1)" not in found["again"].source and found["again_2"].source.count("again_2(") == 1


def test_a_second_function_of_a_name_is_called_otherwise_with_all_that_is_called_so() -> None:
    """A parameter of the same name too, without which it would give another function."""
    source = "def mean(mean):\n    return mean + 1\n"
    named = {"name": "mean", "entry": "mean", "family": "own", "group": "io"}
    one = Program(**named, source=source, facts=facts(source), examples=[])
    first, second = renamed([one, one])
    assert first == one and (second.name, second.entry) == ("mean_2", "mean_2")
    with Worker() as worker:
        assert worker.execute(second.source, second.entry, [[6]])[0].value == 7


@walled
def test_every_example_is_what_the_source_gives(found: dict[str, Program]) -> None:
    with Worker() as worker:
        for p in found.values():
            if "import" in p.source:
                continue
            outcomes = worker.execute(p.source, p.entry, [e.args for e in p.examples])
            assert [repr(rounded(o.value)) for o in outcomes] == [repr(e.output) for e in p.examples], p.name
            assert Outcome(None, "x") not in outcomes


@walled
def test_examples_are_many_various_and_split(found: dict[str, Program]) -> None:
    for p in found.values():
        train, test = p.calls("train"), p.calls("test")
        assert len(train) + len(test) >= 10 and len(test) == len(p.examples) // 3
        assert len({repr(e.output) for e in p.examples}) >= 3
        assert len({repr(e.args) for e in p.examples}) == len(p.examples)
    assert [3, 1, 2] in [e.args[0] for e in found["pairs_list"].examples]
    assert [5, 5, 1] in [e.args[0] for e in found["counted"].examples]


@walled
def test_a_second_name_is_none_that_its_source_has() -> None:
    shown = Facts(length=1)
    source = "def power(x):\n    return x\n"
    first = Program(
        name="power", entry="power", source=source, family="python", group="io", examples=[], facts=shown
    )
    source = "def power_2(x):\n    return x - 7\n\ndef power(x):\n    return power_2(x) * x\n"
    _, second = renamed([first, first.model_copy(update={"source": source})])
    assert (second.name, second.entry) == ("power_3", "power_3")
    with Worker() as worker:
        assert worker.execute(second.source, second.entry, [[9]]) == [Outcome(18)]


def test_a_file_that_is_nested_deeply_ends_no_harvest(tmp_path: Path) -> None:
    """One assignment of 1,500 terms, one function of 900."""
    terms = " + ".join(["1"] * 1_500)
    deep = f"X = {terms}\n\ndef deep(x: int) -> int:\n    return {' + '.join(['x'] * 900)}\n\ndef flat(x: int) -> int:\n    return x + 1\n"
    (tmp_path / "deep.py").write_text(deep)
    modules, broken = read(tmp_path / "deep.py", "deep")
    seeds(modules)
    found = list(candidates(modules))
    assert broken == 0 and [c for c in found if isinstance(c, Candidate) and c.name == "flat"]


def test_a_function_that_calls_itself_has_no_lines_of_working() -> None:
    """They could not be told apart by call."""
    source = "def f(n):\n    a = n * 2\n    if n > 1:\n        a = a + f(n - 1)\n    return a\n"
    with Worker() as worker:
        deep, flat = worker.trace_many([(source, "f", [n]) for n in (3, 1)], max_steps=99, seconds=5)
    assert working(deep, source, "f") is None
    assert working(flat, source, "f") == ["a = 2"]


def test_origin_names_package_version_licence_and_place(found: dict[str, Program]) -> None:
    assert found["shout"].origin == {
        "package": "Mix", "version": "1.2", "license": "MIT", "module": "mix.words", "qualified": "mix.words.shout"
    }  # fmt: skip
    assert {p.family for p in found.values()} == {"python"}


@walled
def test_the_file_gives_back_tuples_and_integer_keys(made: Harvest, tmp_path: Path) -> None:
    write_programs(made.programs, tmp_path / "programs.jsonl")
    back = read_programs(tmp_path / "programs.jsonl")
    assert repr(back) == repr(made.programs)
    assert any(
        isinstance(e.output[0], tuple) for p in back if p.name == "pairs_list" for e in p.examples if e.output
    )


@walled
def test_a_harvested_file_has_no_faults(made: Harvest, tmp_path: Path) -> None:
    write_programs(made.programs, tmp_path / "programs.jsonl")
    assert check(tmp_path / "programs.jsonl", True, lambda done, total, what: None)[1] == []


@walled
def test_the_same_bytes_in_any_process(package: Path, tmp_path: Path) -> None:
    files = []
    for seed in ("1", "2"):
        files.append(tmp_path / f"{seed}.jsonl")
        subprocess.run(
            [sys.executable, "-m", "pbb", "harvest", str(package), "--out", str(files[-1]), "--allow-code"],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"},
            check=True, capture_output=True,
        )  # fmt: skip
    assert files[0].read_bytes() == files[1].read_bytes()


def test_nothing_is_run_without_being_allowed(package: Path) -> None:
    with pytest.raises(PbbError, match="functions of mix: this would run third-party code.*--allow-code"):
        harvest(locate(str(package)), False, lambda done, total, what: None)


@pytest.mark.parametrize(
    ("target", "error"), [("no-such-package", "neither a folder nor"), ("README.md", "no Python|neither")]
)
def test_what_is_no_package_is_named(target: str, error: str) -> None:
    with pytest.raises(PbbError, match=f"harvest: {target}: .*({error})"):
        locate(target)


def test_an_installed_package_is_found_without_being_imported() -> None:
    code = "from pbb.programs.package_place import locate; import sys; p = locate('PyYAML'); print(p[0].origin['package'], 'yaml' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["PyYAML", "False"], done.stderr


def test_inputs_are_the_same_for_the_same_function(package: Path) -> None:
    modules, _ = read(package, "mix")
    called = seeds(modules)
    assert called["pairs"] == [([[3, 1, 2]], {})] and called["shout"] == [(["ab"], {})]
    for c in candidates(modules):
        if isinstance(c, Candidate):
            given = called.get(c.name, [])
            first = inputs(c.node, given, 40, 40)
            assert repr(first) == repr(inputs(c.node, given, 40, 40))
            assert len({repr(args) for args in first}) == len(first)
            assert all(repr(ast.literal_eval(repr(args))) == repr(args) for args in first)


@walled
def test_the_command_writes_the_programs_and_counts_the_rules(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "mod.py", tmp_path / "new" / "programs.jsonl"
    file.write_text(
        "def twice(n: int):\n    return n * 2\ndef _own(n: int):\n    return n\ndef none():\n    return 1\n"
    )
    assert main(["harvest", str(file), "--out", str(out), "--allow-code"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"1 programs of 3 functions: {out}"
    assert {line.strip() for line in said[1:]} == {"1  has a private name", "1  takes no arguments"}
    assert [p.name for p in read_programs(out)] == ["twice"]
    written = out.read_bytes()
    assert main(["harvest", str(file), "--out", str(out), "--allow-code"]) == 2
    assert capsys.readouterr().err == (
        f"pbb: harvest: --out {out}: is there already: name another file, or delete it\n"
    )
    assert out.read_bytes() == written
    out.unlink()
    assert main(["harvest", str(file), "--out", str(out), "--allow-code", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["programs"], sum(told["fell"].values())) == (1, 2)
