"""What the steps of an experiment do: the one place where the rooms are joined. Which there are says `pbb.recipe_graph`.

Each function reads the files of its parents and writes its own; any of them can be called by hand on such files.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pbb.errors import PbbError

if TYPE_CHECKING:
    from pbb.documents.chats import Chat
    from pbb.documents.render import Document
    from pbb.evaluation.ask import Question
    from pbb.programs.program import Program
    from pbb.progress import Progress


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
    documents = stage_documents(programs, mix, phrasings, stage=config["stage"], seed=config["seed"])
    _refuse_chats([s for s in mix if isinstance(s, Chat)], programs, documents)
    _write_documents(documents, out)


def _refuse_chats(chats: list[Chat], programs: list[Program], documents: list[Document]) -> None:
    """Raises PbbError where a chat tells of one of the programs. What it rests on is in no hash: it refuses, and changes no byte."""
    from pbb.documents.chats import place
    from pbb.documents.leaks import leaks

    told = [d for d in documents if d.kind == "chat"]
    for number, fault in leaks(programs, (d.model_dump_json().encode() for d in told)):
        d = told[number - 1]
        where = next(filter(None, (place(chat, d) for chat in chats)), "")
        raise PbbError(
            f"chats: {where or ', '.join(chat.path for chat in chats)}: {' '.join(d.prompt.split())[:80]!r} {fault}, "
            "a program of this recipe: take that chat out"
        )


def join_documents(config: dict[str, Any], inputs: dict[str, Path], out: Path, progress: Progress) -> None:
    """All documents of other stages, shuffled into one."""
    import random

    from pbb.documents.corpus import read_documents

    documents = [
        d for _, folder in sorted(inputs.items()) for d in read_documents(folder / "documents.jsonl")
    ]
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
    """One stage from the parent's model (or the recipe's), by GRPO or DPO where the settings hold its dials, else by SFT.

    Where the settings say processes, each of them calls this, and the first one writes.

    Writes model/, metrics.jsonl and training.json; GRPO rollouts.jsonl and strangest.jsonl besides, DPO pairs.jsonl, drawn.json and strangest.jsonl.
    """
    from accelerate import PartialState

    from pbb.documents.corpus import read_documents
    from pbb.models.load import autocast_pays, encode, encode_pairs, load
    from pbb.training.checkpoint import replace
    from pbb.training.loop import Settings

    documents = read_documents(inputs["documents"] / "documents.jsonl")
    start = str(inputs["model"] / "model") if "model" in inputs else config["model"]
    # FSDP is there for models that no GPU holds whole, and takes its shares to the GPUs itself.
    model, tokenizer = load(start, on_gpu=not config["settings"].get("fsdp"))
    counts = json.loads((inputs["documents"] / "counts.json").read_text(encoding="utf-8"))
    verified = {"grpo", "dpo"} & set(config["settings"])
    said = {k: v for k, v in config["settings"].items() if k not in verified}
    settings = Settings.model_validate({"bf16": not verified and autocast_pays()} | said)
    prompts = [d.prompt for d in documents]
    if not verified:
        from pbb.training.sft import sft

        pairs = encode_pairs(tokenizer, prompts, [d.completion for d in documents])
        measured = sft(model, tokenizer, pairs, settings, out, progress)
    else:
        from pbb.models.decode import decode
        from pbb.reward import rewards
        from pbb.training.dpo import dpo
        from pbb.training.grpo import grpo
        from pbb.training.pairs import Dpo
        from pbb.training.rollouts import Grpo

        asked = encode(tokenizer, prompts)
        if "grpo" in verified:
            dials = Grpo.model_validate(config["settings"]["grpo"])
            reward = rewards(documents, dials.format_share)
            measured = grpo(model, tokenizer, asked, decode, reward, settings, dials, out, progress)
        else:
            pairing = Dpo.model_validate(config["settings"]["dpo"])
            reward = rewards(documents, pairing.format_share)
            measured = dpo(model, tokenizer, asked, decode, reward, settings, pairing, out, progress)
        share = measured["prompts"] / len(documents)
        counts = {k.replace("execution", "prompt"): round(n * share, 2) for k, n in counts.items()}
    if PartialState().is_main_process:
        replace(out / "training.json", json.dumps(measured | {"exposures": counts}))


def _some(programs: list[Program], some: Any) -> list[Program]:
    from pbb.documents.corpus import span

    return [programs[place] for place in span(tuple(some) if isinstance(some, list) else some, len(programs))]


def put(config: dict[str, Any], programs: list[Program]) -> tuple[list[Program], list[Question]]:
    """The programs that an evaluation asks about (of those that its arm was shown), and all that it asks of them."""
    import random

    from pbb.evaluation.ask import questions
    from pbb.evaluation.phrasing import asked_in

    order = ("source_only", "io", "source_only_composed", "io_composed")
    shown = config.get("shown", {})
    of_group = {
        g: _some([p for p in programs if p.group == g], shown.get(g)) for g in order if g in config["splits"]
    }
    e = config["evaluation"]
    rng = random.Random(f"evaluated:{config['seed']}")
    of_group["io"] = rng.sample(of_group["io"], min(e["io_programs"], len(of_group["io"])))
    if composed := of_group.get("io_composed"):
        # beside every composite its parts, so that it can be held against them
        composed = of_group["io_composed"] = rng.sample(composed, min(e["io_programs"], len(composed)))
        parts = {q.name: q for p in composed for q in p.parts}
        of_group["io"] = list(parts.values())
    phrasings = asked_in(config)
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
    from pbb.evaluation.ask import ask
    from pbb.evaluation.phrasing import asked_in
    from pbb.models.load import load, read_tokenizer
    from pbb.models.place import folder
    from pbb.models.vllm import Vllm
    from pbb.programs.program import read_programs

    programs = read_programs(inputs["programs"] / "programs.jsonl")
    chosen, asked = put(config, programs)
    e = config["evaluation"]
    name = str(inputs["model"] / "model") if "model" in inputs else config["model"]
    model: Any
    if e.get("vllm"):
        source = str(folder(name))
        model, tokenizer = Vllm(source), read_tokenizer(name, source)
    else:
        model, tokenizer = load(name)
    swapped = planted(programs, config["seed"]) if config["planted"] else None
    who: Any = {"arm": config["arm"], "seed": config["seed"], "planted": swapped}
    pace: Any = {"batch_size": e["batch_size"], "report": progress}
    frame = ask(
        model,
        tokenizer,
        asked,
        representation=config["represent"],
        isolate=config.get("isolate"),
        **e.get("sampled", {}),
        **who,
        **pace,
    )
    if "samples" in e:
        import pandas as pd

        from pbb.evaluation.sample import sample

        made_up = sample(model, tokenizer, chosen, e["samples"], asked_in(config), **who, **pace)
        frame = pd.concat([frame, made_up], ignore_index=True)
    temporary = out / "predictions.tmp"
    frame.to_parquet(temporary, index=False)
    temporary.replace(out / "predictions.parquet")


def make_scores(config: dict[str, Any], inputs: dict[str, Path], out: Path, progress: Progress) -> None:
    """All measures and the cost; writes scores.json."""
    import pandas as pd

    from pbb.evaluation.composition import compositions
    from pbb.evaluation.language import languages
    from pbb.evaluation.score import score, write
    from pbb.evaluation.shifts import by_shift

    frames = [
        pd.read_parquet(p / "predictions.parquet") for k, p in inputs.items() if k.startswith("evaluate ")
    ]
    given = {
        key: config[key]
        for key in ("control", "hypotheses", "break_even", "curves", "readers", "starts")
        if key in config
    }
    predictions = pd.concat(frames, ignore_index=True)
    scores = score(predictions, recipe=config["recipe"], **given)
    if found := languages(predictions):
        scores["languages"] = found
    if config.get("shifts"):
        scores["shifts"] = by_shift(predictions)
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
