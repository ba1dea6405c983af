"""The set holds no twins by what really running it gives, its splits are disjoint, and a wrong record is caught."""

from __future__ import annotations

import ast
import hashlib
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from pbb.programs.arithmetic import Dials, run
from pbb.programs.arithmetic_prose import parse
from pbb.programs.compose import Compose
from pbb.programs.program import Program, write_programs
from pbb.programs.random_arithmetic import Arithmetic, distinct, random_arithmetic, verify
from pbb.programs.sandbox import Worker

Refused = Callable[..., AbstractContextManager[None]]
IO, SOURCE_ONLY, TRAIN, TEST = 150, 50, 30, 10
INPUTS = list(range(50))


@pytest.fixture(scope="module")
def made() -> list[Program]:
    return random_arithmetic(
        seed=5, io=IO, source_only=SOURCE_ONLY, dials=Dials(), train_inputs=TRAIN, test_inputs=TEST
    )


@pytest.fixture(scope="module")
def table(made: list[Program]) -> dict[str, list[object]]:
    """By name what each program really gives on every input."""
    with Worker() as worker:
        outcomes = worker.execute_many([(p.source, p.entry, [[x] for x in INPUTS]) for p in made])
        return {p.name: [o.value for o in got] for p, got in zip(made, outcomes, strict=True)}


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Seconds of this process's own time: on the clock a busy machine, or one that measures coverage, takes any number."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"no answer in {seconds} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def test_the_groups_have_their_sizes_and_the_facts_are_true(made: list[Program]) -> None:
    assert Counter(p.group for p in made) == {"io": IO, "source_only": SOURCE_ONLY}
    assert len({p.name for p in made}) == len(made)
    for p in made:
        assert (p.entry, p.family, p.facts.length) == (p.name, "arithmetic", len(p.statements))
        rows = [f"    {row}" for s in p.statements for row in s.split("\n")]
        assert p.source.splitlines()[:-1] == [f"def {p.name}(x):", *rows]
        nodes = [type(node) for node in ast.walk(ast.parse(p.source))]
        assert (p.facts.branches > 0, p.facts.loops > 0) == (ast.If in nodes, ast.For in nodes)


def test_train_and_held_out_inputs_are_disjoint(made: list[Program]) -> None:
    for p in made:
        train, test = ([e.args[0] for e in p.calls(split)] for split in ("train", "test"))
        assert (len(set(train)), len(set(test))) == (TRAIN, TEST)
        assert not set(train) & set(test)
        assert set(train) | set(test) <= set(INPUTS)


def test_inputs_are_drawn_for_each_program_alone(made: list[Program]) -> None:
    assert len({tuple(e.args[0] for e in p.calls("test")) for p in made}) == len(made)


def test_outputs_are_the_real_ones(made: list[Program], table: dict[str, list[object]]) -> None:
    for p in made:
        assert [e.output for e in p.examples] == [table[p.name][e.args[0]] for e in p.examples]
        assert all(e.trace and e.trace[-1].value == e.output for e in p.examples)


def renamed(source: str) -> str:
    """The source with every name but the builtins' replaced in order of appearance."""
    tree = ast.parse(source)
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        for field in ("id", "arg", "name"):
            name = getattr(node, field, None)
            if isinstance(name, str) and name not in ("min", "max", "abs", "range"):
                setattr(node, field, known.setdefault(name, f"v{len(known)}"))
    return ast.unparse(tree)


def test_no_body_stands_twice_under_any_names(made: list[Program]) -> None:
    assert renamed("def f(x):\n    a = x + 1\n    return a") == renamed(
        "def g(y):\n    b = y + 1\n    return b"
    )
    assert len({renamed(p.source) for p in made}) == len(made)


def test_nothing_behaves_as_a_w_o_io_program_does_on_its_held_out_inputs(
    made: list[Program], table: dict[str, list[object]]
) -> None:
    for p in made:
        if p.group == "source_only":
            xs = [e.args[0] for e in p.calls("test")]
            same = [
                q for q, values in table.items() if [values[x] for x in xs] == [table[p.name][x] for x in xs]
            ]
            assert same == [p.name]


