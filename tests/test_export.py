"""What is handed on is whole, names no place of this machine, and is refused in one line before anything is written; the rest is in end_to_end."""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import PreTrainedTokenizerFast

from pbb import folder as folders
from pbb.cli import main
from pbb.experiment import as_yaml
from pbb.export import export
from pbb.graph import ordered
from pbb.models.load import encode, read_tokenizer
from pbb.programs.program import write_programs
from pbb.recipe_file import load
from pbb.recipe_graph import graph

sys.path.insert(0, str(Path(__file__).parent))

from small_recipe import SHARE, SMALL, written  # noqa: E402

Refused = Callable[..., AbstractContextManager[None]]

STAGES = {
    name: {"mix": [SHARE], "batch_size": 4, "learning_rate": rate} for name, rate in (("a", 0.1), ("b", 0.2))
}
ARMS = {"untrained": {}, "one": {"stages": ["a"]}, "two": {"stages": ["a", "b"]}}
DOCUMENT = {"program": "f", "group": "source_only", "kind": "declaration", "prompt": "f?", "completion": "f"}


def finished(out: Path, model: str, weights: Path) -> Path:
    """A run's directory, as if its recipe had been run on a model: every training has left the same weights, and an adapter."""
    (out / "recipes").mkdir(parents=True)
    recipe = load(str(written(out / "recipes", SMALL | {"stages": STAGES, "arms": ARMS, "model": model})))
    run = out / "run"
    for step in ordered(graph(recipe)):
        folder = run / "steps" / step.folder
        folder.mkdir(parents=True)
        folders.write_json(folder / "inputs.json", step.inputs_record())
        if step.kind == "programs":
            made = recipe.data.programs(0, recipe.asked(), lambda done, total, what: None)
            write_programs(made, folder / "programs.jsonl")
        elif step.kind == "documents":
            (folder / "documents.jsonl").write_text(json.dumps(DOCUMENT) + "\n")
        elif step.kind == "train":
            shutil.copytree(weights, folder / "model")
            (folder / "adapter").mkdir()
            (folder / "adapter" / "adapter_model.safetensors").write_bytes(b"weights")
            (folder / "adapter" / "README.md").write_text(f"base_model: {folder}")
            found = {"base_model_name_or_path": str(folder), "revision": None, "r": 4}
            (folder / "adapter" / "adapter_config.json").write_text(json.dumps(found))
        folders.mark_done(folder, {})
    (run / "recipe.yaml").write_text(as_yaml(recipe), encoding="utf-8")
    return run


@pytest.fixture
def run(tmp_path: Path, model_folder: Path) -> Path:
    return finished(tmp_path / "runs", "owner/model@v1", model_folder)


def step(run: Path, kind: str, number: int = 0) -> Path:
    return sorted(run.glob(f"steps/{kind}-*"))[number]


