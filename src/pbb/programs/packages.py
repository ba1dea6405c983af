"""Programs out of real packages: `pbb harvest` finds pure functions, gets inputs for them, and executes them in isolation.

    function at module level -> stands by itself? (package_source) -> inputs (package_inputs) -> executed in two isolated processes -> kept?
    -> traced, where the working is short (package_working) -> compared: `origin.twins` names those that behave alike (twins)

A function is kept when it has at least 10 inputs with at least 3 different outputs that are short literals (floats finite, rounded to 7
digits), when no input is changed by the call, and when both processes agree: they have different hash seeds, and the second runs the inputs
in reverse order, so that neither the order of a set nor a state that is kept between calls can decide an output; and when its
doctests say nothing else (package_doctests). Which functions fell at which rule is told.
Contract: the package is read as text and never imported; the same files give the same programs, byte for byte, on the same Python.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from pbb.errors import PbbError
from pbb.programs.family import Report
from pbb.programs.isolation import Isolated
from pbb.programs.observed import ENTRY, MODULES, YIELDED, observed
from pbb.programs.own_lines import told
from pbb.programs.package_calls import Args, bare_first, bound
from pbb.programs.package_doctests import contradicted
from pbb.programs.package_inputs import inputs, literal, more, seeds
from pbb.programs.package_modules import Module, read
from pbb.programs.package_place import Place
from pbb.programs.package_source import Candidate, candidates
from pbb.programs.package_working import rounded, with_working
from pbb.programs.pairs import in_tables
from pbb.programs.program import Example, Facts, Program
from pbb.programs.renaming import rename, spellings
from pbb.programs.sandbox import Job, Outcome
from pbb.programs.twins import twins

TRIED, KEPT, ENOUGH, DIFFERENT = 60, 30, 10, 3
ENDLESS = "does not end, or takes too much"
SECONDS = 20.0  # far beyond what the steps take: whoever exceeds it always does


@dataclass(frozen=True)
class Found:
    """A function that stands by itself, with inputs to try."""

    place: Place
    candidate: Candidate
    inputs: list[Args]


@dataclass(frozen=True)
class Harvest:
    """The programs kept, and by rule, that of most first, the qualified names of the functions that fell at it."""

    programs: list[Program]
    refused: dict[str, list[str]]
    files: int
    broken: int

    @property
    def fell(self) -> dict[str, int]:
        """How many functions fell at which rule."""
        return {rule: len(names) for rule, names in self.refused.items()}


Refusals = dict[str, list[str]]


def _refuse(refused: Refusals, rule: str, name: str) -> None:
    refused.setdefault(rule, []).append(name)


def harvest(places: Sequence[Place], allowed: bool, report: Report) -> Harvest:
    """All programs of these packages.

    Raises:
        PbbError: not `allowed`, bubblewrap does not work, or no function is left.
    """
    refused: Refusals = {}
    found: list[Found] = []
    files = broken = 0
    for place in places:
        modules, unreadable = read(place.folder, place.name)
        files, broken = files + len(modules), broken + unreadable
        _gather(place, [*modules, *_tests(place)], found, refused)
    total = len(found) + sum(map(len, refused.values()))
    what = f"{len(found)} functions of {', '.join(p.name for p in places)}"
    with (
        Isolated(allowed, MODULES, what=what) as one,
        Isolated(allowed, MODULES, what=what, hash_seed=1) as two,
    ):
        programs = renamed(_executed(found, one, two, refused, report))
        programs = with_working(programs, one, SECONDS, report)
        alike = twins(programs, worker=one, report=report)
    refused = dict(sorted(refused.items(), key=lambda item: (-len(item[1]), item[0])))
    if not programs:
        most = "; ".join(f"{len(names)} {rule}" for rule, names in [*refused.items()][:3])
        most = most or "there are no functions in it"
        raise PbbError(
            f"harvest: {', '.join(str(p.folder) for p in places)}: none of {total} functions is left: {most}"
        )
    programs = [
        p.model_copy(update={"origin": p.origin | {"twins": alike[p.name]}}) if p.name in alike else p
        for p in programs
    ]
    return Harvest(programs, refused, files, broken)


def _tests(place: Place) -> list[Module]:
    """Files of the tests beside a package's folder, where examples of calls are; their helpers are no part of the package."""
    beside = [place.folder.parent / name for name in ("tests", "test")]
    if place.folder.is_file():
        return []
    return [replace(m, test=True) for folder in beside if folder.is_dir() for m in read(folder, "tests")[0]]


def _gather(place: Place, modules: Sequence[Module], found: list[Found], refused: Refusals) -> None:
    """The candidates with enough inputs to try; those without fall."""
    called = seeds(modules)
    sources = {f.candidate.source for f in found}
    for candidate in candidates(modules):
        if not isinstance(candidate, Candidate):
            _refuse(refused, candidate.rule, candidate.name)
            continue
        if candidate.source in sources:
            _refuse(refused, "has the source of another", candidate.qualified)
            continue
        sources.add(candidate.source)
        tried = inputs(candidate.node, called.get(candidate.name, []), TRIED, TRIED)
        if len(tried) >= ENOUGH:
            found.append(Found(place, candidate, tried))
            continue
        few = (
            f"has fewer than {ENOUGH} inputs"
            if tried
            else "has no examples, and no types to draw inputs from"
        )
        _refuse(refused, few, candidate.qualified)


