"""The steps of an experiment: the one place where the rooms are joined.

    programs ─> documents (a stage) ─> train (a chain of stages) ─> evaluate (an arm) ─> score ─> report

Each function reads the files of its parents and writes its own; any of them can be called by hand on such files.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pbb.errors import PbbError
from pbb.graph import Step
from pbb.models.place import EMBEDDED

if TYPE_CHECKING:
    from pbb.evaluation.ask import Question
    from pbb.programs.program import Program
    from pbb.progress import Progress
    from pbb.recipe import Recipe

PROGRAMS = tuple(
    f"pbb.programs.{name}"
    for name in ("program", "family", "names", "sandbox", "sandbox_worker", "isolation", "isolation_worker")
)
DOCUMENTS = (
    "pbb.programs.program",
    "pbb.documents.render",
    "pbb.documents.corpus",
    "pbb.documents.chats",
    "pbb.documents.templates",
)
LOAD = tuple(f"pbb.models.{name}" for name in ("load", "fitness", "place", "cache", "smollm2", "gguf", "hub"))
SFT = (*(f"pbb.training.{name}" for name in ("sft", "loop", "adapter", "checkpoint", "muon")), *LOAD)
DECODE = ("pbb.models.decode", "pbb.models.direct", "pbb.models.plain")
GRPO = (*DOCUMENTS, "pbb.training", *LOAD, *DECODE, "pbb.evaluation.answer", "pbb.reward")
EVALUATE = (*DOCUMENTS, *LOAD, *DECODE, "pbb.evaluation.ask", "pbb.evaluation.answer")
LANGUAGE = ("pbb.evaluation.language", "pbb.evaluation.statistics", "pbb.programs.grammar")
SCORE = (
    *(f"pbb.evaluation.{name}" for name in ("score", "statistics", "hypotheses", "diagnosis", "composition")),
    *LANGUAGE,
)
UNREAD = "skip-exposure"
ALL = 1 << 10  # cores: a model too large to train beside another one
# What steps took on one of two cores (an LLM: on both), until this machine has shown what they take here.
SECONDS_A_DOCUMENT = {"base": 0.0115, "base-strings": 0.03, "smollm2": 0.35}
SECONDS_A_ROLLOUT = {"base": 0.015, "base-strings": 0.03, "smollm2": 1.5}
SECONDS_A_QUESTION = {"base": 0.004, "base-strings": 0.013, "smollm2": 0.15}


def graph(recipe: Recipe) -> list[Step]:
    """All steps of a recipe, parents first; arms that share a chain of stages share its training."""
    steps: list[Step] = []
    evaluations: dict[str, Step] = {}
    trainings: dict[str, Step] = {}
    identity = _identity(recipe.model)
    digest = recipe.data.digest()
    for seed in recipe.seeds:
        programs = Step(
            kind="programs",
            label=f"programs, seed {seed}",
            config={
                "data": recipe.data.model_dump(mode="json"),
                "asked": recipe.asked(),
                "seed": seed,
                **({"digest": digest} if digest else {}),
            },
            parents={},
            function="pbb.steps:make_programs",
            code=(*PROGRAMS, *recipe.data.code),
            expected_seconds=3,
        )
        documents = {
            name: _documents(recipe, name, seed, programs) for name, s in recipe.stages.items() if s.drawn
        }
        for name, s in recipe.stages.items():
            if not s.drawn:
                documents[name] = Step(
                    kind="documents",
                    label=f"documents {name}, seed {seed}",
                    config={"stage": name, "seed": seed},
                    parents={other: documents[other] for other in s.of},
                    function="pbb.steps:join_documents",
                    code=DOCUMENTS,
                    expected_seconds=2,
                )
        chains: dict[tuple[str, ...], Step] = {}
        for arm_name, arm in recipe.arms.items():
            model: Step | None = None
            for length in range(1, len(arm.stages) + 1):
                chain = tuple(arm.stages[:length])
                if chain not in chains:
                    chains[chain] = _training(recipe, chain, seed, documents[chain[-1]], model, identity)
                    trainings[f"{' + '.join(chain)}, seed {seed}"] = chains[chain]
                model = chains[chain]
            evaluations[f"{arm_name}-{seed}"] = _evaluation(recipe, arm_name, seed, programs, model, identity)
        steps += [programs, *documents.values(), *chains.values()]
    steps += evaluations.values()
    score = Step(
        kind="score",
        label="score",
        config={
            "recipe": recipe.name,
            "trainings": {f"train {i}": label for i, label in enumerate(trainings)},
            **_control(recipe),
            **({"hypotheses": [h.model_dump() for h in recipe.hypotheses]} if recipe.hypotheses else {}),
        },
        parents={
            **{f"evaluate {k}": s for k, s in evaluations.items()},
            **{f"train {i}": s for i, s in enumerate(trainings.values())},
        },
        function="pbb.steps:make_scores",
        code=SCORE,
        expected_seconds=10,
    )
    report = Step(
        kind="report",
        label="report",
        config={
            "recipe": recipe.resolved(),
            "trainings": score.config["trainings"],
            "command": command(recipe),
        },
        parents={"score": score, **score.parents},
        function="pbb.steps:make_report",
        code=("pbb.report",),
        expected_seconds=8,
    )
    return [*steps, score, report]


def command(recipe: Recipe) -> str:
    """The command line that makes this recipe's run again (with its overrides, where there were any: see recipe.yaml)."""
    model = "" if recipe.model == "base" else f" --model {recipe.model}"
    seeds = "" if recipe.seeds == [0] else f" --seeds {len(recipe.seeds)}"
    launch = f" --launch {'fsdp' if recipe.fsdp else 'torchrun'} --processes {recipe.processes}"
    return f"pbb run {recipe.name}{model}{seeds}{launch if recipe.processes > 1 else ''}"


