"""Who is whose twin, and what is executed to know it: of most programs one call of every other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from pbb.programs.isolation import Isolated, unavailable
from pbb.programs.observed import MODULES
from pbb.programs.program import Example, Facts, Program
from pbb.programs.sandbox import Job, Outcome
from pbb.programs.twins import twins

REASON = unavailable()
walled = pytest.mark.skipif(REASON is not None, reason=f"no isolation here: {REASON}")


class Counting(Isolated):
    """Counts the calls that it is given."""

    calls = 0

    def execute_many(
        self, jobs: Iterable[Job], *, seconds: float = 2.0, megabytes: int = 256
    ) -> Iterator[list[Outcome]]:
        known = [*jobs]
        self.calls += sum(len(inputs) for _, _, inputs in known)
        return super().execute_many(known, seconds=seconds, megabytes=megabytes)


def program(name: str, body: str, first: int) -> Program:
    scope: dict[str, object] = {}
    source = f"def {name}(x):\n    return {body}\n"
    exec(source, scope)
    run = scope[name]
    assert callable(run)
    examples = [
        Example(args=[x], output=run(x), split="test" if x > first + 1 else "train")
        for x in range(first, first + 7)
    ]
    return Program(
        name=name,
        entry=name,
        source=source,
        family="own",
        group="io",
        examples=examples,
        facts=Facts(length=1),
    )


def annotated(name: str, source: str, first: int) -> Program:
    return program(name, "x + 1", first).model_copy(update={"source": source})


def test_a_copy_that_differs_in_annotations_is_a_twin_though_nothing_is_run() -> None:
    plain = "def f(x):\n    y = x + 1\n    return y\n"
    said = "from typing import Any\n\ndef g(z: 'int | Any') -> int:\n    w: int = z + 1\n    return w\n"
    both = [annotated("f", plain, 10), annotated("g", said, 30)]
    assert twins(both) == {"f": ["g"], "g": ["f"]}
    other = annotated("g", said.replace("z + 1", "z + 2"), 30)
    assert twins([both[0], other]) == {}


@walled
def test_a_program_that_gives_the_first_output_of_another_and_no_more_is_no_twin() -> None:
    """x + 12 is 2 * x at 12, the first held-out call of `double` (10 to 16), and nowhere else."""
    double, plus, again = (
        program("double", "2 * x", 10),
        program("plus", "x + 12", 30),
        program("again", "x + x", 50),
    )
    with Isolated(True, MODULES) as worker:
        assert twins([double, plus, again], worker=worker) == {"double": ["again"], "again": ["double"]}


@walled
def test_the_other_calls_are_asked_of_those_alone_that_give_the_first() -> None:
    apart = [program(f"f{n}", f"x * {n + 2}", 10 * n) for n in range(1, 9)]
    with Counting(True, MODULES) as worker:
        assert twins(apart, worker=worker) == {}
        assert worker.calls == 8 * 7  # the first held-out call of every other
        worker.calls = 0
        assert twins([apart[0], program("g", "3 * x", 70)], worker=worker) == {"f1": ["g"], "g": ["f1"]}
        assert worker.calls == 2 * 5