def _executed(
    found: Sequence[Found], one: Isolated, two: Isolated, refused: Refusals, report: Report
) -> list[Program]:
    """The programs of those that pass all rules, in order; who fails on too many inputs, or has too few that tell something, gets others like those
    that went well."""
    kept: dict[int, Program] = {}
    again: list[tuple[int, Found]] = []
    for number, (item, outcomes, other) in enumerate(_twice(found, one, two)):
        try:
            kept[number] = _program(item, outcomes, other)
            telling = [tuple(e.args) for e in kept[number].examples if not _little(tuple(e.args), e.output)]
            if 3 * len(telling) < 2 * len(kept[number].examples):
                extra = more(item.candidate.node, telling, TRIED)
                ran = [args for args, o in zip(item.inputs, outcomes, strict=True) if o.error is None]
                again += [(number, replace(item, inputs=[*ran, *extra]))] if extra else []
        except Fallen as rule:
            good = _good(item, outcomes)
            extra = more(item.candidate.node, good, 3 * TRIED) if rule.again else []
            if extra:
                again.append((number, replace(item, inputs=[*good, *extra])))
            else:
                _refuse(refused, str(rule), item.candidate.qualified)
        report(number + 1, len(found), f"{len(kept)} kept")
    for done, ((number, _), (item, outcomes, other)) in enumerate(
        zip(again, _twice([item for _, item in again], one, two), strict=True), 1
    ):
        try:
            kept[number] = _program(item, outcomes, other)
        except Fallen as rule:
            if number in kept and str(rule) == ENDLESS:  # the further inputs are at fault
                continue
            kept.pop(number, None)
            _refuse(refused, str(rule), item.candidate.qualified)
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
        raise Fallen(ENDLESS)
    if any(
        (a.error is None) != (b.error is None) or repr(a.value) != repr(b.value)
        for a, b in zip(outcomes, again, strict=True)
    ):
        raise Fallen("is not deterministic, or keeps a state")
    known = {bound(candidate.node, args): o for args, o in zip(tried, outcomes, strict=True)}
    if contradicted(candidate.node, known, YIELDED):
        raise Fallen("gives something else than its doctest says")
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
    name, source = candidate.name, candidate.source
    if True in kinds:
        source, name = _listing(candidate)
    origin = item.place.origin | {"module": candidate.module, "qualified": candidate.qualified}
    program = Program(
        name=name,
        entry=name,
        source=source,
        family="python",
        group="io",
        examples=[],
        facts=facts(source),
        origin=origin,
    )
    calls = _untold(program, calls)
    if len({repr(value) for _, value in calls}) < DIFFERENT:
        raise Fallen(f"has fewer than {DIFFERENT} different outputs", again=True)
    if len(calls) < ENOUGH:
        raise Fallen(f"has fewer than {ENOUGH} inputs with short outputs", again=True)
    return program.model_copy(update={"examples": _examples(name, calls)})


def _untold(program: Program, calls: list[tuple[Args, Any]]) -> list[tuple[Args, Any]]:
    """Those of the calls that the source does not tell: as a call, in a function that ends with `return count(1)`, or in a table of outputs."""
    left = [(call, Example(args=list(call[0]), output=call[1], split="train")) for call in calls]

    def of(examples: list[Example]) -> Program:
        return program.model_copy(update={"examples": examples})

    if told(of([e for _, e in left])):
        left = [(call, e) for call, e in left if not told(of([e]))]
    while tabled := in_tables(of([e for _, e in left])):
        left = [(call, e) for call, e in left if e.call(program.entry) not in tabled]
    return [call for call, _ in left]


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


def _little(args: Args, output: object) -> bool:
    """Whether a call tells little of its function: it begins with an empty value, or gives back an argument as it is."""
    return bare_first(args) or any(repr(arg) == repr(output) for arg in args)


def _examples(name: str, calls: Sequence[tuple[Args, Any]]) -> list[Example]:
    """Up to 30 calls with outputs as various as they come, a third of them held out.

    Calls that tell little are no more than a third of them, where there are others.
    """
    by_output: dict[str, list[tuple[Args, Any]]] = {}
    for call in calls:
        by_output.setdefault(repr(call[1]), []).append(call)
    order: list[tuple[Args, Any]] = []
    while len(order) < len(calls):
        order += [same.pop(0) for same in by_output.values() if same]
    wanted = min(KEPT, len(calls))
    chosen: list[tuple[Args, Any]] = []
    poor: list[tuple[Args, Any]] = []
    room = wanted // 3
    for args, output in order:
        if _little(args, output):
            if not room:
                poor.append((args, output))
                continue
            room -= 1
        chosen.append((args, output))
    chosen = [*chosen, *poor][:wanted]
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
