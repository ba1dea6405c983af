"""What is to be done for a recipe: the graph of its steps, with the code that each of them rests on and a guess of its time.

    programs ─> documents (a stage) ─> train (a chain of stages) ─> evaluate (an arm) ─> score ─> report

Contract: two arms, or two recipes, that describe the same work get the same step; what a step does is the matter of `pbb.steps`.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from pbb import folder as folders
from pbb.durations import answering, training
from pbb.errors import PbbError
from pbb.estimate import places
from pbb.graph import ALL, Step
from pbb.models.place import EMBEDDED, small
from pbb.recipe_file import load, shipped

if TYPE_CHECKING:
    from pbb.recipe import Recipe

PROGRAMS = tuple(
    f"pbb.programs.{name}"
    for name in ("program", "family", "names", "sandbox", "sandbox_worker", "isolation", "isolation_worker")
)
DOCUMENTS = (
    "pbb.programs.program",
    "pbb.programs.compose",
    "pbb.programs.renaming",
    "pbb.documents.render",
    "pbb.documents.corpus",
    "pbb.documents.chats",
    "pbb.documents.templates",
)
LOAD = tuple(
    f"pbb.models.{name}"
    for name in ("load", "fitness", "place", "cache", "smollm2", "gguf", "hub", "direct", "plain")
)
SFT = (
    *(
        f"pbb.training.{name}"
        for name in ("sft", "head", "passes", "packing", "loop", "dials", "adapter", "checkpoint", "muon")
    ),
    *LOAD,
)
DECODE = ("pbb.models.decode", "pbb.models.vllm")
VERIFIED = (
    *DOCUMENTS,
    "pbb.training",
    *LOAD,
    *DECODE,
    "pbb.evaluation.answer",
    "pbb.programs.equality",
    "pbb.reward",
)
EVALUATE = (
    *DOCUMENTS,
    *LOAD,
    *DECODE,
    "pbb.evaluation.ask",
    "pbb.evaluation.phrasing",
    "pbb.evaluation.answer",
    "pbb.programs.equality",
)
LANGUAGE = ("pbb.evaluation.language", "pbb.evaluation.statistics", "pbb.programs.grammar")
SCORE = (
    *(
        f"pbb.evaluation.{name}"
        for name in (
            "score",
            "echo",
            "statistics",
            "differences",
            "hypotheses",
            "break_even",
            "diagnosis",
            "composition",
            "shifts",
        )
    ),
    *LANGUAGE,
    "pbb.programs.equality",
)
UNREAD = "skip-exposure"
COMPARED = {"name", "lines", "beside", "group", "beside_group"}
"""What tells the pairs of a curve that are tested: not its words, nor the numbers on its dial."""


def graph(recipe: Recipe) -> list[Step]:
    """All steps that the arms of a recipe take, parents first; arms that share a chain of stages share its training."""
    steps: list[Step] = []
    evaluations: dict[str, Step] = {}
    trainings: dict[str, Step] = {}
    identities = {name: _identity(name) for name in recipe.starts()}
    digest = recipe.data.digest()
    for seed in recipe.seeds:
        programs = _programs(recipe, seed, digest)
        documents = _all_documents(recipe, seed, programs)
        chains: dict[tuple[str, ...], Step] = {}
        for arm_name, arm in recipe.arms.items():
            model: Step | None = None
            start = recipe.start(arm_name)
            for length in range(1, len(arm.stages) + 1):
                chain = (start, *arm.stages[:length])
                if chain not in chains:
                    last = documents[chain[-1]]
                    chains[chain] = _training(recipe, chain, seed, last, model, identities[start])
                    label = f"{_named(recipe, chain)}, seed {seed}"
                    while label in trainings:  # a stage may be called as a model is
                        label += " (another)"
                    trainings[label] = chains[chain]
                model = chains[chain]
            evaluations[f"{arm_name}-{seed}"] = _evaluation(
                recipe, arm_name, seed, programs, model, identities[start]
            )
        steps += [programs, *documents.values(), *chains.values()]
    score = _score(recipe, evaluations, trainings)
    return [*steps, *evaluations.values(), score, _report(recipe, score)]


def _programs(recipe: Recipe, seed: int, digest: str | None) -> Step:
    return Step(
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


def _all_documents(recipe: Recipe, seed: int, programs: Step) -> dict[str, Step]:
    """By stage, the documents of those that arms use, and of those that they are joined from."""
    used = {stage for arm in recipe.arms.values() for stage in arm.stages}
    parts = {other for stage in used if not recipe.stages[stage].drawn for other in recipe.stages[stage].of}
    documents = {
        name: _documents(recipe, name, seed, programs)
        for name, s in recipe.stages.items()
        if s.drawn and name in used | parts
    }
    for name, s in recipe.stages.items():
        if name in used and not s.drawn:
            documents[name] = Step(
                kind="documents",
                label=f"documents {name}, seed {seed}",
                config={"stage": name, "seed": seed},
                parents={other: documents[other] for other in s.of},
                function="pbb.steps:join_documents",
                code=DOCUMENTS,
                expected_seconds=2,
            )
    return documents


def _score(recipe: Recipe, evaluations: dict[str, Step], trainings: dict[str, Step]) -> Step:
    """The one step that sees every answer: `evaluations` by arm and seed, `trainings` by what they are called."""
    return Step(
        kind="score",
        label="score",
        config={
            "recipe": recipe.name,
            "trainings": {f"train {i}": label for i, label in enumerate(trainings)},
            **_control(recipe),
            "readers": readers(recipe),
            **(
                {"starts": {arm: recipe.start(arm) for arm in recipe.arms}}
                if len(recipe.starts()) > 1
                else {}
            ),
            **({"hypotheses": [h.model_dump() for h in recipe.hypotheses]} if recipe.hypotheses else {}),
            **({"break_even": found} if (found := _break_even(recipe)) else {}),
            **({"curves": [c.model_dump(include=COMPARED) for c in recipe.curves]} if recipe.curves else {}),
            **({"shifts": True} if getattr(recipe.data, "shift", "key") == "argument" else {}),
        },
        parents={
            **{f"evaluate {k}": s for k, s in evaluations.items()},
            **{f"train {i}": s for i, s in enumerate(trainings.values())},
        },
        function="pbb.steps:make_scores",
        code=SCORE,
        expected_seconds=10,
    )


def _report(recipe: Recipe, score: Step) -> Step:
    return Step(
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


def command(recipe: Recipe, run: Path | None = None) -> str:
    """The command line that makes this recipe's run again: by its name, or where that is not all of it by the file in the run's folder.

    run: that folder; without it the one below `runs` that `pbb run` gives the recipe.
    """
    run = run or Path("runs", recipe.name, recipe.hash())
    out = run.parent.parent
    elsewhere = "" if out == Path("runs") else f" --out {quote(str(out))}"
    model = "" if recipe.model == "base" else f" --model {quote(recipe.model)}"
    count = len(recipe.seeds)
    seeds = f" --seeds {count}" if recipe.seeds == list(range(count)) else f" --set 'seeds={recipe.seeds}'"
    seeds = "" if recipe.seeds == [0] else seeds
    launch = f" --launch {'fsdp' if recipe.fsdp else 'torchrun'} --processes {recipe.processes}"
    launch = launch if recipe.processes > 1 else ""
    if recipe.name in shipped():
        with suppress(PbbError):  # the shipped one may have no sizes for this model
            same = load(
                recipe.name, [f"seeds={recipe.seeds}"], None if recipe.model == "base" else recipe.model, None
            )
            same = same.model_copy(update={"processes": recipe.processes, "fsdp": recipe.fsdp})
            if same.hash() == recipe.hash():
                return f"pbb run {recipe.name}{model}{seeds}{launch}{elsewhere}"
    return f"pbb run {quote(str(run / 'recipe.yaml'))}{elsewhere}"


def command_of(run: Path) -> str | None:
    """The command line for a run that is there; None where this version of pbb does not load its recipe."""
    try:
        return command(load(str(run / "recipe.yaml")), run)
    except PbbError:
        return None


def _named(recipe: Recipe, chain: tuple[str, ...]) -> str:
    """A chain of stages from a model, for people; the model is said where it is not the recipe's."""
    start, *stages = chain
    return " + ".join(stages if start == recipe.model else (start, *stages))


