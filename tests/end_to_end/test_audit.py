"""An honest run agrees with itself; twenty-seven frauds, each with its DONE mended to match, are found by the check that is meant to find them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from running import pbb_says, step

from pbb import folder as folders
from pbb.audit import audit
from pbb.audit_checks import score
from pbb.audited import Finding, Made
from pbb.cli import main
from pbb.errors import PbbError
from pbb.progress import Progress
from pbb.steps import make_scores


@pytest.fixture
def copy(finished: tuple[Path, str], tmp_path: Path) -> Path:
    directory, _ = finished
    return Path(shutil.copytree(directory, tmp_path / directory.name))


def mend(folder: Path) -> None:
    """Make DONE say what the folder holds now."""
    folders.mark_done(folder, {k: v for k, v in folders.read_json(folder / "DONE").items() if k != "outputs"})


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def lines(path: Path, change: Callable[[list[Any]], list[Any]]) -> None:
    rows = change([json.loads(line) for line in path.read_text().splitlines()])
    path.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows))


def table(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Path:
    path = folder / "predictions.parquet"
    change(pd.read_parquet(path)).to_parquet(path, index=False)
    return folder


def leaked_pair(run: Path) -> Path:
    folder = step(run, "documents", stage="read")
    programs = [
        json.loads(line) for line in (step(run, "programs") / "programs.jsonl").read_text().splitlines()
    ]
    p = next(p for p in programs if p["group"] == "source_only")
    e = p["examples"][-1]
    lines(
        folder / "documents.jsonl",
        lambda rows: [
            *rows,
            {
                "prompt": f"What is {p['name']}({e['args'][0]})? Only the answer.",
                "completion": str(e["output"]),
            }
            | {"program": p["name"], "group": "source_only", "kind": "execution", "ask": "direct"},
        ],
    )
    return folder


def answer_in_a_declaration(run: Path) -> Path:
    folder = step(run, "documents", stage="read")

    def told(rows: list[Any]) -> list[Any]:
        row = next(r for r in rows if r["group"] == "source_only")
        row["completion"] += "\nThe answer is 7"
        return rows

    lines(folder / "documents.jsonl", told)
    return folder


def changed_output(run: Path) -> Path:
    folder = step(run, "programs")

    def wrong(rows: list[Any]) -> list[Any]:
        rows[0]["examples"][0]["output"] += 1
        return rows

    lines(folder / "programs.jsonl", wrong)
    return folder


def changed_seed(run: Path) -> Path:
    folder = step(run, "programs")
    edit(folder / "inputs.json", lambda record: record | {"config": record["config"] | {"seed": 7}})
    return folder


def edited_score(run: Path) -> Path:
    folder = step(run, "score")

    def better(scores: Any) -> Any:
        row = next(r for r in scores["scores"] if r["arm"] == "proactive" and r["ask"] == "trace")
        row["accuracy"], row["high"] = 0.9, 1.0
        return scores

    for path in (folder / "scores.json", run / "scores.json"):
        edit(path, better)
    return folder


def published_score(run: Path) -> None:
    edit(run / "scores.json", lambda scores: scores | {"ratios": []})


def dropped_unparsed(run: Path) -> Path:
    folder = step(run, "evaluate", arm="untrained")
    assert pd.read_parquet(folder / "predictions.parquet")["parsed"].isna().any()
    return table(folder, lambda frame: frame[frame["parsed"].notna() | (frame["ask"] == "recall")])


def turned_verdict(run: Path) -> Path:
    def right(frame: pd.DataFrame) -> pd.DataFrame:
        wrong = frame.index[(frame["ask"] == "direct") & ~frame["correct"].astype(bool)]
        return frame.assign(correct=frame["correct"].where(frame.index != wrong[0], True))

    return table(step(run, "evaluate", arm="proactive"), right)


def rewritten_answer(run: Path) -> Path:
    def truth(frame: pd.DataFrame) -> pd.DataFrame:
        at = frame["ask"] == "direct"
        return frame.assign(
            parsed=frame["parsed"].where(~at, frame["expected"]), correct=frame["correct"] | at
        )

    return table(step(run, "evaluate", arm="proactive"), truth)


def swapped_checkpoint(run: Path) -> Path:
    record = json.loads((step(run, "evaluate", arm="proactive") / "inputs.json").read_text())
    folder = run / "steps" / record["parents"]["model"]
    weights = folder / "model" / "model.safetensors"
    import torch
    from safetensors.torch import load_file, save_file

    noise = {name: torch.randn_like(w) * 0.05 for name, w in load_file(weights).items()}
    save_file(noise, weights, metadata={"format": "pt"})
    return folder


def inflated_tokens(run: Path) -> Path:
    folder = step(run, "train")
    edit(folder / "training.json", lambda told: told | {"tokens": told["tokens"] * 2})
    return folder


def other_recipe(run: Path) -> None:
    path = run / "recipe.yaml"
    path.write_text(path.read_text().replace("batch_size: 8", "batch_size: 9"))


def other_environment(run: Path) -> None:
    edit(
        run / "environment.json",
        lambda told: told | {"versions": told["versions"] | {"transformers": "4.0.0"}},
    )


def narrowed_interval(run: Path) -> Path:
    folder = step(run, "score")

    def surer(scores: Any) -> Any:
        for row in scores["scores"]:
            row["low"] = row["high"] = abs(row["accuracy"] - 0.01)
        return scores

    for path in (folder / "scores.json", run / "scores.json"):
        edit(path, surer)
    return folder


def hidden_arm(run: Path) -> Path:
    folder = step(run, "score")

    def without(scores: Any) -> Any:
        return scores | {"scores": [row for row in scores["scores"] if row["arm"] != "mixed"]}

    for path in (folder / "scores.json", run / "scores.json"):
        edit(path, without)
    return folder


def bettered_test(run: Path) -> Path:
    folder = step(run, "score")

    def surer(scores: Any) -> Any:
        for row in scores["tests"]:
            row["p"] = row["p_holm"] = 0.0001
        return scores

    for path in (folder / "scores.json", run / "scores.json"):
        edit(path, surer)
    return folder


def repeated_document(run: Path) -> Path:
    folder = step(run, "documents", stage="read")
    lines(folder / "documents.jsonl", lambda rows: [*rows, rows[0]])
    return folder


def forged(run: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """All predictions changed, and the scores made anew from them: nothing but programs and texts can tell."""
    for folder in run.glob("steps/evaluate-*"):
        if folder.is_dir():
            mend(table(folder, change))
    folder = step(run, "score")
    record = json.loads((folder / "inputs.json").read_text())
    inputs = {name: run / "steps" / parent for name, parent in record["parents"].items()}
    make_scores(record["config"], inputs, folder, Progress())
    shutil.copy(folder / "scores.json", run / "scores.json")
    mend(folder)


def swapped_groups(run: Path) -> None:
    other = {"io": "source_only", "source_only": "io"}
    forged(run, lambda frame: frame.assign(group=frame["group"].map(other)))


def recalled_all(run: Path) -> None:
    def known(frame: pd.DataFrame) -> pd.DataFrame:
        asked, only = frame["ask"].isin(["recite", "recall"]), frame["ask"] == "recall"
        told = {name: frame[name].where(~asked, True) for name in ("recalled", "recalled_form")}
        return frame.assign(**told, **{name: frame[name] | only for name in ("correct", "lenient")})

    forged(run, known)


def planted_all(run: Path) -> None:
    forged(run, lambda frame: frame.assign(planted_correct=frame["planted"].notna()))


def other_facts(run: Path) -> None:
    forged(run, lambda frame: frame.assign(length=7, ops="add"))


def turned_arms(run: Path) -> None:
    """The arm of the claim and its control change places, each with the other's rows."""
    both = [step(run, "evaluate", arm=arm) for arm in ("proactive", "untrained")]
    frames = [pd.read_parquet(folder / "predictions.parquet") for folder in both]
    for folder, frame in zip(both, reversed(frames), strict=True):
        frame.to_parquet(folder / "predictions.parquet", index=False)
    forged(run, lambda frame: frame)


