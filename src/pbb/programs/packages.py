"""Programs out of real packages: `pbb harvest` finds pure functions, gets inputs for them, and executes them in isolation.

    function at module level -> stands by itself? (package_source) -> inputs (package_inputs) -> executed in two isolated processes -> kept?
    -> traced, where the working is short -> compared: `origin.twins` names those that behave alike (twins)

A function is kept when it has at least 10 inputs with at least 3 different outputs that are short literals (floats finite, rounded to 7
digits), when no input is changed by the call, and when both processes agree: they have different hash seeds, and the second runs the inputs
in reverse order, so that neither the order of a set nor a state that is kept between calls can decide an output. How many functions
fell at which rule is counted.
Contract: the package is read as text and never imported; the same files give the same programs, byte for byte, on the same Python.
"""

from __future__ import annotations

import ast
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from pbb.errors import PbbError
from pbb.programs.family import Report
from pbb.programs.isolation import Isolated
from pbb.programs.observed import ENTRY, MODULES, YIELDED, observed
from pbb.programs.package_inputs import Args, inputs, literal, more, seeds
from pbb.programs.package_place import Place
from pbb.programs.package_source import Candidate, Module, candidates, read
from pbb.programs.program import Example, Facts, Program
from pbb.programs.renaming import rename, spellings
from pbb.programs.sandbox import Job, Outcome, Traced
from pbb.programs.twins import twins

TRIED, KEPT, ENOUGH, DIFFERENT = 60, 30, 10, 3
SECONDS = 20.0  # far beyond what the steps take: whoever exceeds it always does
TRACE_LINES, TRACE_WIDTH = 12, 60  # of a trace that can be written down


@dataclass(frozen=True)
class Found:
    """A function that stands by itself, with inputs to try."""

    place: Place
    candidate: Candidate
    inputs: list[Args]


@dataclass(frozen=True)
class Harvest:
    """The programs kept, and how many functions fell at which rule, in order of number."""

    programs: list[Program]
    fell: dict[str, int]
    files: int
    broken: int


def harvest(places: Sequence[Place], allowed: bool, report: Report) -> Harvest:
    """All programs of these packages.

    Raises:
        PbbError: not `allowed`, bubblewrap does not work, or no function is left.
    """
    fell: Counter[str] = Counter()
    found: list[Found] = []
    files = broken = 0
    for place in places:
        modules, unreadable = read(place.folder, place.name)
        files, broken = files + len(modules), broken + unreadable
        _gather(place, [*modules, *_tests(place)], found, fell)
    total = len(found) + sum(fell.values())
    what = f"{len(found)} functions of {', '.join(p.name for p in places)}"
    with (
        Isolated(allowed, MODULES, what=what) as one,
        Isolated(allowed, MODULES, what=what, hash_seed=1) as two,
    ):
        programs = renamed(_executed(found, one, two, fell, report))
        programs = _traced(programs, one, report)
        alike = twins(programs, worker=one, report=report)
    if not programs:
        most = "; ".join(f"{n} {rule}" for rule, n in fell.most_common(3)) or "there are no functions in it"
        raise PbbError(
            f"harvest: {', '.join(str(p.folder) for p in places)}: none of {total} functions is left: {most}"
        )
    programs = [
        p.model_copy(update={"origin": p.origin | {"twins": alike[p.name]}}) if p.name in alike else p
        for p in programs
    ]
    return Harvest(programs, dict(sorted(fell.items(), key=lambda item: (-item[1], item[0]))), files, broken)


def _tests(place: Place) -> list[Module]:
    """Test files beside a package's folder, where examples of calls are."""
    beside = [place.folder.parent / name for name in ("tests", "test")]
    if place.folder.is_file():
        return []
    return [m for folder in beside if folder.is_dir() for m in read(folder, "tests")[0]]


def _gather(place: Place, modules: Sequence[Module], found: list[Found], fell: Counter[str]) -> None:
    """The candidates with enough inputs to try; those without fall."""
    called = seeds(modules)
    sources = {f.candidate.source for f in found}
    for candidate in candidates(modules):
        if isinstance(candidate, str):
            fell[candidate] += 1
        elif candidate.source in sources:
            fell["has the source of another"] += 1
        else:
            sources.add(candidate.source)
            tried = inputs(candidate.node, called.get(candidate.name, []), TRIED, TRIED)
            if len(tried) < ENOUGH:
                fell[
                    "has no examples, and no types to draw inputs from"
                    if not tried
                    else f"has fewer than {ENOUGH} inputs"
                ] += 1
            else:
                found.append(Found(place, candidate, tried))


