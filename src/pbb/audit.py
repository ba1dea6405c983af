"""`pbb audit RUN`: what a run says of itself, derived again from its files without trusting its summaries.

Each check goes back to what the claim rests on: the recipe to its hash, programs to their seed and to execution, documents to programs, the
leak proof to the documents' bytes, the questions to the recipe, answers to the texts, texts to the checkpoint, scores to the answers,
counts to the documents. Contract: nothing is written; a check agrees, differs (with the first place where), or says why it was not made.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pbb import audit_checks as checks
from pbb import folder as folders
from pbb import recipe_graph
from pbb.audited import Finding, Made, Verdict
from pbb.errors import PbbError
from pbb.graph import Step
from pbb.recipe_file import load
from pbb.runs import scored, shared

Report = Callable[[float, float, str], None]


def audit(
    run: Path, only: Sequence[str] = (), report: Report = lambda done, total, note: None
) -> list[Finding]:
    """All findings on a run directory, or those on its steps of some kinds (programs, documents, train, evaluate, score, report).

    Raises:
        PbbError: it holds no recipe that loads, or there is no such kind.
    """
    if unknown := [kind for kind in only if kind not in checks.KINDS]:
        raise PbbError(f"audit: no kind of step {unknown[0]!r}: choose from {', '.join(checks.KINDS)}")
    recipe = load(str(run / "recipe.yaml"))
    graph: dict[str, Step] = {}
    why = "made by other code than is installed now"
    try:
        graph = {step.folder: step for step in recipe_graph.graph(recipe)}
    except PbbError as error:  # data or a model that is not where the run was made
        why = f"the steps of its recipe are not known here: {error}"
    records: dict[Path, Any] = {
        path.parent: folders.read_json(path)
        for path in sorted(run.glob("steps/*/inputs.json"))
        if ".broken" not in path.parent.name and (path.parent / "DONE").exists()
    }
    if graph and (changed := _changed(recipe.data.digest(), list(records.values()))):
        why = changed
    if shared(run):
        own = graph.keys() | _reached(run, records)
        records = {folder: record for folder, record in records.items() if folder.name in own}
    made = {
        folder.name: Made(folder, record, graph.get(folder.name), why)
        for folder, record in records.items()
        if _whole(record)
    }
    damaged = [folder.name for folder in records if folder.name not in made]
    work: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("recipe", lambda: _recipe(run, recipe.hash())),
        ("steps", lambda: _steps(run, list(made.values()), damaged, graph, why)),
        ("environment", lambda: _environment(run, list(made.values()))),
    ]
    parts = _current(run, made)
    of_today = {m.folder.name for m in made.values() if m.step}
    by_kind = {kind: [m for m in parts if m.record["kind"] == kind] for kind in checks.KINDS}
    work += [
        (f"{kind} {m.folder.name}", lambda m=m, check=check: check(m))  # type: ignore[misc]
        for kind, check in checks.KINDS.items()
        for m in by_kind[kind]
        if not only or kind in only
    ]
    findings: list[Finding] = []
    for number, (name, check) in enumerate(work):
        report(number, len(work), name)
        try:
            findings += check()
        except Exception as error:  # the files may be anybody's
            said = " ".join(str(error).split())[:200] or type(error).__name__
            old = " " in name and name.split()[1] not in of_today
            findings.append(
                Finding(name, "not checked", f"of another version of pbb: no {said}")
                if old and isinstance(error, KeyError)
                else Finding(name, "differs", f"cannot be read: {said}")
            )
    return findings


def _changed(digest: str | None, records: list[Any]) -> str:
    """That the run is of a file of data which is another one today, where that is so."""
    known = [r["config"] for r in records if _whole(r) and r["kind"] == "programs"]
    if not known or digest in {config.get("digest") for config in known}:
        return ""
    data = known[0].get("data")
    path = data.get("path") if isinstance(data, dict) else None
    return f"made of other data: data.path: {path} has changed since" if path else ""


def _current(run: Path, made: dict[str, Made]) -> list[Made]:
    """Of every step the one of today's graph, else the newest that was made; besides, the scores that the run shows, and all that these rest on.

    Where the code has changed since, the files are still held against one another.
    """
    age = lambda m: (m.step is not None, (m.folder / "DONE").stat().st_mtime_ns)  # noqa: E731
    today = [m for m in made.values() if m.step]
    places = {_place(m, made) for m in today}
    older: dict[str, Made] = {}
    for m in sorted(made.values(), key=age):
        if (place := _place(m, made)) not in places:
            older[place] = m
    path = run / "scores.json"
    text = path.read_bytes() if path.is_file() else None
    scores = {m.folder.name: m.folder / path.name for m in made.values() if m.record["kind"] == "score"}
    shown = {name for name, file in scores.items() if file.is_file() and file.read_bytes() == text}
    chosen = _with_parents(
        {m.folder.name for m in (*today, *older.values())} | shown,
        {name: m.record for name, m in made.items()},
    )
    return [m for name, m in made.items() if name in chosen]


def _place(m: Made, made: dict[str, Made], asked_by: tuple[str, ...] = ()) -> str:
    """What a step is of its recipe, whatever the code that made it: the same text for the same place."""
    named = {key: m.config.get(key) for key in ("arm", "stage", "seed", "settings")}
    if m.record["kind"] == "train":  # it is named by the stages on the way to it
        named["model"] = m.config.get("model")
        way = (*asked_by, m.folder.name)  # a record may be anybody's, and name what it leads to
        for parent, folder in m.record["parents"].items():
            known = folder in made and folder not in way
            named[f"from {parent}"] = _place(made[folder], made, way) if known else folder
    return json.dumps([m.record["kind"], named], sort_keys=True)


def _reached(run: Path, records: dict[Path, Any]) -> set[str]:
    """The steps that a run's own scores.json says it rests on, the scores of the very same, their reports, and all that they were made from."""
    known = {folder.name: record for folder, record in records.items() if _whole(record)}
    found = scored(folders.read_json(run / "scores.json"))
    if not found:
        return found
    scores = {
        name
        for name, r in known.items()
        if r["kind"] == "score" and set(map(str, r["parents"].values())) == found
    }
    reports = {
        name for name, r in known.items() if r["kind"] == "report" and r["parents"].get("score") in scores
    }
    return _with_parents(found | scores | reports, known)


