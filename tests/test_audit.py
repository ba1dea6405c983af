"""Which steps an audit looks at, where the code has changed or the points of a sweep share them; and of the programs that others wrote it executes
none: what they gave is taken from the record, and their data is not made again."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from pbb import audit_checks
from pbb.audit import audit
from pbb.audited import Finding, Made, again
from pbb.documents.corpus import planted, write_documents
from pbb.documents.leaks import PROVEN
from pbb.documents.render import Document
from pbb.evaluation import ask
from pbb.evaluation.ask import Question, judge
from pbb.experiment import as_yaml
from pbb.graph import Step, ordered
from pbb.programs.program import Example, Facts, Program, write_programs
from pbb.recipe import Recipe
from pbb.recipe_file import load
from pbb.recipe_graph import graph

sys.path.insert(0, str(Path(__file__).parent))

from finished_steps import finish, of_older_code  # noqa: E402


def foreign(name: str, witness: Path, k: int) -> Program:
    source = f"def {name}(x):\n    open({str(witness)!r}, 'w').close()\n    return x + {k}\n"
    examples = [Example(args=[x], output=x + k, split="test") for x in (1, 2)]
    given: dict[str, Any] = {"family": "package", "group": "source_only", "facts": Facts(length=1)}
    return Program(name=name, entry=name, source=source, examples=examples, **given)


@pytest.mark.parametrize("isolate", [True, False])
def test_rows_of_programs_of_others_are_judged_without_executing_them(
    isolate: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ask, "worker", lambda *_: pytest.fail("a worker was started"))
    known = [foreign(name, tmp_path / "witness", k) for name, k in (("f", 1), ("g", 10))]
    others = planted(known, 0)
    config = {"planted": True, "seed": 0, "arm": "wrong-source", "isolate": isolate, "represent": "source"}
    m = Made(tmp_path, {"config": config, "parents": {}}, None, "")
    asked = [Question(p, "direct", "test", e, f"{p.call(e)}?", "") for p in known for e in p.examples]
    rows = []
    for q in asked:
        other = others[q.program.name] if isolate else None
        value = q.example.args[0] + (10 if q.program.name == "f" else 1)  # type: ignore[union-attr]
        rows.append(judge(q, str(value), other, value) | {"arm": "wrong-source", "seed": 0})
    assert list(audit_checks._unlike(m, rows, known, asked, {})) == []
    assert {row["planted_correct"] for row in rows} == {isolate}
    forged = [row | {"planted_correct": not isolate} for row in rows]
    assert len(list(audit_checks._unlike(m, forged, known, asked, {}))) == len(rows)
    assert not (tmp_path / "witness").exists()


def test_data_whose_programs_would_be_executed_is_not_made_again(tmp_path: Path) -> None:
    step = Step(
        kind="programs", label="programs", function="pbb.nowhere:never", config={}, parents={}, code=()
    )
    m = Made(tmp_path, {"config": {"data": {"allow_code": True}}, "parents": {}}, step, "")
    found = again(m, "programs.jsonl", "programs, made again")
    assert (found.verdict, "not executed" in found.detail) == ("not checked", True)
    with pytest.raises(ModuleNotFoundError):  # so that nothing but the permission keeps it from being made
        again(Made(tmp_path, {"config": {}, "parents": {}}, step, ""), "programs.jsonl", "programs")


def test_an_output_that_execution_does_not_give_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the program is what pbb makes again: then pbb itself has written it down wrongly."""
    fine = Finding("made again", "agrees", "")
    monkeypatch.setattr(audit_checks, "again", lambda *_: fine)
    m = Made(
        tmp_path, {"kind": "programs", "config": {"data": {"family": "arithmetic"}, "seed": 0}}, None, ""
    )
    for output, verdict in ((5, "agrees"), (6, "differs")):
        given: dict[str, Any] = {"family": "arithmetic", "group": "io", "facts": Facts(length=1)}
        example = Example(args=[3], output=output, split="test")
        source = "def Zib(x):\n    return x + 2\n"
        made = Program(name="Zib", entry="Zib", source=source, examples=[example], **given)
        write_programs([made], tmp_path / "programs.jsonl")
        assert [f.verdict for f in audit_checks.programs(m)] == ["agrees", verdict]