def all_finished(run: Path) -> None:
    forged(run, lambda frame: frame.assign(finished=~frame["finished"]))


def turned_table(run: Path) -> Path:
    """An accuracy, in the step and beside the recipe."""
    folder = step(run, "report")
    for path in (folder / "tables" / "scores.csv", run / "tables" / "scores.csv"):
        told = path.read_text()
        path.write_text(re.sub(r",0\.\d+,", ",0.99,", told, count=1))
        assert path.read_text() != told
    return folder


def turned_difference(run: Path) -> Path:
    """One between the arms of a figure, in the step and beside the recipe."""
    folder = step(run, "report")
    for place in (folder, run):
        path = place / "figures" / "reading-io-differences.csv"
        told = path.read_text()
        path.write_text(told.replace(",direct,proactive,", ",direct,mixed,"))
        assert path.read_text() != told
    return folder


def turned_page(run: Path) -> None:
    page = run / "report.html"
    page.write_text(page.read_text().replace("</main>", "and more</main>"))


def hidden_page(run: Path) -> None:
    (run / "report.html").unlink()


FRAUDS: dict[Callable[[Path], Path | None], tuple[str, str]] = {
    leaked_pair: ("documents", "leak proof"),
    answer_in_a_declaration: ("documents", "leak proof"),
    changed_output: ("programs", "made again"),
    changed_seed: ("programs", "record hashes"),
    edited_score: ("score", "scores, counted again"),
    published_score: ("score", "beside the recipe"),
    dropped_unparsed: ("evaluate", "questions"),
    turned_verdict: ("evaluate", "answers"),
    rewritten_answer: ("evaluate", "answers"),
    swapped_checkpoint: ("evaluate", "asked again"),
    inflated_tokens: ("train", "counts"),
    other_recipe: ("score", "recipe.yaml"),
    other_environment: ("score", "environment.json"),
    narrowed_interval: ("score", "scores, counted again"),
    hidden_arm: ("score", "scores, counted again"),
    bettered_test: ("score", "made again"),
    repeated_document: ("documents", "made again"),
    swapped_groups: ("evaluate", "rows"),
    recalled_all: ("evaluate", "rows"),
    planted_all: ("evaluate", "rows"),
    other_facts: ("evaluate", "rows"),
    turned_arms: ("evaluate", "rows"),
    all_finished: ("evaluate", "ends"),
    turned_table: ("report", "tables made again"),
    turned_difference: ("report", "tables made again"),
    turned_page: ("report", "report, figures and tables"),
    hidden_page: ("report", "report, figures and tables"),
}