def _with_parents(names: set[str], records: dict[str, dict[str, Any]]) -> set[str]:
    """Steps, and all that they were made from."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += records[name]["parents"].values() if name in records else []
    return found


def _recipe(run: Path, digest: str) -> Iterator[Finding]:
    name = run.resolve().name
    same = name == digest
    detail = f"hashes to {digest}" + ("" if same else f", the folder is called {name}")
    yield Finding("recipe.yaml is the recipe of this folder", "agrees" if same else "differs", detail)


def _whole(record: object) -> bool:
    match record:
        case {
            "kind": str(),
            "function": str(),
            "config": dict(),
            "code": str(),
            "parents": dict() as parents,
        }:
            return all(isinstance(folder, str) for folder in parents.values())
    return False


def _steps(
    run: Path, made: list[Made], damaged: list[str], graph: dict[str, Step], why: str
) -> Iterator[Finding]:
    wrong = [
        *(f"{name} (its inputs.json is damaged)" for name in damaged),
        *(m.folder.name for m in made if named(m.record) != m.folder.name),
    ]
    yield Finding(
        "every step's record hashes to its folder's name",
        "differs" if wrong else "agrees",
        f"{', '.join(wrong[:3])}" if wrong else f"{len(made)} steps",
    )
    broken = [m.folder.name for m in made if folders.state(m.folder) != "done"]
    yield Finding(
        "every step's files are those that it ended with",
        "differs" if broken else "agrees",
        ", ".join(broken[:3]) if broken else f"{len(made)} steps, by size and (small files) digest",
    )
    if not graph:
        yield Finding("the run is the graph of its recipe", "not checked", why)
        return
    absent = [name for name in graph if name not in {m.folder.name for m in made}]
    known = {m.record["kind"] for m in made}
    lacking = {graph[name].kind for name in absent} - known
    detail = "every step of the recipe is there"
    if absent:
        detail = f"{len(absent)} of {len(graph)} steps are not there, or were {why}"
    if lacking and shared(run) and not (run / "scores.json").is_file():
        lacking, detail = (
            set(),
            f"this point of a sweep is not finished: {len(absent)} of {len(graph)} steps are not there",
        )
    verdict: Verdict = "differs" if lacking else "not checked" if absent else "agrees"
    yield Finding("the run is the graph of its recipe", verdict, detail)


def _environment(run: Path, made: list[Made]) -> Iterator[Finding]:
    """What the run says it was made with, against what its models say; other versions than are installed now are no fault."""
    label = "environment.json is that of the models"
    told = folders.read_json(run / "environment.json")
    if not isinstance(told, dict) or not isinstance(told.get("versions"), dict):
        yield Finding(label, "differs", "it is missing or damaged")
        return
    earlier = told.get("earlier")
    known_of = [told, *(e for e in (earlier if isinstance(earlier, list) else []) if isinstance(e, dict))]
    claimed = {e["versions"].get("transformers") for e in known_of if isinstance(e.get("versions"), dict)}
    saved = {m.folder.name: folders.read_json(m.folder / "model" / "config.json") for m in made}
    known = {name: c["transformers_version"] for name, c in saved.items() if isinstance(c, dict)}
    wrong = [name for name, version in known.items() if version not in claimed]
    if wrong:
        said = " or ".join(map(str, claimed))
        detail = f"{wrong[0]} was saved by transformers {known[wrong[0]]}, it says {said}"
        yield Finding(label, "differs", detail)
    else:
        detail = f"pbb {told.get('pbb')}, Python {told.get('python')}, {len(known)} models of transformers {', '.join(sorted(set(known.values())))}"
        yield Finding(label, "agrees" if known else "not checked", detail)


def named(record: dict[str, Any]) -> str:
    """The folder's name that a record gives."""
    parents = {name: str(folder).rpartition("-")[2] for name, folder in record["parents"].items()}
    text = json.dumps(
        [record["kind"], record["function"], record["config"], record["code"], parents],
        sort_keys=True,
        separators=(",", ":"),
    )
    return f"{record['kind']}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