def test_an_adapter_and_its_card_name_the_model_as_the_hub_does(run: Path, tmp_path: Path) -> None:
    said: list[str] = []
    one, two = (export(run, arm, tmp_path / arm, tell=said.append) for arm in ("one", "two"))
    assert sorted(p.name for p in (one / "adapter").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    assert json.loads((one / "adapter" / "adapter_config.json").read_text()) == {
        "base_model_name_or_path": "owner/model", "revision": "v1", "r": 4
    }  # fmt: skip
    # of two stages the last one's adds to what the first one left
    assert not (two / "adapter").exists() and len(said) == 1 and said[0].startswith("adapter/ is left out")
    for folder in (one, two):
        card = (folder / "README.md").read_text()
        assert yaml.safe_load(card.split("---")[1])["base_model"] == "owner/model"
        assert "`lm-eval/` holds the questions about the w/o IO programs" in card
        texts = [p.read_bytes() for p in folder.rglob("*") if p.is_file()]
        assert not any(str(tmp_path).encode() in text for text in texts)
    assert [p.name for p in sorted((two / "data").glob("documents*"))] == [
        "documents-1-a.jsonl", "documents-2-a.jsonl"
    ]  # fmt: skip


def test_a_folder_is_no_model_of_the_hub_from_wherever_it_is_exported(
    tmp_path: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bases").mkdir()
    shutil.copytree(model_folder, tmp_path / "bases" / "m1")
    monkeypatch.chdir(tmp_path)
    run = finished(tmp_path / "runs", "bases/m1", model_folder)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    said: list[str] = []
    made = export(run, "one", tmp_path / "made", tell=said.append)
    assert "base_model" not in yaml.safe_load((made / "README.md").read_text().split("---")[1])
    assert not (made / "adapter").exists() and any("adapter/ is left out" in line for line in said)


@pytest.mark.skipif(not find_spec("inspect_ai"), reason="inspect_ai is not installed")
def test_inspect_begins_texts_once_as_the_template_does(
    model_folder: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Llama's and Gemma's tokenizers write once more what their templates begin with; by the card's command none does."""
    from inspect_ai import eval as judged
    from inspect_ai.model import get_model

    begun = Path(shutil.copytree(model_folder, tmp_path / "begun"))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer, bos_token="<|user|>", eos_token="<|end|>", pad_token="<|pad|>"
    )  # fmt: skip
    fast.save_pretrained(begun)
    (begun / "chat_template.jinja").write_text(
        "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}"
    )
    backend = json.loads((begun / "tokenizer.json").read_text())
    backend["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "<|user|>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {
            "<|user|>": {"id": "<|user|>", "ids": [fast.bos_token_id], "tokens": ["<|user|>"]}
        },
    }
    (begun / "tokenizer.json").write_text(json.dumps(backend))
    made = export(finished(tmp_path / "runs", "owner/model@v1", begun), "one", tmp_path / "made")
    (line,) = (line for line in (made / "README.md").read_text().splitlines() if "inspect eval" in line)
    options = [after.partition("=") for word, after in pairwise(shlex.split(line)) if word in ("-M", "-T")]
    said = {key: yaml.safe_load(value) for key, _, value in options}
    ask = said.pop("ask")
    monkeypatch.chdir(made)
    monkeypatch.setattr(
        "huggingface_hub.constants.HF_HUB_OFFLINE", True
    )  # it would be asked whether it has "this"
    model = get_model("hf/this", device="cpu", **said)
    read: list[list[int]] = []
    write = model.api.model.generate

    def seen(input_ids: Any, attention_mask: Any, **named: Any) -> Any:
        read.extend(ids[mask.bool()].tolist() for ids, mask in zip(input_ids, attention_mask, strict=True))
        return write(input_ids=input_ids, attention_mask=attention_mask, **named)

    monkeypatch.setattr(model.api.model, "generate", seen)
    (log,) = judged(
        "inspect_task.py",
        task_args={"ask": ask},
        model=model,
        limit=2,
        log_dir=str(tmp_path / "log"),
        display="none",
    )
    assert log.status == "success" and log.samples
    ours = encode(read_tokenizer("made", str(made)), [str(s.input) for s in log.samples])
    assert sorted(read) == sorted(ours) and {ids.count(fast.bos_token_id) for ids in ours} == {1}


@pytest.mark.parametrize("kind", ["programs", "documents", "train"])
@pytest.mark.parametrize("how", ["gone", "cut"])
def test_nothing_is_handed_on_of_a_step_that_is_not_whole(
    kind: str, how: str, run: Path, tmp_path: Path, refused: Refused
) -> None:
    """Of two trainings the first one too, which the evaluation does not name."""
    for folder in run.glob(f"steps/{kind}-*"):
        aside = folder.rename(tmp_path / "aside")
        if how == "cut":
            shutil.copytree(aside, folder)
            file = max((p for p in folder.rglob("*") if p.name != "DONE"), key=lambda p: p.stat().st_size)
            file.write_bytes(b"")
        with refused(folder.name, "not those that the step ended with", "pbb run"):
            export(run, "two", tmp_path / "made")
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)
    assert not (tmp_path / "made").exists()
    export(run, "two", tmp_path / "made")


def test_a_full_disk_is_one_line(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(source: Any, *_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source))

    monkeypatch.setattr(shutil, "copyfile", full)
    assert main(["export", str(run), "one", str(tmp_path / "out" / "made")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "No space left on device" in line and "free some space" in line
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("name", ["a b c", "owner/na me", "name", "a/b/c", "owner/-x", "/"])
def test_a_name_that_no_repository_has_is_refused_before_anything_is_written(
    name: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(run), "one", str(tmp_path / "made"), "--push", name]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"pbb: export: --push {name}: ") and not (tmp_path / "made").exists()


def test_a_push_that_failed_says_by_what_command_it_goes_on(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import huggingface_hub

    def unreachable(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", unreachable)
    made = tmp_path / "made it"
    assert main(["export", str(run), "one", str(made), "--push", "owner/name", "--private"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no network" in line and f"`hf upload owner/name '{made}' . --private`" in line
    assert (made / "README.md").is_file()