def test_an_honest_run_agrees(finished: tuple[Path, str], place: Path) -> None:
    directory, _ = finished
    code, out, err = pbb_says("audit", str(directory), "--json", cwd=place)
    findings = [Finding(**row) for row in json.loads(out)]
    assert [f for f in findings if f.verdict != "agrees"] == []
    assert code == 0, err
    checks = {f.check for f in findings}
    assert len(findings) == len(checks) > 30
    for words in {words for _, words in FRAUDS.values()}:
        assert any(words in check for check in checks), words


def test_a_run_is_called_by_its_own_name_from_within_too(finished: tuple[Path, str], place: Path) -> None:
    link = place / "link"
    link.symlink_to(finished[0])
    for where in (finished[0], link):
        code, out, _ = pbb_says("audit", ".", "--only", "score", "--json", cwd=where)
        said = {row["check"]: row["verdict"] for row in json.loads(out)}
        assert code == 0 and said["recipe.yaml is the recipe of this folder"] == "agrees"


@pytest.mark.parametrize("fraud", FRAUDS, ids=lambda fraud: fraud.__name__)
def test_a_fraud_is_found(fraud: Callable[[Path], Path | None], copy: Path) -> None:
    kind, words = FRAUDS[fraud]
    if folder := fraud(copy):
        mend(folder)
    found = [f for f in audit(copy, [kind]) if f.verdict == "differs"]
    assert any(words in f.check for f in found), found


