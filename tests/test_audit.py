"""An audit executes none of the programs that others wrote: what they gave is taken from the record, and their data is not made again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pbb import audit_checks
from pbb.audited import Finding, Made, again
from pbb.documents.corpus import planted
from pbb.evaluation import ask
from pbb.evaluation.ask import Question, judge
from pbb.graph import Step
from pbb.programs.program import Example, Facts, Program, write_programs


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