@pytest.mark.parametrize("asked", [3, 5])
def test_the_first_held_out_inputs_are_enough_to_tell_programs_apart(
    asked: int, table: dict[str, list[object]]
) -> None:
    """Where the evaluation asks `asked` of the held-out inputs, those alone leave no twins."""
    made = random_arithmetic(
        seed=5,
        io=IO,
        source_only=SOURCE_ONLY,
        dials=Dials(),
        train_inputs=TRAIN,
        test_inputs=TEST,
        asked=asked,
    )
    assert [p.source for p in made] == [p.source for p in made if p.name in table]
    for p in made:
        if p.group == "source_only":
            xs = [e.args[0] for e in p.calls("test")[:asked]]
            same = [q for q, of in table.items() if [of[x] for x in xs] == [table[p.name][x] for x in xs]]
            assert same == [p.name]


def test_no_two_programs_behave_alike_on_all_inputs(table: dict[str, list[object]]) -> None:
    assert len({tuple(values) for values in table.values()}) == len(table)


def test_the_dials_are_kept() -> None:
    dials = Dials(length=(2, 2), input_range=(5, 24), bound=99)
    for p in random_arithmetic(seed=1, io=20, source_only=5, dials=dials, train_inputs=5, test_inputs=8):
        assert p.facts.length == 2
        for e in p.examples:
            assert 5 <= e.args[0] <= 24
            assert e.trace is not None and max(abs(s.value) for s in e.trace) <= 99


def test_the_dials_of_a_recipe_are_those_that_its_programs_are_drawn_by() -> None:
    counts = {"io": 12, "source_only": 6, "train_inputs": 4, "test_inputs": 6}
    dials = {"length": (2, 4), "input_range": (3, 40), "bound": 77, "constants": (2, 5), "constant_share": 0.1}  # fmt: skip
    recipe = Arithmetic.model_validate(counts | dials | {"operations": ["+", "//"]})
    drawn = random_arithmetic(seed=9, asked=1, dials=Dials(**dials, operations=("+", "//")), **counts)  # type: ignore[arg-type]
    assert recipe.programs(9, 1, lambda done, total, what: None) == drawn


def test_no_group_of_programs_is_shorter() -> None:
    """The shortest bodies are found first, so that groups of programs in the order of the draws would not be alike."""
    given = {"io": 300, "source_only": 100, "train_inputs": 5, "test_inputs": 10}
    made = [p for seed in range(3) for p in random_arithmetic(seed=seed, dials=Dials(), **given)]  # type: ignore[arg-type]
    groups = [[p.facts.length == 1 for p in made if p.group == group] for group in ("io", "source_only")]
    io, source_only = (sum(short) / len(short) for short in groups)
    assert abs(io - source_only) < 0.1