def _control(recipe: Recipe) -> dict[str, str]:
    """The arm that never read the w/o IO programs, below which a PBB ratio is 0, where it is not `stage-1-only`."""
    return {"control": UNREAD} if "stage-1-only" not in recipe.arms and UNREAD in recipe.arms else {}


def _documents(recipe: Recipe, stage: str, seed: int, programs: Step) -> Step:
    from pbb.documents.chats import Chat, digest

    stage = recipe.source(stage)
    mix = [part.model_dump(mode="json") for part in recipe.mix(stage)]
    chats = {part.path: digest(part) for part in recipe.mix(stage) if isinstance(part, Chat)}
    return Step(
        kind="documents",
        label=f"documents {stage}, seed {seed}",
        config={
            "stage": stage,
            "mix": mix,
            "templates": (recipe.stages[stage].templates or recipe.templates).model_dump(),
            "phrasings": recipe.data.templates,
            "seed": seed,
            **({"chats": chats} if chats else {}),
        },
        parents={"programs": programs},
        function="pbb.steps:make_documents",
        code=DOCUMENTS,
        expected_seconds=5,
    )


def _training(
    recipe: Recipe,
    chain: tuple[str, ...],
    seed: int,
    documents: Step,
    model: Step | None,
    identity: dict[str, str],
) -> Step:
    stage = recipe.stages[chain[-1]]
    unused = {"mix", "of", "method", "templates", "exposures", "programs", "represent"} | (
        {"batch_size"} if stage.grpo else set()
    )
    settings = stage.model_dump(mode="json", exclude=unused) | {"seed": seed}
    processes = 1 if stage.grpo else recipe.processes
    if processes > 1:  # sums of floats in another order: not the outcome of one process, bit for bit
        settings |= {"processes": processes} | ({"fsdp": True} if recipe.fsdp else {})
    size = recipe.documents(chain[-1])
    seconds = size * SECONDS_A_DOCUMENT.get(recipe.model, 0.35)
    if stage.grpo:
        rollouts = stage.grpo.shown(math.ceil(size)) * stage.grpo.group_size
        seconds = rollouts * SECONDS_A_ROLLOUT.get(recipe.model, 1.5)
    return Step(
        kind="train",
        label=f"train {' + '.join(chain)}, seed {seed}",
        config={"settings": settings, **({} if model else identity)},
        parents={"documents": documents, **({"model": model} if model else {})},
        function="pbb.steps:train",
        code=GRPO if stage.grpo else SFT,
        cores=processes if recipe.model in EMBEDDED else ALL,
        processes=processes,
        expected_seconds=2 + seconds / processes,
    )