def _control(recipe: Recipe) -> dict[str, str]:
    """The arm that never read the w/o IO programs, below which a PBB ratio is 0, where it is not `stage-1-only`."""
    return {"control": UNREAD} if "stage-1-only" not in recipe.arms and UNREAD in recipe.arms else {}


def readers(recipe: Recipe) -> list[str]:
    """The arms whose stages declare w/o IO programs."""
    return [
        name
        for name, arm in recipe.arms.items()
        if any(
            part.kind == "declaration" and part.group.startswith("source_only")
            for stage in arm.stages
            for part in recipe.mix(stage)
        )
    ]


def _break_even(recipe: Recipe) -> list[dict[str, Any]]:
    """The curves that tell where executions reach a level, and what its stages execute, for lines of arms that have not been through them."""
    found = []
    for curve in recipe.curves:
        if (level := curve.break_even) is None:
            continue
        first = recipe.arms[level].stages[:1]
        apart = {
            label: recipe.executed(level)
            for label, arms in curve.lines.items()
            if not any(arm and recipe.arms[arm].stages[:1] == first for arm in arms)
        }
        found.append(
            {"name": curve.name, "at": curve.at, "lines": curve.lines, "group": curve.group}
            | {"level": level, "level_group": curve.beside_group or curve.group, "executed": apart}
        )
    return found


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
            "templates": (recipe.templates_of(stage) or recipe.templates).model_dump(),
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
    start, stage = chain[0], recipe.stages[chain[-1]]
    unused = {"mix", "of", "method", "templates", "exposures", "programs", "represent", "wrong"} | (
        {"batch_size"} if stage.grpo else set()
    )
    settings = stage.model_dump(mode="json", exclude=unused) | {"seed": seed}
    processes = recipe.processes if stage.method == "sft" else 1
    if processes > 1:  # sums of floats in another order: not the outcome of one process, bit for bit
        settings |= {"processes": processes} | ({"fsdp": True} if recipe.fsdp else {})
    size = recipe.documents(chain[-1])
    seconds = training(stage, size, start)
    return Step(
        kind="train",
        label=f"train {_named(recipe, chain)}, seed {seed}",
        config={"settings": settings, **({} if model else identity)},
        parents={"documents": documents, **({"model": model} if model else {})},
        function="pbb.steps:train",
        code=SFT if stage.method == "sft" else VERIFIED,
        cores=processes if small(start) and not (stage.grpo and stage.grpo.vllm) else ALL,
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
        code=(
            *EVALUATE,
            *((*LANGUAGE, "pbb.evaluation.sample") if e.samples else ()),
        ),
        cores=ALL if e.vllm else places(recipe.start(arm), e.batch_size),  # an engine takes the whole GPU
        expected_seconds=2 + answering(recipe.questions(arm), recipe.start(arm)),
    )


def _identity(model: str) -> dict[str, str]:
    """What names a starting model in a step's hash: its name, and for a folder the bytes of its weights."""
    from pbb.models import place

    folder = place.local(model)
    if model == "smollm2":
        from pbb.models.smollm2 import PACKAGED, origin

        # the hub's weights are others than the package's
        return {"model": model} | ({} if (source := origin()) == PACKAGED else {"origin": source})
    if folder is None:
        return {"model": model}
    digest = hashlib.sha256()
    # what a tokenizer is made of besides; those that come with pbb have been without, and keep their steps
    more = () if model in EMBEDDED else ("chat_template.jinja", "tokenizer.model", "merges.txt", "vocab.txt")
    for path in [folder] if folder.is_file() else sorted(folder.glob("*")):
        if path.suffix in (".safetensors", ".json", ".gguf") or path.name in more:
            digest.update(path.name.encode() + bytes.fromhex(folders.digest(path)))
    return {"model": model, "digest": digest.hexdigest()[:16]}
