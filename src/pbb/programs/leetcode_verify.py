"""Executes solutions on their given inputs and on mutants, and keeps what holds: the one place where LeetCode programs are run.

An input is kept when the solution gives a short literal for it within the limits, without changing it, and gives the same again in a second
process with another hash seed, where the inputs come in reverse order. A problem is left out when a given output disagrees with execution, when two
processes disagree, or when too few inputs or different outputs are left.

Contract: problems go in, candidates and reasons come out, in order; nothing is executed but by the two workers handed in.
"""

from __future__ import annotations

import ast
import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pbb.programs.leetcode_inputs import Mutation, agrees, parameters, read_input, writable
from pbb.programs.leetcode_probe import PROBE, probed, watched, with_copies
from pbb.programs.leetcode_read import Fallen, Problem
from pbb.programs.leetcode_unwrap import ENTRY, LeftOut, unwrap
from pbb.programs.program import Split
from pbb.programs.sandbox import Job, Outcome, Traced, Worker

GIVEN = 40
"""The shortest given pairs that are held against execution."""
SECONDS = 10.0
"""For all inputs of a round together, in which they take well under one: it is steps that are limited."""
SLACKS = (0, 0, 4, 20)
"""How far beyond what was given numbers and lengths may go, round by round, until there are enough inputs."""
CHUNK = 24
DISTINCT = 3
CHANGES = "changes its inputs"
UNTRACED = "no trace"
WIDTH = 60
"""Characters of a line of working, at most."""
FEW = 6
"""Calls that are traced before all of a problem's are."""
ERRORS = {"NotALiteral": "output is no literal", "TooManySteps": "too slow"}


@dataclass(frozen=True)
class Needs:
    """What a program must have. Lengths are in characters of Python's repr; max_trace is in lines, 0 for no traces."""

    train: int = 20
    test: int = 10
    max_lines: int = 60
    max_input: int = 120
    max_output: int = 60
    max_trace: int = 0


class Given(NamedTuple):
    """A given pair: its arguments and its output's text."""

    args: list[Any]
    output: str


@dataclass
class Call:
    """One call that has held. published: it stands in the statement, so it may be known from anywhere."""

    args: list[Any]
    output: Any
    published: bool
    trace: list[str] | None = None


@dataclass
class Candidate:
    """A problem whose solution is one function, and the calls that it has passed; `chosen` once there are enough.

    published: the arguments, as text, of all pairs that stand in the statement.
    """

    problem: Problem
    function: ast.FunctionDef
    given: list[Given]
    published: set[str]
    mutation: Mutation
    rng: random.Random
    calls: list[Call] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    fault: LeftOut | None = None
    copies: bool = False
    chosen: dict[Split, list[Call]] = field(default_factory=dict)


def candidate(problem: Problem, seed: int, needs: Needs) -> Candidate:
    """Raises LeftOut where a problem has no plain function, or no pairs that can be read."""
    if not problem.pairs:
        raise LeftOut("no I/O pairs")
    for reason, word in (("trees", "tree_node("), ("linked lists", "list_node(")):
        if any(word in text for text, _ in problem.pairs):
            raise LeftOut(reason, word)
    try:
        function = unwrap(problem.completion, problem.method, problem.prompt)
        lines = ast.unparse(function).count("\n") + 1
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise LeftOut("syntax error", " ".join(str(error).split())[:80]) from error
    if lines > needs.max_lines:
        raise LeftOut("too long", f"{lines} lines")
    inner = [
        n for n in ast.walk(function) if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and n is not function
    ]
    if needs.max_trace and inner:
        raise LeftOut(UNTRACED, "inner functions")
    names, needed = parameters(function)
    given: list[Given] = []
    published: set[str] = set()
    statement = "".join(problem.statement.split())
    for text, output in sorted(problem.pairs, key=lambda pair: len(pair[0])):
        stands = "".join(text.split()) in statement
        if len(given) == GIVEN and not stands and len(text) > len(problem.statement):
            continue
        try:
            args = read_input(text, names, needed)
        except ValueError as e:
            why = str(e)
            continue
        stands = stands or _quoted(args, statement)
        published |= {repr(args)} if stands else set()
        if len(given) < GIVEN:
            given.append(Given(args, output))
    if not given:
        raise LeftOut("no I/O pairs", f"none of {len(problem.pairs)} can be read: {why}")
    rng = random.Random(f"leetcode:{seed}:{problem.name}")
    return Candidate(problem, function, given, published, Mutation([g.args for g in given], rng), rng)


