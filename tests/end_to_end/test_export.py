"""An exported model loads, carries its data, and is judged by lm-evaluation-harness and by Inspect as it was by us."""

from __future__ import annotations

import importlib.util
import json
import shlex
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from pbb.cli import main
from pbb.export import _read, export
from pbb.models.load import load
from pbb.recipe_file import load as load_recipe
from pbb.runs import find_evaluation

Refused = Callable[..., AbstractContextManager[None]]
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def exported(finished: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub") / "model"
    assert main(["export", str(finished[0]), "proactive", str(folder)]) == 0
    return folder


def test_the_folder_is_a_model_with_its_cards_and_data(exported: Path) -> None:
    model, _ = load(str(exported))
    assert sum(p.numel() for p in model.parameters()) > 0
    card = (exported / "README.md").read_text()
    assert "`source_only` were read as source and never executed" in card
    assert "| recite | source_only |" in card and yaml.safe_load(card.split("---")[1])["tags"]
    header = yaml.safe_load((exported / "data" / "README.md").read_text().split("---")[1])
    names = [c["config_name"] for c in header["configs"]]
    assert names == ["programs", "documents-1-learn", "documents-2-read"]
    assert all((exported / "data" / f"{name}.jsonl").stat().st_size for name in names)


def test_a_card_says_what_its_arm_has_read() -> None:
    recipe = load_recipe("arithmetic")
    told = {arm: _read(recipe, arm) for arm in recipe.arms}
    assert told == {
        "untrained": "were not read",
        "stage-1-only": "were not read",
        "stage-2-only": "were read as source",
        "mixed": "were read as source",
        "wrong-source": "were read under permuted names",
        "proactive": "were read as source",
    }


def test_the_tasks_put_our_questions_and_judge_as_we_do(exported: Path, finished: tuple[Path, str]) -> None:
    evaluation, _ = find_evaluation(finished[0], "proactive")
    rows = pd.read_parquet(evaluation / "predictions.parquet")
    rows = rows[(rows.group == "source_only") & (rows.split == "test") & (rows["ask"] != "recall")]
    lines = [json.loads(line) for line in (exported / "lm-eval" / "questions.jsonl").read_text().splitlines()]
    assert sorted((q["ask"], q["prompt"]) for q in lines) == sorted(
        zip(rows["ask"], rows.prompt, strict=True)
    )
    spec = importlib.util.spec_from_file_location("score", exported / "lm-eval" / "score.py")
    assert spec and spec.loader
    score = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(score)
    for row in rows.itertuples():
        doc = {"ask": row.ask, "expected": row.expected}
        assert score.process_results(doc, [row.generation]) == {"accuracy": float(row.correct)}
        assert score.process_results(doc, [f"Answer: {row.expected}"]) == {"accuracy": 1.0}
    assert {p.stem for p in (exported / "lm-eval").glob("*.yaml")} == set(rows["ask"])


@pytest.mark.skipif(not find_spec("lm_eval"), reason="lm_eval is not installed")
def test_the_harness_gives_our_accuracy(exported: Path, finished: tuple[Path, str]) -> None:
    import lm_eval
    from lm_eval.tasks import TaskManager

    evaluation, _ = find_evaluation(finished[0], "proactive")
    rows = pd.read_parquet(evaluation / "predictions.parquet")
    rows = rows[(rows.group == "source_only") & (rows["ask"] == "direct")]
    task = yaml.safe_load((exported / "lm-eval" / "direct.yaml").read_text().replace("!function ", ""))[
        "task"
    ]
    found = lm_eval.simple_evaluate(
        model="hf",
        model_args=f"pretrained={exported},dtype=float32",
        tasks=[task],
        task_manager=TaskManager(include_path=str(exported / "lm-eval"), include_defaults=False),
        apply_chat_template=True,
        batch_size=12,
        device="cpu",
        bootstrap_iters=0,
    )
    assert found["results"][task]["accuracy,none"] == pytest.approx(rows.correct.mean(), abs=1 / len(rows))


def inspected(text: str) -> dict[str, Any]:
    """What the command for Inspect in a text says of the model."""
    (line,) = (line for line in text.splitlines() if "inspect eval" in line)
    words = shlex.split(line)
    said = [after.partition("=") for word, after in pairwise(words) if word == "-M"]
    return {key: yaml.safe_load(value) for key, _, value in said}


@pytest.mark.skipif(not find_spec("inspect_ai"), reason="inspect_ai is not installed")
@pytest.mark.parametrize("ask", ["direct", "recite"])
def test_inspect_gives_our_accuracy(
    ask: str, exported: Path, finished: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inspect_ai import eval as judged
    from inspect_ai.model import get_model

    evaluation, _ = find_evaluation(finished[0], "proactive")
    rows = pd.read_parquet(evaluation / "predictions.parquet")
    rows = rows[(rows.group == "source_only") & (rows.split == "test") & (rows["ask"] == ask)]
    command = inspected((exported / "README.md").read_text())
    assert command == inspected((DOCS / "models.md").read_text())
    monkeypatch.chdir(exported)
    monkeypatch.setattr(
        "huggingface_hub.constants.HF_HUB_OFFLINE", True
    )  # it would be asked whether it has "this"
    (log,) = judged(
        "inspect_task.py",
        task_args={"ask": ask},
        model=get_model("hf/this", device="cpu", **command),
        log_dir=str(tmp_path),
        display="none",
    )
    assert log.status == "success" and log.samples and len(log.samples) == len(rows)
    texts = dict(zip(rows.prompt, rows.generation, strict=True))
    same = sum(texts[str(s.input)] == s.output.completion for s in log.samples)
    assert same >= len(rows) - 1  # products of other shapes round otherwise
    assert log.results
    found = log.results.scores[0].metrics["accuracy"].value
    assert found == pytest.approx(rows.correct.mean(), abs=1 / len(rows))


def test_scores_of_another_model_are_not_given_to_this_one(
    finished: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after an update of pbb that a run was stopped in; and a stage's name may be no name of a file."""
    run = tmp_path / "run"
    shutil.copytree(finished[0], run, symlinks=True)
    evaluation, _ = find_evaluation(run, "proactive")
    scores = json.loads((run / "scores.json").read_text())
    for step in scores["cost"]["steps"]:
        step["step"] = step["step"].replace(evaluation.name, "evaluate-0123")
    (run / "scores.json").write_text(json.dumps(scores))
    assert main(["export", str(run), "proactive", str(tmp_path / "model")]) == 0
    assert f"{run / 'scores.json'} is of another model of this arm and left out" in capsys.readouterr().err
    assert not (tmp_path / "model" / "scores.json").exists()
    assert "| recite | source_only |" not in (tmp_path / "model" / "README.md").read_text()


def test_what_cannot_be_exported_is_refused(
    exported: Path, finished: tuple[Path, str], tmp_path: Path, refused: Refused
) -> None:
    with refused("export", "there already"):
        export(finished[0], "proactive", exported)
    with refused("untrained"):
        export(finished[0], "untrained", tmp_path / "new")
    with refused("no arm 'none'"):
        export(finished[0], "none", tmp_path / "new")
    assert list(tmp_path.iterdir()) == []
    copy = tmp_path / "run"
    shutil.copytree(finished[0], copy, symlinks=True)
    for folder in copy.glob("steps/train-*"):
        shutil.rmtree(folder)
    with refused("train-", "not those that the step ended with", "pbb run"):
        export(copy, "proactive", tmp_path / "new")