def _executed(
    found: Sequence[Found], one: Isolated, two: Isolated, fell: Counter[str], report: Report
) -> list[Program]:
    """The programs of those that pass all rules, in order; who fails on too many inputs gets others like those that went well."""
    kept: dict[int, Program] = {}
    again: list[tuple[int, Found]] = []
    for number, (item, outcomes, other) in enumerate(_twice(found, one, two)):
        try:
            kept[number] = _program(item, outcomes, other)
        except Fallen as rule:
            good = _good(item, outcomes)
            extra = more(item.candidate.node, good, 3 * TRIED) if rule.again else []
            if extra:
                again.append((number, replace(item, inputs=[*good, *extra])))
            else:
                fell[str(rule)] += 1
        report(number + 1, len(found), f"{len(kept)} kept")
    for done, ((number, _), (item, outcomes, other)) in enumerate(
        zip(again, _twice([item for _, item in again], one, two), strict=True), 1
    ):
        try:
            kept[number] = _program(item, outcomes, other)
        except Fallen as rule:
            fell[str(rule)] += 1
        report(len(found), len(found), f"{done} of {len(again)} tried again, {len(kept)} kept")
    return [program for _, program in sorted(kept.items())]


def _twice(
    found: Sequence[Found], one: Isolated, two: Isolated
) -> Iterator[tuple[Found, list[Outcome], list[Outcome]]]:
    """Each with the outcomes of both processes, in the order of its inputs."""
    jobs: list[Job] = [(observed(f.candidate.source, f.candidate.name), ENTRY, f.inputs) for f in found]
    back: list[Job] = [(source, entry, tried[::-1]) for source, entry, tried in jobs]
    forward, backward = one.execute_many(jobs, seconds=SECONDS), two.execute_many(back, seconds=SECONDS)
    with ThreadPoolExecutor(1) as pool:
        for item in found:
            waiting = pool.submit(next, backward)
            yield item, next(forward), waiting.result()[::-1]


def _good(item: Found, outcomes: Sequence[Outcome]) -> list[Args]:
    """Inputs that gave a value: of each output the first few."""
    by_output: dict[str, list[Args]] = {}
    for args, outcome in zip(item.inputs, outcomes, strict=True):
        if outcome.error is None:
            by_output.setdefault(repr(outcome.value[0]), []).append(args)  # type: ignore[index]
    return [args for same in by_output.values() for args in same[:5]]


class Fallen(Exception):
    """The rule that a function falls at when it is executed; `again` when other inputs may help."""

    def __init__(self, rule: str, again: bool = False) -> None:
        super().__init__(rule)
        self.again = again


def _program(item: Found, outcomes: Sequence[Outcome], again: Sequence[Outcome]) -> Program:
    """The record of a function that passes all rules. Raises Fallen."""
    candidate, tried = item.candidate, item.inputs
    if any(o.error and o.error.startswith(("Deadline", "Killed")) for o in (*outcomes, *again)):
        raise Fallen("does not end, or takes too much")
    if any(
        (a.error is None) != (b.error is None) or repr(a.value) != repr(b.value)
        for a, b in zip(outcomes, again, strict=True)
    ):
        raise Fallen("is not deterministic, or keeps a state")
    ran: list[tuple[Args, Any]] = [
        (args, o.value) for args, o in zip(tried, outcomes, strict=True) if o.error is None
    ]
    if len(ran) < ENOUGH:
        literals = sum((o.error or "").startswith("NotALiteral") for o in outcomes)
        raise Fallen(
            "has outputs that are no literals" if literals > len(tried) // 2 else "fails on too many inputs",
            again=True,
        )
    calls: list[tuple[Args, Any]] = []
    kinds = {observed[2] for _, observed in ran}
    if len(kinds) > 1:  # neither the function nor one that lists its items gives all of these outputs
        raise Fallen("gives an iterator for some inputs only")
    for args, (value, after, listed) in ran:
        if repr(after) != repr(args):
            raise Fallen("changes its inputs")
        value = rounded(value)
        if literal(value) and not (listed and len(value) > YIELDED):
            calls.append((args, value))
    if len({repr(value) for _, value in calls}) < DIFFERENT:
        raise Fallen(f"has fewer than {DIFFERENT} different outputs", again=True)
    if len(calls) < ENOUGH:
        raise Fallen(f"has fewer than {ENOUGH} inputs with short outputs", again=True)
    name, source = candidate.name, candidate.source
    if True in kinds:
        source, name = _listing(candidate)
    origin = item.place.origin | {
        "module": candidate.module,
        "qualified": f"{candidate.module}.{candidate.name}",
    }
    return Program(
        name=name,
        entry=name,
        source=source,
        family="python",
        group="io",
        examples=_examples(name, calls),
        facts=facts(source),
        origin=origin,
    )


