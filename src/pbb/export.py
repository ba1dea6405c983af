"""A trained model with its data, as a folder of the Hugging Face hub: `pbb export RUN ARM FOLDER`.

    FOLDER/
      config.json  model.safetensors  tokenizer.json ...   as any model of the hub
      adapter/                                             beside them where a model of the hub has been through one stage, and that of LoRA
      README.md  recipe.yaml  scores.json                  the model card, with the arm's scores and intervals
      data/                                                programs, the documents of every stage, and their card
      lm-eval/                                             a task of lm-evaluation-harness for each way of asking
      inspect_task.py                                      the same for Inspect, the way of asking its parameter

The tasks put the very questions of the run, on w/o IO programs and held-out inputs, and judge by our own parser and equality, so that both and
`pbb run` give the same accuracy up to how a machine rounds (tests/end_to_end/test_export.py).

Contract: the folder is new, whole, and copies of what the run holds; nothing is trained or asked.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import Any

import yaml

from pbb import folder as folders
from pbb.errors import PbbError
from pbb.experiment import slug
from pbb.models.place import EMBEDDED
from pbb.recipe import Recipe
from pbb.recipe_file import load
from pbb.recipe_graph import readers
from pbb.runs import damaged, find_evaluation, scored

EXPORTED = Path(__file__).parent / "exported"


def export(
    run: Path, arm: str, out: Path, seed: int | None = None, tell: Callable[[str], None] = lambda line: None
) -> Path:
    """Write the folder for the first seed of an arm, or for another; returns it. `tell` takes what there is to say of it, a line each.

    Raises:
        PbbError: `out` is there already, the arm is not finished, it is the untrained model, or a step on the way to it is not whole any more.
    """
    if out.exists():
        raise PbbError(f"export: {out} is there already: name a folder that is not")
    evaluation, note = find_evaluation(run, arm, seed)
    if note:
        tell(note)
    record = folders.read_json(evaluation / "inputs.json")
    if "model" not in record["parents"]:
        raise PbbError(f"export: arm {arm} is the untrained model: choose one with stages")
    recipe = load(str(run / "recipe.yaml"))
    steps = evaluation.parent
    programs = steps / record["parents"]["programs"]
    trainings = _trainings(steps / record["parents"]["model"])
    documents = [steps / _record(training)["parents"]["documents"] for training in trainings]
    for folder in (programs, *documents):
        _whole(folder)
    start = _hub_id(_record(trainings[0])["config"])
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=out.parent) as scratch:
        made = Path(scratch) / "model"
        _copy(trainings[-1] / "model", made)
        if (trainings[-1] / "adapter").is_dir():
            if start and len(trainings) == 1:
                _adapter(trainings[-1] / "adapter", made / "adapter", start)
            else:
                tell(
                    "adapter/ is left out: what it adds to is no model of the hub, and the model has it in it"
                )
        shutil.copy(run / "recipe.yaml", made)
        results = folders.read_json(run / "scores.json")
        if isinstance(results, dict) and evaluation.name in scored(results):
            shutil.copy(run / "scores.json", made)
        elif isinstance(results, dict):
            tell(
                f"{run / 'scores.json'} is of another model of this arm and left out: `pbb run` makes it anew"
            )
            results = None
        card = _card(recipe, arm, record, results or {"scores": []}, start)
        (made / "README.md").write_text(card, encoding="utf-8")
        _data(recipe, programs, documents, made / "data")
        _tasks(recipe, programs, record, made, made / "lm-eval")
        made.rename(out)
    return out


def _record(folder: Path) -> dict[str, Any]:
    return dict(folders.read_json(folder / "inputs.json"))


def _whole(folder: Path) -> Path:
    """The folder of a step; PbbError where it is not what the step ended with, so that nothing else is handed on."""
    if folders.state(folder) != "done":
        raise damaged(folder)
    return folder


def _trainings(last: Path) -> list[Path]:
    """The trainings on the way to a model, in their order."""
    found = [_whole(last)]
    while before := _record(found[0])["parents"].get("model"):
        found.insert(0, _whole(last.parent / before))
    return found


def _hub_id(config: dict[str, Any]) -> str | None:
    """The starting model of a first training, `owner/name@revision`, where it is one of the hub: of a folder the step has a digest."""
    model = str(config["model"])
    return None if "digest" in config or model in (*EMBEDDED, "smollm2") else model


def _copy(folder: Path, to: Path) -> None:
    """A folder's files, one by one: `shutil.copytree` would gather the system's errors into one that says of none what it is."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        target = to / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)


def _adapter(folder: Path, to: Path, start: str) -> None:
    """An adapter that names its model as the hub does, not by the place where the run found it."""
    _copy(folder, to)
    (to / "README.md").unlink(missing_ok=True)  # PEFT's own, which is to be filled in
    name, _, revision = start.partition("@")
    config = folders.read_json(to / "adapter_config.json")
    config |= {"base_model_name_or_path": name, "revision": revision or None}
    folders.write_json(to / "adapter_config.json", config)