def digest(programs: list[Program], path: Path) -> str:
    write_programs(programs, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_file_is_the_same_in_another_process(
    made: list[Program], tmp_path: Path, python: Callable[..., str]
) -> None:
    code = (
        "import hashlib, sys; from pathlib import Path\n"
        "from pbb.programs.arithmetic import Dials; from pbb.programs.program import write_programs\n"
        "from pbb.programs.random_arithmetic import random_arithmetic\n"
        f"made = random_arithmetic(seed=5, io={IO}, source_only={SOURCE_ONLY}, dials=Dials(), "
        f"train_inputs={TRAIN}, test_inputs={TEST})\n"
        "write_programs(made, Path(sys.argv[1])); print(hashlib.sha256(Path(sys.argv[1]).read_bytes()).hexdigest())"
    )
    here = digest(made, tmp_path / "here.jsonl")
    assert python(code, str(tmp_path / "there.jsonl"), hash_seed=123).strip() == here
    other = random_arithmetic(seed=6, io=5, source_only=5, dials=Dials(), train_inputs=5, test_inputs=9)
    assert not {p.source for p in other} & {p.source for p in made}


def test_verify_holds_every_example_against_the_sandbox(made: list[Program], refused: Refused) -> None:
    told: list[int] = []
    verify(made[:20], told.append)
    assert told == list(range(1, 21))

    wrong = made[7].model_copy(deep=True)
    wrong.examples[-1].output += 1
    call = wrong.examples[-1].call(wrong.name)
    with refused(call, f"should give {wrong.examples[-1].output}", f"gives {wrong.examples[-1].output - 1}"):
        verify([*made[:7], wrong])

    crashing = made[7].model_copy(update={"source": f"def {made[7].name}(x):\n    return x // 0\n"})
    with refused(made[7].name, "ZeroDivisionError"):
        verify([crashing])


def test_all_programs_of_a_recipe_are_executed_composites_too() -> None:
    told: list[tuple[float, float, str]] = []
    data = Arithmetic(
        io=14, source_only=8, train_inputs=8, test_inputs=6, compose=Compose(io=5, source_only=4)
    )
    made = data.programs(3, 5, lambda *what: told.append(what))
    assert [p for p in made if p.needs]
    assert told == [(done, len(made), "executed") for done in range(1, len(made) + 1)]


def test_too_few_programs_are_refused(refused: Refused) -> None:
    dials = Dials(length=(1, 1), operations=("+", "%"))  # 12 sums and at most 8 remainders
    with within(30), refused("data", "of 30 different programs", "length 1 to 1", "fewer"):
        random_arithmetic(seed=0, io=20, source_only=10, dials=dials, train_inputs=5, test_inputs=10)


@pytest.mark.parametrize(
    "dials",
    [Dials(bound=30), Dials(constant_share=0.01, operations=("%",))],
    ids=["every input leaves the bound", "all are close to a constant"],
)
def test_dials_under_which_no_program_exists_are_refused(dials: Dials, refused: Refused) -> None:
    with within(30), refused("data"):
        random_arithmetic(seed=0, io=5, source_only=5, dials=dials, train_inputs=5, test_inputs=10)


def test_all_inputs_of_the_range_may_be_used() -> None:
    for p in random_arithmetic(seed=0, io=3, source_only=2, dials=Dials(), train_inputs=40, test_inputs=10):
        assert sorted(e.args[0] for e in p.examples) == INPUTS


def test_inputs_that_do_not_fit_are_refused(refused: Refused) -> None:
    with refused("data: 41 train", "10 held-out", "0..49"):
        random_arithmetic(seed=0, io=5, source_only=5, dials=Dials(), train_inputs=41, test_inputs=10)


def test_too_few_held_out_inputs_to_tell_programs_apart_are_refused(refused: Refused) -> None:
    with refused("twin", "1 held-out inputs", "more"):
        random_arithmetic(seed=0, io=700, source_only=300, dials=Dials(), train_inputs=5, test_inputs=1)


def test_a_program_with_a_twin_on_any_held_out_inputs_is_shown_with_io() -> None:
    """Another that is one of a kind is read in its place, and the set of programs stays as it was."""
    dials, io, source_only = Dials(), 300, 100
    made = random_arithmetic(
        seed=0, io=io, source_only=source_only, dials=dials, train_inputs=5, test_inputs=1
    )
    drawn = [index for index, *_ in distinct(0, io + source_only, dials)]
    random.Random("split:0").shuffle(drawn)
    indices = [p.origin["index"] for p in made]
    assert sorted(indices) == sorted(drawn)
    moved = set(drawn[:source_only]) - set(indices[:source_only])
    assert moved
    assert {p.group for p in made if p.origin["index"] in moved} == {"io"}
    body = {p.name: parse(p.prose or "") for p in made}
    for p in made[:source_only]:
        (asked,) = p.calls("test")
        same = [q for q in body if run(body[q], asked.args[0])[0] == asked.output]
        assert same == [p.name]