def test_a_step_without_its_contents_is_found(copy: Path) -> None:
    (step(copy, "train") / "model" / "model.safetensors").write_bytes(b"")
    found = {f.check: f.verdict for f in audit(copy, ["score"])}
    assert found["every step's files are those that it ended with"] == "differs"


def test_damaged_records_are_named(copy: Path) -> None:
    """Of one step the record is emptied, of another one it is no mapping at all."""
    damaged = [step(copy, "score"), step(copy, "evaluate", arm="mixed")]
    for folder, text in zip(damaged, ("{}", "[]"), strict=True):
        (folder / "inputs.json").write_text(text)
    (found,) = [f for f in audit(copy, ["programs"]) if "record hashes" in f.check]
    assert found.verdict == "differs" and all(folder.name in found.detail for folder in damaged)


def test_what_is_elsewhere_is_not_made_again_and_the_rest_is_checked(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(recipe: object) -> list[object]:
        raise PbbError("data.path: cannot read 'x.jsonl': No such file or directory: give a programs.jsonl")

    monkeypatch.setattr("pbb.recipe_graph.graph", elsewhere)
    findings = audit(copy)
    not_checked = [f for f in findings if f.verdict == "not checked"]
    assert [f for f in findings if f.verdict == "differs"] == []
    assert all(any(w in f.check for w in ("made again", "executed", "graph")) for f in not_checked)
    assert all("cannot read 'x.jsonl'" in f.detail or "executed" in f.check for f in not_checked)
    assert sum(f.verdict == "agrees" for f in findings) > 30
    swapped_groups(copy)
    assert any("rows" in f.check for f in audit(copy, ["evaluate"]) if f.verdict == "differs")


def test_what_cannot_be_audited_is_said_in_one_line(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", str(tmp_path / "nothing")]) == 2
    assert main(["audit", str(copy), "--only", "weights"]) == 2
    (copy / "recipe.yaml").write_text("[]")
    assert main(["audit", str(copy)]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("pbb: ")]
    assert len(errors) == 3 and "programs, documents, train" in errors[1]


def test_programs_that_pbb_would_not_make_are_not_executed(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file may call any program its own."""
    path = step(copy, "programs") / "programs.jsonl"
    path.write_text(path.read_text().replace("return", "return  ", 1))
    mend(path.parent)
    monkeypatch.setattr("pbb.audit_checks.Worker", lambda: pytest.fail("a worker was started"))
    monkeypatch.setattr("pbb.evaluation.ask.worker", lambda *_: pytest.fail("a worker was started"))
    found = {f.check.rpartition(", ")[2]: f.verdict for f in audit(copy, ["programs"])}
    assert (found["made again"], found["executed"]) == ("differs", "not checked")
    audit(copy, ["evaluate"])


def test_scores_of_several_versions_are_held_against_the_one_that_is_shown(copy: Path) -> None:
    """Where the code has changed since, all score steps are looked at."""
    made = step(copy, "score")
    older = made.with_name("score-000000000000")
    shutil.copytree(made, older)
    text = (older / "scores.json").read_text() + " "
    (older / "scores.json").write_text(text)

    def shown(folder: Path) -> Finding:
        *_, last = score(Made(folder, json.loads((folder / "inputs.json").read_text()), None, ""))
        assert "beside the recipe" in last.check
        return last

    for folder in (older, made):
        assert (shown(folder).verdict, made.name in shown(folder).detail) == ("agrees", True)
    (copy / "scores.json").write_text(text + " ")
    assert shown(made).verdict == shown(older).verdict == "differs"