def repository(text: str) -> str:
    """The name of a repository of the hub; PbbError where it is none, before anything is made for it."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(text)
    except HFValidationError as error:
        raise PbbError(f"export: --push {text}: {' '.join(str(error).split())}") from error
    if text.count("/") != 1:
        raise PbbError(f"export: --push {text}: expected OWNER/NAME")
    return text


def push(folder: Path, repository: str, private: bool) -> str:
    """Put an exported folder on the hub as `owner/name`; its address. PbbError where that fails."""
    import httpx
    from huggingface_hub import HfApi

    try:
        api = HfApi()
        address = api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder)
    except (OSError, ValueError, httpx.HTTPError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise PbbError(
            f"export: {repository}: cannot be pushed ({reason}): `hf auth login`, see that a hub is in reach, and hand on what is written: "
            f"`hf upload {repository} {quote(str(folder))} .{' --private' if private else ''}`"
        ) from error
    return str(address)


def _read(recipe: Recipe, arm: str) -> str:
    """What an arm's stages made of the w/o IO programs' sources."""
    if recipe.wrong(arm):
        return "were read under permuted names"
    return "were read as source" if arm in readers(recipe) else "were not read"


def _card(
    recipe: Recipe, arm: str, record: dict[str, Any], results: dict[str, Any], start: str | None
) -> str:
    seed = record["config"]["seed"]
    header: dict[str, Any] = {"tags": ["programming-by-backprop"], "library_name": "transformers"}
    asked = next((ask for ask in record["config"]["evaluation"]["asks"] if ask != "recall"), "direct")
    if start:
        header["base_model"] = start.partition("@")[0]
    rows = [
        f"| {r['ask']} | {r['group']} | {100 * r['accuracy']:.1f} | {100 * r['low']:.1f} to {100 * r['high']:.1f} | {r['n']} |"
        for r in results["scores"]
        if r["arm"] == arm and r["seed"] == seed and r["split"] == "test" and r.get("accuracy") is not None
    ]
    return "\n".join(
        [
            f"---\n{yaml.safe_dump(header, sort_keys=False)}---\n",
            f"# {recipe.title}: {arm}, seed {seed}\n",
            f"{recipe.start(arm)}, trained by the stages {', '.join(recipe.arms[arm].stages)} of the recipe `recipe.yaml` (pbb {recipe.name}, "
            f"{recipe.hash()}). Programs of the group `source_only` {_read(recipe, arm)} and never executed in any document (`data/`).\n",
            "Held-out inputs:\n",
            "| asked | programs | % right | 95 % | questions |\n|---|---|---|---|---|",
            *rows,
            "\n`lm-eval/` holds the questions about the w/o IO programs (`source_only`) for lm-evaluation-harness:\n",
            "```sh\npip install 'pbb[eval]'\nlm_eval --model hf --model_args pretrained=.,dtype=float32 --include_path lm-eval "
            f"--apply_chat_template --tasks {_task(recipe, asked)}\n```\n",
            "and for Inspect:\n",
            "```sh\npip install 'pbb[eval]'\n"
            f"inspect eval inspect_task.py -T ask={asked} "
            "--model hf/this -M model_path=. -M tokenizer_path=. -M do_sample=false "
            # the template has written what a tokenizer would begin with again
            """-M tokenizer_call_args='{"add_special_tokens": false}'\n```\n""",
        ]
    )


def _data(recipe: Recipe, programs: Path, documents: list[Path], out: Path) -> None:
    """The programs, and the documents of every stage on the way to the model."""
    from pbb.card import write_card

    out.mkdir()
    files = [out / "programs.jsonl"]
    shutil.copy(programs / "programs.jsonl", files[0])
    for number, folder in enumerate(documents, 1):
        files.append(out / f"documents-{number}-{slug(_record(folder)['config']['stage'])}.jsonl")
        shutil.copy(folder / "documents.jsonl", files[-1])
    write_card(recipe.title, recipe.about, files, out, recipe.data.isolate() is None)


def _task(recipe: Recipe, ask: str) -> str:
    return f"pbb_{recipe.name}_{ask}".replace("-", "_").replace(".", "_")


def _tasks(recipe: Recipe, folder: Path, record: dict[str, Any], model: Path, out: Path) -> None:
    from pbb.evaluation.ask import token_limits
    from pbb.models.load import read_tokenizer
    from pbb.programs.program import read_programs
    from pbb.steps import put

    tokenizer = read_tokenizer(str(model), str(model))
    programs = read_programs(folder / "programs.jsonl")
    try:
        _, asked = put(record["config"], programs)
    except KeyError as error:
        raise PbbError(
            f"export: the run was made by another version of pbb (no {error}): run the recipe again"
        ) from error
    limits = token_limits(tokenizer, asked)
    rows: list[dict[str, Any]] = [
        {"ask": q.ask, "program": q.program.name, "prompt": q.prompt, "expected": repr(q.example.output)}
        | {"max_tokens": limits[q.ask]}
        for q in asked
        if q.example is not None and q.program.group == "source_only" and q.split == "test"
    ]
    out.mkdir()
    shutil.copy(EXPORTED / "score.py", out)
    shutil.copy(EXPORTED / "inspect_task.py", out.parent)
    (out / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for ask in dict.fromkeys(row["ask"] for row in rows):
        end = json.dumps(str(tokenizer.eos_token))
        (out / f"{ask}.yaml").write_text(
            f"task: {_task(recipe, ask)}\n"
            "custom_dataset: !function score.questions\n"
            f"metadata: {{version: 1.0}}\ndataset_kwargs: {{ask: {ask}}}\n"
            "test_split: test\noutput_type: generate_until\n"
            'doc_to_text: "{{prompt}}"\ndoc_to_target: "{{expected}}"\n'
            f"generation_kwargs: {{until: [{end}], max_gen_toks: {limits[ask]}, do_sample: false}}\n"
            "process_results: !function score.process_results\n"
            "metric_list:\n  - {metric: accuracy, aggregation: mean, higher_is_better: true}\n",
            encoding="utf-8",
        )