def _quoted(args: Sequence[Any], statement: str) -> bool:
    """Whether a statement, blanks aside, holds each text and list among the arguments as a literal; numbers alone stand in any."""
    told = [arg for arg in args if isinstance(arg, str | list) and arg]
    spelled = [{"".join(words.split()) for words in (repr(arg), json.dumps(arg))} for arg in told]
    return bool(told) and all(any(words in statement for words in ways) for ways in spelled)


class Verifier:
    """Two workers, which are used at the same time and must agree."""

    def __init__(self, first: Worker, second: Worker) -> None:
        self.workers = (first, second)

    def verify(self, problems: Iterable[Problem], seed: int, needs: Needs) -> Iterator[Candidate | Fallen]:
        """For every problem, in order, a candidate with its calls chosen, or why there is none."""
        chunk: list[Problem] = []
        for problem in problems:
            chunk.append(problem)
            if len(chunk) == CHUNK:
                yield from self._chunk(chunk, seed, needs)
                chunk = []
        yield from self._chunk(chunk, seed, needs)

    def _chunk(self, problems: Sequence[Problem], seed: int, needs: Needs) -> Iterator[Candidate | Fallen]:
        made: list[Candidate | Fallen] = []
        for problem in problems:
            try:
                made.append(candidate(problem, seed, needs))
            except LeftOut as e:
                made.append(Fallen(problem.name, e.reason, e.detail))
        pending = [c for c in made if isinstance(c, Candidate)]
        for number, slack in enumerate(SLACKS):
            asked = [self._inputs(c, number == 0, slack, needs) for c in pending]
            self._execute(pending, asked, number == 0, needs)
            pending = [c for c in pending if c.fault is None]
            if needs.max_trace:
                self._trace(pending, needs)
                pending = [c for c in pending if c.fault is None]
            for c in pending:
                _choose(c, needs)
            pending = [c for c in pending if c.fault is None and not c.chosen]
        for result in made:
            if isinstance(result, Fallen) or result.chosen:
                yield result
            else:
                fault = result.fault or _shortage(result)
                yield Fallen(result.problem.name, fault.reason, fault.detail)

    @staticmethod
    def _inputs(c: Candidate, first: bool, slack: int, needs: Needs) -> list[list[Any]]:
        given = [g.args for g in c.given] if first else []
        count = max(0, 2 * (needs.train + needs.test) - len(given))
        return [*given, *c.mutation.draw(count, slack, needs.max_input)]

    def _execute(
        self, pending: Sequence[Candidate], asked: Sequence[list[list[Any]]], given: bool, needs: Needs
    ) -> None:
        """Keep what holds. A solution that changes its inputs gets copies of them, and another go."""
        again: list[tuple[Candidate, list[list[Any]]]] = []
        for c, inputs, outcomes in zip(pending, asked, self._both(pending, asked), strict=True):
            try:
                _judge(c, inputs, *outcomes, given=given, needs=needs)
            except LeftOut as e:
                c.fault = e
                if e.reason == CHANGES and not c.copies:
                    again.append((c, inputs))
        for c, _ in again:
            c.function = with_copies(c.function, c.given[0].args)
            c.copies, c.fault = True, None
            c.calls.clear()
            c.refused.clear()
        if again:
            # what was kept in earlier rounds is kept no longer, so the given inputs come in anew
            inputs = [_merged([g.args for g in c.given], drawn) for c, drawn in again]
            self._execute([c for c, _ in again], inputs, True, needs)

    def _both(
        self, pending: Sequence[Candidate], asked: Sequence[list[list[Any]]]
    ) -> list[tuple[list[Outcome], list[Outcome]]]:
        """What both workers make of every candidate's inputs; the second gets them in reverse."""
        with ThreadPoolExecutor(2) as threads:
            there = threads.submit(_execute, self.workers[0], pending, asked)
            back = threads.submit(_execute, self.workers[1], pending, [inputs[::-1] for inputs in asked])
            return [(a, b[::-1]) for a, b in zip(there.result(), back.result(), strict=True)]

    def _trace(self, pending: Sequence[Candidate], needs: Needs) -> None:
        """The lines of working of calls that have none yet; what cannot be traced is dropped.

        A trace takes a process of its own: where the first few calls of a problem all fail, the others are not tried.
        """
        for c in pending:
            del c.calls[2 * (needs.train + needs.test) :]
        for first in (True, False):
            calls = [
                (c, call)
                for c in pending
                if c.fault is None
                for call in [call for call in c.calls if call.trace is None][: FEW if first else None]
            ]
            for (c, call), traced in zip(calls, self._traced(calls, needs), strict=True):
                call.trace = working(traced, needs.max_trace)
                if call.trace is None:
                    c.calls.remove(call)
                    c.refused[UNTRACED] += 1
            for c in pending:
                if c.refused[UNTRACED] and not any(call.trace is not None for call in c.calls):
                    c.fault = LeftOut(UNTRACED, f"of {needs.max_trace} lines")

    def _traced(self, calls: Sequence[tuple[Candidate, Call]], needs: Needs) -> list[Traced]:
        """Traces of the calls, half of them by either worker."""
        # a line of the source may change nothing, and then gives no line of working
        steps = 8 * needs.max_trace
        jobs = [(ast.unparse(c.function), ENTRY, call.args) for c, call in calls]
        halves = [jobs[: len(jobs) // 2], jobs[len(jobs) // 2 :]]
        with ThreadPoolExecutor(2) as threads:
            done = [
                threads.submit(lambda w, half: list(w.trace_many(half, max_steps=steps)), worker, half)
                for worker, half in zip(self.workers, halves, strict=True)
            ]
            return [traced for half in done for traced in half.result()]


def _execute(
    worker: Worker, pending: Sequence[Candidate], asked: Sequence[list[list[Any]]]
) -> list[list[Outcome]]:
    jobs: list[Job] = [(probed(c.function), PROBE, inputs) for c, inputs in zip(pending, asked, strict=True)]
    return list(worker.execute_many(jobs, seconds=SECONDS))


def _merged(given: list[list[Any]], drawn: list[list[Any]]) -> list[list[Any]]:
    known = {repr(args) for args in given}
    return given + [args for args in drawn if repr(args) not in known]


def _hung(outcomes: Sequence[Outcome]) -> bool:
    return any(o.error is not None and o.error.startswith(("Deadline", "Killed")) for o in outcomes)


def _judge(
    c: Candidate,
    inputs: Sequence[list[Any]],
    outcomes: Sequence[Outcome],
    again: Sequence[Outcome],
    given: bool,
    needs: Needs,
) -> None:
    """Keep the calls that hold. Raises LeftOut where the whole problem is at fault."""
    expected = [g.output for g in c.given] if given else []
    seen = {repr(call.args) for call in c.calls}
    agreed = 0
    for i, (args, outcome, other) in enumerate(zip(inputs, outcomes, again, strict=True)):
        if _hung([outcome, other]):
            raise LeftOut("too slow", f"{SECONDS:g} s")
        if (outcome.error is None, outcome.value) != (other.error is None, other.value):
            raise LeftOut("differs between processes", repr(args)[:80])
        if outcome.error is not None:
            c.refused[ERRORS.get(outcome.error.partition(":")[0], "crashes")] += 1
            continue
        value, unchanged = watched(outcome)
        if i < len(expected) and not _tells_nothing(expected[i]):
            if not agrees(expected[i], value):
                raise LeftOut(
                    "disagrees with its pairs", f"{args!r:.60} gives {value!r:.40}, not {expected[i]:.40}"
                )
            agreed += 1
        if not unchanged:
            raise LeftOut(CHANGES, repr(args)[:80])
        if len(repr(args)) - 2 > needs.max_input or len(repr(value)) > needs.max_output:
            c.refused["long calls"] += 1
        elif not writable(value):
            c.refused["output is no literal"] += 1
        elif _rough(value):
            c.refused["numbers of many digits"] += 1
        elif repr(args) not in seen:  # a file may give a pair twice, and once is one call in one split
            seen.add(repr(args))
            c.calls.append(Call(args, value, repr(args) in c.published))
    if given and not agreed:
        raise _shortage(c) if c.refused else LeftOut("no I/O pairs", "none with an output")


def _tells_nothing(expected: str) -> bool:
    """Whether a given output is the fault of whoever made the pairs: the later schema has such in place of answers."""
    return expected.startswith("Error: ") or expected == "Execution timed out"


def _rough(value: object) -> bool:
    """Whether a value holds a number of more than five decimals, which nobody could be asked to write."""
    if isinstance(value, float):
        return value != round(value, 5)
    if isinstance(value, dict):
        return any(_rough(v) for pair in value.items() for v in pair)
    return isinstance(value, (list, tuple)) and any(map(_rough, value))


def _shortage(c: Candidate) -> LeftOut:
    """Why there are too few calls: what most of them fell by, where that was more than are left."""
    (reason, count), *_ = c.refused.most_common(1) or [("", 0)]
    if count > len(c.calls):
        return LeftOut(reason, f"{count} inputs, {len(c.calls)} are left")
    if len({repr(call.output) for call in c.calls}) < DISTINCT:
        return LeftOut(f"fewer than {DISTINCT} different outputs", f"{len(c.calls)} inputs")
    return LeftOut("too few inputs", f"{len(c.calls)} hold")


def _choose(c: Candidate, needs: Needs) -> None:
    """Held-out calls and train calls, once there are enough; what the statement publishes is never held out."""
    pool = c.calls.copy()
    random.Random(repr((c.problem.name, len(pool)))).shuffle(pool)
    test = _spread([call for call in pool if not call.published], needs.test)
    held = {id(call) for call in test}
    train = _spread([call for call in pool if id(call) not in held], needs.train)
    outputs = {repr(call.output) for call in [*train, *test]}
    if len(test) == needs.test and len(train) == needs.train and len(outputs) >= DISTINCT:
        c.chosen = {"train": train, "test": test}


def _spread(pool: Sequence[Call], count: int) -> list[Call]:
    """The first `count`, where as long as there are others no output has more than half of the places."""
    chosen: list[Call] = []
    later: list[Call] = []
    outputs: Counter[str] = Counter()
    for call in pool:
        text = repr(call.output)
        if len(chosen) < count and outputs[text] < max(1, count // 2):
            outputs[text] += 1
            chosen.append(call)
        else:
            later.append(call)
    return chosen + later[: count - len(chosen)]


def working(traced: Traced, most: int) -> list[str] | None:
    """A trace as lines `name = value`, one for each variable that a line of the source has changed.

    None where there are more than `most`, where one is longer than `WIDTH` (tables written out with every change), or where other
    functions are entered, whose lines could not be told from the caller's.
    """
    if traced.error is not None or any(line.function != ENTRY for line in traced.lines):
        return None
    if sum(line.returned is not None for line in traced.lines) != 1:  # it calls itself
        return None
    rows = []
    for line in traced.lines:
        for name, value in line.after.items():
            if name not in line.before or repr(line.before[name]) != repr(value):
                rows.append(f"{name} = {value!r}")
    return rows if len(rows) <= most and all(len(row) <= WIDTH for row in rows) else None