def _evaluation(
    recipe: Recipe, arm: str, seed: int, programs: Step, model: Step | None, identity: dict[str, str]
) -> Step:
    e = recipe.evaluation
    shown = recipe.shown(arm)
    return Step(
        kind="evaluate",
        label=f"evaluate {arm}, seed {seed}",
        config={
            "arm": arm,
            "seed": seed,
            "evaluation": e.model_dump(mode="json"),
            "templates": recipe.templates.model_dump(),
            "phrasings": recipe.data.templates,
            "represent": recipe.arms[arm].represent or recipe.represent,
            "planted": recipe.wrong(arm),
            "splits": {g: recipe.splits(g) for g in recipe.groups()},
            **({"shown": shown} if shown else {}),
            **({} if recipe.data.isolate() is None else {"isolate": recipe.data.isolate()}),
            **({} if model else identity),
        },
        parents={"programs": programs, **({"model": model} if model else {})},
        function="pbb.steps:evaluate",
        code=(*EVALUATE, *LANGUAGE, "pbb.evaluation.sample") if e.samples else EVALUATE,
        expected_seconds=2 + recipe.questions(arm) * SECONDS_A_QUESTION.get(recipe.model, 0.15),
    )


def _identity(model: str) -> dict[str, str]:
    """What names a starting model in a step's hash: its name, and for a folder the bytes of its weights."""
    from pbb.models import place

    folder = place.local(model)
    if folder is None:
        return {"model": model}
    digest = hashlib.sha256()
    for path in [folder] if folder.is_file() else sorted(folder.glob("*")):
        if path.suffix in (".safetensors", ".json", ".gguf"):
            digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return {"model": model, "digest": digest.hexdigest()[:16]}


def make_programs(config: dict[str, Any], inputs: dict[str, Path], out: Path, progress: Progress) -> None:
    """Draw the program set and hold every example against real execution of its source; writes programs.jsonl."""
    from pbb.programs.families import FAMILIES
    from pbb.programs.program import write_programs

    data = FAMILIES[config["data"]["family"]].model_validate(config["data"])
    write_programs(data.programs(config["seed"], config["asked"], progress), out / "programs.jsonl")


def make_documents(config: dict[str, Any], inputs: dict[str, Path], out: Path, progress: Progress) -> None:
    """Render a stage's mix; writes documents.jsonl and counts.json (documents a program, by group and kind)."""
    from pbb.documents.chats import Chat
    from pbb.documents.corpus import Share, stage_documents
    from pbb.documents.render import templates
    from pbb.programs.program import read_programs

    mix = [(Chat if s["kind"] == "chat" else Share).model_validate(s) for s in config["mix"]]
    phrasings = templates(config["phrasings"]).cut(**config["templates"])
    programs = read_programs(inputs["programs"] / "programs.jsonl")
    _write_documents(
        stage_documents(programs, mix, phrasings, stage=config["stage"], seed=config["seed"]), out
    )


def join_documents(config: dict[str, Any], inputs: dict[str, Path], out: Path, progress: Progress) -> None:
    """All documents of other stages, shuffled into one."""
    import random

    from pbb.documents.corpus import read_documents

    documents = [d for folder in inputs.values() for d in read_documents(folder / "documents.jsonl")]
    random.Random(f"join:{config['seed']}:{config['stage']}").shuffle(documents)
    _write_documents(documents, out)


