"""Behavioural twins: programs that nobody could tell apart by the calls that are asked.

A right answer about a program that was only read proves nothing when another program, whose answers were trained on, gives the same. What
can be told without running anything: the same source up to the name, or the same outputs where a file shows both programs on the same
calls. With a worker every program is run on the asked calls of all others. Outputs are the same if they are one answer: floats to seven digits,
keys in any order.

Contract: a program's twins are those that give its outputs on its first `asked` held-out calls; in the order of the programs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pbb.programs.family import Report
from pbb.programs.isolation import Isolated
from pbb.programs.observed import ENTRY, observed
from pbb.programs.own_lines import shape
from pbb.programs.program import Example, Program, with_keywords
from pbb.programs.sandbox import Job

ASKED = 5
SECONDS = 5.0
STEPS = 5_000  # a twin takes about as many as the program itself; any other mostly fails at once


def twins(
    programs: Sequence[Program],
    asked: int = ASKED,
    worker: Isolated | None = None,
    report: Report = lambda done, total, what: None,
) -> dict[str, list[str]]:
    """By name, the twins of every program that has some; `worker` (with `observed.MODULES`) runs them, without it less is known."""
    known = [_shown(p) for p in programs]
    questions = [p.calls("test")[:asked] for p in programs]
    wanted = [[(_key(e), shape(e.output)) for e in q] for q in questions]
    for number, outputs in enumerate(_run(programs, questions, worker, report) if worker else []):
        known[number] |= outputs
    sources = [re.sub(rf"\b{re.escape(p.entry)}\b", "f", p.source) for p in programs]
    found: dict[str, list[str]] = {}
    for i, p in enumerate(programs):
        same = [
            other.name
            for j, other in enumerate(programs)
            if i != j
            and (
                sources[i] == sources[j]
                or (wanted[i] and all(known[j].get(key) == out for key, out in wanted[i]))
            )
        ]
        if same:
            found[p.name] = same
    return found


def _key(e: Example) -> str:
    return repr((e.args, e.kwargs))


def _kind(e: Example) -> str:
    named = [f"{name}={type(arg).__name__}" for name, arg in sorted(e.kwargs.items())]
    return " ".join([*(type(arg).__name__ for arg in e.args), *named])


def _shown(p: Program) -> dict[str, str]:
    return {_key(e): shape(e.output) for e in p.examples}


def _run(
    programs: Sequence[Program], questions: Sequence[Sequence[Example]], worker: Isolated, report: Report
) -> list[dict[str, str]]:
    """What each program gives on the calls of those that take the same types; a call that fails is left out.

    Other types are not tried: what would mostly be an error is sometimes a loop without an end.
    """
    calls = {_key(e): e for q in questions for e in q}
    taken = [{_kind(e) for e in p.examples} for p in programs]
    asked = [[e for e in calls.values() if _kind(e) in kinds] for kinds in taken]
    jobs: list[Job] = [
        (*with_keywords(observed(p.source, p.entry, STEPS), ENTRY), [[e.args, e.kwargs] for e in tried])
        for p, tried in zip(programs, asked, strict=True)
    ]
    results = []
    for done, outcomes in enumerate(worker.execute_many(jobs, seconds=SECONDS), 1):
        results.append(
            {
                _key(e): shape(o.value[0])
                for e, o in zip(asked[done - 1], outcomes, strict=True)
                if isinstance(o.value, list)
            }
        )
        report(done, len(programs), "compared")
    return results