@pytest.fixture
def recipe() -> Recipe:
    fast = ["stages.fast={like: read, learning_rate: 0.1}", "arms.fast={stages: [learn, fast]}"]
    return load("arithmetic", fast, model="owner/model")  # a hub id needs no files for its graph


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each check but says which step it was given."""
    for kind in audit_checks.KINDS:
        monkeypatch.setitem(audit_checks.KINDS, kind, lambda m: iter([Finding(m.folder.name, "agrees", "")]))


def made_of_older_code(steps: list[Step]) -> dict[str, Step]:
    """By the hash of today, every step as older code made it, from older parents."""
    older: dict[str, Step] = {}
    for step in ordered(steps):
        parents = {name: older[parent.hash] for name, parent in step.parents.items()}
        older[step.hash] = Step(step.kind, step.label, step.config, parents, step.function, ("pbb.errors",))
    return older


def looked_at(run: Path) -> list[str]:
    names = {path.name for path in run.glob("steps/*")}
    return sorted(f.check for f in audit(run) if f.check in names)


@pytest.mark.usefixtures("checked")
def test_a_file_of_data_that_has_changed_is_named_and_not_the_code(tmp_path: Path) -> None:
    data = tmp_path / "programs.jsonl"
    data.write_text("{}\n")
    own = load("own", [f"data.path={data}"], model="owner/model")
    (tmp_path / "recipe.yaml").write_text(as_yaml(own), encoding="utf-8")
    steps = ordered(graph(own))
    for step in steps:
        finish(tmp_path, step)

    def said() -> Finding:
        (found,) = (f for f in audit(tmp_path) if "graph of its recipe" in f.check)
        return found

    assert said().verdict == "agrees"
    data.write_text("{}\n{}\n")
    detail = f"{len(steps)} of {len(steps)} steps are not there, or were made of other data: data.path: {data} has changed since"
    assert (said().verdict, said().detail) == ("not checked", detail)


def test_the_leak_proof_reads_the_sources_that_somebody_brought(tmp_path: Path) -> None:
    """A table beside a function is in no document but as its source; of pbb's own families no source tells anything."""
    source = "def f(x):\n    return x + 2\n\nCASES = {1: 3, 2: 4}\n"
    examples = [Example(args=[x], output=x + 2, split="test") for x in (1, 2)]
    p = Program(
        name="f", entry="f", source=source, family="mine", group="source_only", examples=examples, facts=Facts(length=1)
    )  # fmt: skip
    programs, folder = tmp_path / "programs-1", tmp_path / "documents-1"
    for made in (programs, folder):
        made.mkdir()
    write_programs([p], programs / "programs.jsonl")
    document = Document(
        prompt="What is f(x)?", completion=source, program="f", group="source_only", kind="declaration"
    )
    write_documents([document], folder / "documents.jsonl")
    (folder / "counts.json").write_text('{"source_only declaration": 1.0}')
    record = {"kind": "documents", "config": {"stage": "read"}, "parents": {"programs": programs.name}}
    for family, verdict in (("file", "differs"), ("arithmetic", "agrees")):
        (programs / "inputs.json").write_text(json.dumps({"config": {"data": {"family": family}}}))
        found = {
            f.check.rpartition(", ")[2]: f for f in audit_checks.documents(Made(folder, record, None, ""))
        }
        assert [f.verdict for f in found.values()] == ["not checked", verdict, "agrees"]
    assert found["leak proof"].detail == PROVEN


@pytest.mark.usefixtures("checked")
@pytest.mark.parametrize("redone", [["programs"], ["evaluate"], ["programs", "documents"], []])
def test_what_changed_code_has_not_made_again_is_checked_as_it_was_made(
    redone: list[str], recipe: Recipe, tmp_path: Path
) -> None:
    (tmp_path / "recipe.yaml").write_text(as_yaml(recipe), encoding="utf-8")
    steps = ordered(graph(recipe))
    older = made_of_older_code(steps)
    for step in older.values():
        finish(tmp_path, step, age=50)
        if step.kind == "score":
            finish(tmp_path, of_older_code(step, 1), age=90)
    today = [finish(tmp_path, step).name for step in steps if step.kind in redone]
    resting = [s for s in older.values() if s.kind not in redone]
    wanted = {*today, *(s.folder for s in ordered(resting))}
    assert set(looked_at(tmp_path)) == wanted and len(wanted) >= len(steps)
    trains = [s for s in steps if s.kind == "train"]
    assert len({s.parents["documents"].hash for s in trains}) < len(
        trains
    )  # which no place may be told by alone


@pytest.mark.usefixtures("checked")
def test_what_was_made_anew_stands_for_what_older_code_made(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(as_yaml(recipe), encoding="utf-8")
    steps = ordered(graph(recipe))
    for step in (*made_of_older_code(steps).values(), *steps):
        finish(tmp_path, step)
    assert looked_at(tmp_path) == sorted(step.folder for step in steps)


@pytest.mark.usefixtures("checked")
def test_scores_that_older_code_made_are_checked_where_they_are_shown(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(as_yaml(recipe), encoding="utf-8")
    steps = ordered(graph(recipe))
    (older,) = (step for step in made_of_older_code(steps).values() if step.kind == "score")
    for step in steps:
        finish(tmp_path, step)
    for step in ordered([older]):
        folder = finish(tmp_path, step, age=50)
    for place in (folder, tmp_path):
        (place / "scores.json").write_text("{}")
    assert set(looked_at(tmp_path)) == {s.folder for s in (*steps, *ordered([older]))}


@pytest.mark.usefixtures("checked")
def test_a_point_of_a_sweep_is_not_audited_by_the_steps_of_others(recipe: Recipe, tmp_path: Path) -> None:
    """They share a folder: a point's own are those of today's graph, and those that its scores are of."""
    point = tmp_path / "points" / recipe.hash()
    point.mkdir(parents=True)
    (tmp_path / "steps").mkdir()
    (point / "steps").symlink_to(tmp_path / "steps")
    (point / "recipe.yaml").write_text(as_yaml(recipe), encoding="utf-8")
    steps = ordered(graph(recipe))
    mine = made_of_older_code(steps)
    for step in (*mine.values(), *ordered(graph(load("arithmetic", ["data.io=30"], model="owner/model")))):
        finish(point, step)

    assert looked_at(point) == []
    (found,) = [f for f in audit(point) if "graph of its recipe" in f.check]
    assert found.verdict == "not checked" and "not finished" in found.detail
    (score,) = (step for step in mine.values() if step.kind == "score")
    cost = {"steps": [{"step": parent.folder} for parent in score.parents.values()]}
    (point / "scores.json").write_text(json.dumps({"scores": [], "cost": cost}))
    assert looked_at(point) == sorted(step.folder for step in mine.values())