def _write_documents(documents: list[Any], out: Path) -> None:
    from pbb.documents.corpus import write_documents

    write_documents(documents, out / "documents.jsonl")
    programs = {g: len({d.program for d in documents if d.group == g}) for g in {d.group for d in documents}}
    kinds = Counter((d.group, d.kind) for d in documents)
    counts = {f"{g} {k}": round(n / programs[g], 2) for (g, k), n in sorted(kinds.items())}
    (out / "counts.json").write_text(json.dumps(counts), encoding="utf-8")


def train(config: dict[str, Any], inputs: dict[str, Path], out: Path, progress: Progress) -> None:
    """One stage from the parent's model (or the recipe's), by GRPO where the settings hold its dials, else by SFT.

    Where the settings say processes, each of them calls this, and the first one writes.

    Writes model/, metrics.jsonl and training.json; GRPO rollouts.jsonl and strangest.jsonl besides.
    """
    from accelerate import PartialState

    from pbb.documents.corpus import read_documents
    from pbb.models.load import encode, encode_pairs, load
    from pbb.training.loop import Settings

    documents = read_documents(inputs["documents"] / "documents.jsonl")
    model, tokenizer = load(str(inputs["model"] / "model") if "model" in inputs else config["model"])
    counts = json.loads((inputs["documents"] / "counts.json").read_text(encoding="utf-8"))
    settings = Settings.model_validate({k: v for k, v in config["settings"].items() if k != "grpo"})
    prompts = [d.prompt for d in documents]
    if "grpo" not in config["settings"]:
        from pbb.training.sft import sft

        pairs = encode_pairs(tokenizer, prompts, [d.completion for d in documents])
        measured = sft(model, tokenizer, pairs, settings, out, progress)
    else:
        from pbb.models.decode import decode
        from pbb.reward import rewards
        from pbb.training.grpo import grpo
        from pbb.training.rollouts import Grpo

        dials = Grpo.model_validate(config["settings"]["grpo"])
        reward = rewards(documents, dials.format_share)
        asked = encode(tokenizer, prompts)
        measured = grpo(model, tokenizer, asked, decode, reward, settings, dials, out, progress)
        share = measured["prompts"] / len(documents)
        counts = {k.replace("execution", "prompt"): round(n * share, 2) for k, n in counts.items()}
    if PartialState().is_main_process:
        (out / "training.json").write_text(json.dumps(measured | {"exposures": counts}), encoding="utf-8")


def put(config: dict[str, Any], programs: list[Program]) -> tuple[list[Program], list[Question]]:
    """The programs that an evaluation asks about (of those that its arm was shown), and all that it asks of them."""
    import random

    from pbb.documents.render import templates
    from pbb.evaluation.ask import questions

    order = ("source_only", "io", "source_only_composed", "io_composed")
    shown = config.get("shown", {})
    of_group = {
        g: [p for p in programs if p.group == g][: shown.get(g)] for g in order if g in config["splits"]
    }
    e = config["evaluation"]
    rng = random.Random(f"evaluated:{config['seed']}")
    of_group["io"] = rng.sample(of_group["io"], min(e["io_programs"], len(of_group["io"])))
    if composed := of_group.get("io_composed"):
        # beside every composite its parts, so that it can be held against them
        composed = of_group["io_composed"] = rng.sample(composed, min(e["io_programs"], len(composed)))
        parts = {q.name: q for p in composed for q in p.parts}
        of_group["io"] = list(parts.values())
    phrasings = templates(config["phrasings"]).cut(**config["templates"])
    asked = [
        q
        for group, chosen in of_group.items()
        for ways, calls in (
            ([a for a in e["asks"] if a.endswith("direct")], e["direct_calls"]),
            ([a for a in e["asks"] if not a.endswith("direct")], e["calls"]),
        )
        for q in questions(chosen, ways, config["splits"][group], calls, phrasings, config["represent"])
    ]
    return [p for chosen in of_group.values() for p in chosen], asked