def _listing(candidate: Candidate) -> tuple[str, str]:
    """The source with a second function that gives the items of the first as a list, and its name."""
    name = f"{candidate.name}_list"
    if f"def {name}(" in candidate.source:
        raise Fallen("has outputs that are no literals")
    a = candidate.node.args
    head = ast.parse(candidate.source).body[-1]
    assert isinstance(head, ast.FunctionDef)
    words = [p.arg for p in [*a.posonlyargs, *a.args]]
    passed = ", ".join([*words, *([f"*{a.vararg.arg}"] if a.vararg else [])])
    parameters = ast.unparse(
        ast.arguments(
            head.args.posonlyargs, head.args.args, head.args.vararg, [], [], None, head.args.defaults
        )
    )
    return (
        f"{candidate.source}\n\ndef {name}({parameters}):\n    return list({candidate.name}({passed}))\n",
        name,
    )


def _traced(programs: Sequence[Program], worker: Isolated, report: Report) -> list[Program]:
    """With the lines of working of every example, for programs on which all of them are short."""
    result = []
    for done, p in enumerate(programs, 1):
        traces: list[list[str]] = []
        jobs = ((p.source, p.entry, e.args) for e in p.examples)
        for traced in worker.trace_many(jobs, max_steps=4 * TRACE_LINES, seconds=SECONDS):
            lines = working(traced, p.entry)
            if lines is None:
                break
            traces.append(lines)
        if len(traces) == len(p.examples):
            examples = [e.model_copy(update={"trace": t}) for e, t in zip(p.examples, traces, strict=True)]
            p = p.model_copy(update={"examples": examples})
        result.append(p)
        report(done, len(programs), "traced")
    return result


def working(traced: Traced, entry: str) -> list[str] | None:
    """`name = value` for each variable that a line of the entry changes; None where that is not all there is, or too long."""
    if sum(line.returned is not None for line in traced.lines) != 1:  # it calls itself
        return None
    rows: list[str] = []
    for line in traced.lines:
        if line.function != entry:
            return None
        changed = [
            k for k, v in line.after.items() if k not in line.before or repr(line.before[k]) != repr(v)
        ]
        rows += [f"{name} = {line.after[name]!r}" for name in changed]
    if traced.error or len(rows) > TRACE_LINES or any(len(row) > TRACE_WIDTH for row in rows):
        return None
    return rows


def rounded(value: Any) -> Any:
    """Floats to 7 digits, as an answer is compared to 6; -0.0 as 0.0."""
    if isinstance(value, float):
        return float(f"{value:.7g}") + 0.0
    if isinstance(value, list | tuple):
        return type(value)(rounded(item) for item in value)
    if isinstance(value, dict):
        return {rounded(k): rounded(v) for k, v in value.items()}
    return value


def _examples(name: str, calls: Sequence[tuple[Args, Any]]) -> list[Example]:
    """Up to 30 calls with outputs as various as they come, a third of them held out."""
    by_output: dict[str, list[tuple[Args, Any]]] = {}
    for call in calls:
        by_output.setdefault(repr(call[1]), []).append(call)
    chosen: list[tuple[Args, Any]] = []
    while len(chosen) < min(KEPT, len(calls)):
        chosen += [same.pop(0) for same in by_output.values() if same]
    chosen = chosen[:KEPT]
    random.Random(f"split:{name}").shuffle(chosen)
    held = len(chosen) // 3
    return [
        Example(args=list(args), output=value, split="test" if place < held else "train")
        for place, (args, value) in enumerate(chosen)
    ]


def facts(source: str) -> Facts:
    """Statements, operators in order of name, branches and loops of a source."""
    nodes = list(ast.walk(ast.parse(source)))
    ops = {
        type(n.op).__name__.lower()
        for n in nodes
        if isinstance(n, ast.BinOp | ast.AugAssign | ast.UnaryOp | ast.BoolOp)
    }
    return Facts(
        length=sum(
            isinstance(n, ast.stmt) and not isinstance(n, ast.FunctionDef | ast.Import | ast.ImportFrom)
            for n in nodes
        ),
        ops=sorted(ops),
        branches=sum(isinstance(n, ast.If | ast.IfExp) for n in nodes),
        loops=sum(isinstance(n, ast.For | ast.While | ast.comprehension) for n in nodes),
    )


def renamed(programs: Sequence[Program]) -> list[Program]:
    """With a number after the second and later functions of one name: names must tell programs apart."""
    taken: set[str] = set()
    result = []
    for p in programs:
        name, number = p.name, 2
        inside = spellings(ast.parse(p.source)) if name in taken else set()
        while name in taken or (name != p.name and name in inside):
            name, number = f"{p.name}_{number}", number + 1
        taken.add(name)
        if name != p.name:
            tree = ast.parse(p.source)
            rename(tree, {p.entry: name})
            p = p.model_copy(update={"name": name, "entry": name, "source": ast.unparse(tree) + "\n"})
        result.append(p)
    return result
