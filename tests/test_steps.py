"""A step reads what its recipe says, and leaves to the machine what the recipe leaves open."""

from __future__ import annotations

import json
import random
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import pbb.models.load
from pbb.documents.corpus import write_documents
from pbb.documents.render import declaration, templates
from pbb.errors import PbbError
from pbb.evaluation import sample
from pbb.graph import Step
from pbb.models.decode import decode
from pbb.models.vllm import Vllm
from pbb.programs.program import Program, read_programs, write_programs
from pbb.progress import Progress
from pbb.recipe_file import load
from pbb.recipe_graph import graph
from pbb.steps import evaluate, join_documents, make_documents, make_programs, train


def trained(programs: list[Program], model: Path, folder: Path, **said: Any) -> list[float]:
    """Losses of a small training by the step's function."""
    drawn = random.Random(0)
    documents = [declaration(p, templates("arithmetic"), drawn) for p in programs for _ in range(2)]
    given, out = folder / "given", folder / "out"
    given.mkdir(parents=True)
    out.mkdir()
    write_documents(documents, given / "documents.jsonl")
    (given / "counts.json").write_text("{}")
    settings = {"batch_size": 4, "seed": 0} | said
    train({"settings": settings, "model": str(model)}, {"documents": given}, out, Progress())
    return [json.loads(line)["loss"] for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_products_are_in_bfloat16_where_that_pays_and_the_recipe_does_not_say_otherwise(
    programs: list[Program], model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(name: str, **said: Any) -> list[float]:
        return trained(programs[:8], model_folder, tmp_path / name, **said)

    exact = run("exact", bf16=False)
    rounded = run("rounded", bf16=True)
    assert exact != rounded == pytest.approx(exact, rel=0.02)
    monkeypatch.setattr(pbb.models.load, "autocast_pays", lambda: True)
    assert run("unsaid") == rounded
    assert run("said otherwise", bf16=False) == exact
    monkeypatch.setattr(pbb.models.load, "autocast_pays", lambda: False)
    assert run("does-not-pay") == exact


def test_documents_are_joined_alike_in_whatever_order_their_stages_are_named(
    programs: list[Program], tmp_path: Path
) -> None:
    drawn = random.Random(0)
    for place, name in enumerate(("learn", "read")):
        (tmp_path / name).mkdir()
        some = [declaration(p, templates("arithmetic"), drawn) for p in programs[4 * place : 4 * place + 4]]
        write_documents(some, tmp_path / name / "documents.jsonl")

    def joined(*names: str) -> bytes:
        out = tmp_path / "-".join(names) / "out"
        out.mkdir(parents=True)
        parents = {name: tmp_path / name for name in names}
        join_documents({"stage": "together", "seed": 0}, parents, out, Progress())
        return (out / "documents.jsonl").read_bytes()

    assert joined("learn", "read") == joined("read", "learn")


@pytest.mark.parametrize("form", ["columns", "messages", "folder"])
def test_a_chat_that_calls_a_program_is_refused_with_its_line(
    form: str, programs: list[Program], tmp_path: Path
) -> None:
    """Before anything is trained on it; one that was not drawn is not looked at."""
    name = next(p.name for p in programs if p.group == "source_only")
    chats = [
        ("What is 2 + 2?", "4"),
        ("And\nthen?", "5"),
        (f"What does it give for 3?\nI mean {name}.", "13"),
    ]
    rows: list[dict[str, Any]] = [{"prompt": p, "completion": c} for p, c in chats]
    if form == "messages":
        said = [("system", "Be brief."), ("user", ""), ("assistant", "")]
        rows = [
            {"messages": [{"role": r, "content": {"user": p, "assistant": c}.get(r, t)} for r, t in said]}
            for p, c in chats
        ]
    path = tmp_path / ("set/train.jsonl" if form == "folder" else "chats.jsonl")
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    given = path.parent if form == "folder" else path
    write_programs(programs, tmp_path / "programs.jsonl")

    def made(count: int) -> None:
        mix = [
            {"kind": "declaration", "group": "source_only", "per_program": 1},
            {"kind": "chat", "path": str(given), "count": count},
        ]
        config = {"mix": mix, "phrasings": "arithmetic", "templates": {"prompt": 20, "response": 20}}
        make_documents(config | {"stage": "read", "seed": 0}, {"programs": tmp_path}, tmp_path, Progress())

    where = given if form == "folder" else f"{path}:3"
    with pytest.raises(
        PbbError,
        match=f"^chats: {where}: .*I mean {name}.' is a chat that names {name}, .*take that chat out$",
    ):
        made(3)
    assert not (tmp_path / "documents.jsonl").exists()
    path.write_text("\n".join(map(json.dumps, rows[:2])) + "\n")
    made(2)
    assert (tmp_path / "documents.jsonl").exists()


@pytest.mark.parametrize(("said", "on_gpu"), [({}, True), ({"fsdp": True}, False)])
def test_a_model_whose_weights_are_shared_out_is_not_put_whole_on_any_gpu(
    said: dict[str, Any],
    on_gpu: bool,
    programs: list[Program],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Loaded(Exception):
        pass

    def load(name: str, *, on_gpu: bool) -> None:
        raise Loaded(on_gpu)

    monkeypatch.setattr(pbb.models.load, "load", load)
    with pytest.raises(Loaded, match=str(on_gpu)):
        trained(programs[:1], tmp_path, tmp_path / "work", **said)


def test_answers_by_vllm_are_asked_and_judged_as_those_of_the_decoder(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Engine(Vllm):
        """Stands in for vLLM, which wants a GPU."""

        def __init__(self, folder: str) -> None:
            self.engine = pbb.models.load.load(folder)[0]

        def write(self, prompts: Any, **asked: Any) -> list[tuple[list[int], bool]]:
            return [(g.tokens, g.finished) for g in decode(self.engine, prompts, pad=0, **asked)]

    def made(step: Step, **inputs: Path) -> Path:
        out = tmp_path / step.folder
        out.mkdir(exist_ok=True)
        module, name = step.function.split(":")
        getattr(import_module(module), name)(step.config, inputs, out, Progress())
        return out

    monkeypatch.setattr("pbb.models.vllm.Vllm", Engine)
    small = [
        "data.io=4",
        "data.source_only=2",
        "evaluation.calls=1",
        "evaluation.direct_calls=1",
        "evaluation.asks=[trace]",
    ]
    found = []
    for by in ("false", "true"):
        recipe = load("arithmetic", [*small, f"evaluation.vllm={by}"], model=str(model_folder))
        steps = {step.label: step for step in graph(recipe)}
        programs = made(steps["programs, seed 0"])
        asked = made(steps["evaluate untrained, seed 0"], programs=programs)
        found.append(pd.read_parquet(asked / "predictions.parquet"))
    assert len(found[0]) and (found[0]["tokens"] > 0).any()
    pd.testing.assert_frame_equal(*found)


def test_what_is_sampled_is_asked_in_the_one_phrasing_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load(
        "grammars", ["data.io=4", "data.source_only=2", "evaluation.phrasing=5", "evaluation.samples=6"]
    )
    steps = {step.label: step for step in graph(recipe)}
    folder = tmp_path / "programs"
    folder.mkdir()
    make_programs(steps["programs, seed 0"].config, {}, folder, Progress())
    prompts: list[str] = []

    def written(
        model: object, tokenizer: object, some: Any, count: int, phrasings: Any, **_: Any
    ) -> pd.DataFrame:
        prompts.extend(sample.asked(some, count, phrasings)[1])
        return pd.DataFrame()

    monkeypatch.setattr("pbb.models.load.load", lambda name: (None, None))
    monkeypatch.setattr("pbb.evaluation.ask.ask", lambda *_, **__: pd.DataFrame())
    monkeypatch.setattr(sample, "sample", written)
    evaluate(steps["evaluate untrained, seed 0"].config, {"programs": folder}, tmp_path, Progress())
    names = [p.entry for p in read_programs(folder / "programs.jsonl")]
    shapes = {next(prompt.replace(name, "F") for name in names if name in prompt) for prompt in prompts}
    assert len(prompts) == 6 * len(names) and len({shape.split("F(")[0] for shape in shapes}) == 1