def evaluate(config: dict[str, Any], inputs: dict[str, Path], out: Path, progress: Progress) -> None:
    """Put all questions of the recipe to one arm's model; writes predictions.parquet."""
    from pbb.documents.corpus import planted
    from pbb.documents.render import templates
    from pbb.evaluation.ask import ask
    from pbb.models.load import load
    from pbb.programs.program import read_programs

    programs = read_programs(inputs["programs"] / "programs.jsonl")
    chosen, asked = put(config, programs)
    e, phrasings = config["evaluation"], templates(config["phrasings"]).cut(**config["templates"])
    model, tokenizer = load(str(inputs["model"] / "model") if "model" in inputs else config["model"])
    swapped = planted(programs, config["seed"]) if config["planted"] else None
    who: Any = {"arm": config["arm"], "seed": config["seed"], "planted": swapped}
    pace: Any = {"batch_size": e["batch_size"], "report": progress}
    frame = ask(
        model,
        tokenizer,
        asked,
        representation=config["represent"],
        isolate=config.get("isolate"),
        **who,
        **pace,
    )
    if "samples" in e:
        import pandas as pd

        from pbb.evaluation.sample import sample

        made_up = sample(model, tokenizer, chosen, e["samples"], phrasings, **who, **pace)
        frame = pd.concat([frame, made_up], ignore_index=True)
    temporary = out / "predictions.tmp"
    frame.to_parquet(temporary, index=False)
    temporary.replace(out / "predictions.parquet")


def make_scores(config: dict[str, Any], inputs: dict[str, Path], out: Path, progress: Progress) -> None:
    """All measures, the diagnosis and the cost; writes scores.json."""
    import pandas as pd

    from pbb.evaluation.composition import compositions
    from pbb.evaluation.diagnosis import diagnose
    from pbb.evaluation.language import languages
    from pbb.evaluation.score import score, write

    frames = [
        pd.read_parquet(p / "predictions.parquet") for k, p in inputs.items() if k.startswith("evaluate ")
    ]
    given = {key: config[key] for key in ("control", "hypotheses") if key in config}
    predictions = pd.concat(frames, ignore_index=True)
    scores = score(predictions, recipe=config["recipe"], **given)
    scores["diagnosis"] = diagnose(scores)
    if found := languages(predictions):
        scores["languages"] = found
    if composed := compositions(predictions):
        scores["compositions"] = composed
    rows = [_cost(key, folder, config["trainings"].get(key, key)) for key, folder in inputs.items()]
    scores["cost"] = {
        "seconds": round(sum(r["seconds"] for r in rows), 1),
        "tokens": sum(r.get("tokens", 0) for r in rows),
        "peak_bytes": max(r["peak_bytes"] for r in rows),
        "steps": rows,
    }
    write(scores, out / "scores.json")


def _cost(key: str, folder: Path, label: str) -> dict[str, Any]:
    """Time, memory, tokens and exposures of one step, from what it wrote."""
    done = json.loads((folder / "DONE").read_text(encoding="utf-8"))
    row = {
        "step": folder.name,
        "kind": folder.name.split("-")[0],
        "label": label.removeprefix("evaluate "),
        "seconds": round(done["seconds"], 1),
        "peak_bytes": done["peak_bytes"],
    }
    path = folder / "training.json"
    if path.exists():
        measured = json.loads(path.read_text(encoding="utf-8"))
        row |= {k: measured[k] for k in ("tokens", "optimizer_steps", "exposures")}
    return row


def make_report(config: dict[str, Any], inputs: dict[str, Path], out: Path, progress: Progress) -> None:
    """report.html and figures/ from what the other steps wrote."""
    from pbb.report.page import write_report

    run = out.parent.parent
    try:
        environment = json.loads((run / "environment.json").read_text(encoding="utf-8"))
    except OSError:
        environment = {}
    except ValueError as e:
        raise PbbError(f"environment: {run / 'environment.json'} is damaged: delete it and run again") from e
    write_report(
        inputs["score"] / "scores.json",
        [folder / "predictions.parquet" for key, folder in inputs.items() if key.startswith("evaluate ")],
        {label: inputs[key] / "metrics.jsonl" for key, label in config["trainings"].items()},
        config["recipe"],
        environment,
        out,
        config["command"],
    )
