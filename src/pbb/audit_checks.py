"""The checks of `pbb.audit`, by kind of step: each reads a step's files and those of its parents, and derives the one from the other."""

from __future__ import annotations

import ast
import json
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pbb.audited import Finding, Made, Verdict, again
from pbb.documents.corpus import read_documents
from pbb.documents.leaks import PROVEN, leaks, telling
from pbb.evaluation.answer import parse
from pbb.evaluation.recount import cells, verdict
from pbb.programs.families import FAMILIES
from pbb.programs.program import Program, read_programs
from pbb.programs.sandbox import Worker
from pbb.report.numbers import csv_files, curve_files

if TYPE_CHECKING:
    from pbb.evaluation.ask import Question

TEXTS = 12
"""Questions of each evaluation that its checkpoint is asked again."""
SAME = 0.75
"""Share of them that must come out to the letter: other batches round otherwise, another checkpoint says something else."""
WIDTH = (0.5, 2.0)
"""How the reported interval may be wider or narrower than the one by other means, where both are estimates."""
PUBLISHED = ("report.html", "figures/*.svg", "figures/*.csv", "tables/*.csv")
"""What a run lays beside its recipe, of what its report wrote."""
MANY = 8
"""Programs of a cell from which on a bootstrap and the t distribution are held against each other: of three it is rightly far narrower."""


def _finding(check: str, faults: list[str], fine: str) -> Finding:
    if not faults:
        return Finding(check, "agrees", fine)
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return Finding(check, "differs", faults[0] + more)


def _label(m: Made) -> str:
    seed = m.config.get("seed", m.config.get("settings", {}).get("seed"))
    what = m.config.get("arm") or m.config.get("stage") or m.folder.name
    return f"{m.record['kind']} {what}" + ("" if seed is None else f", seed {seed}")


def _programs_of(m: Made) -> list[Program]:
    folder = m.parent("programs")
    return read_programs(folder / "programs.jsonl") if folder else []


def programs(m: Made) -> Iterator[Finding]:
    """Drawn again from the seed; every example executed again."""
    anew = again(m, "programs.jsonl", f"{_label(m)}, made again")
    yield anew
    mine = read_programs(m.folder / "programs.jsonl")
    if not _ours(m, anew):
        yield Finding(
            f"{_label(m)}, executed", "not checked", "only what pbb makes again is executed by an audit"
        )
        return
    faults = []
    with Worker() as worker:
        jobs = [(p.definitions(), p.entry, [e.args for e in p.examples]) for p in mine]
        for p, outcomes in zip(mine, worker.execute_many(jobs), strict=True):
            faults += [
                f"{p.call(e)} is recorded as {e.output!r}, and gives {o.error or repr(o.value)}"
                for e, o in zip(p.examples, outcomes, strict=True)
                if o.error or repr(o.value) != repr(e.output)
            ]
    count = sum(len(p.examples) for p in mine)
    yield _finding(f"{_label(m)}, executed", faults, f"{count} calls of {len(mine)} programs")


def _ours(m: Made, anew: Finding) -> bool:
    """Whether the programs of a step are pbb's own, to the byte: a file that somebody made may say so of any program."""
    dials = m.config["data"]
    return FAMILIES[dials["family"]].model_construct(**dials).isolate() is None and anew.verdict == "agrees"


def documents(m: Made) -> Iterator[Finding]:
    """Rendered again from the programs; held against the leak proof; counted."""
    yield again(m, "documents.jsonl", f"{_label(m)}, made again")
    path = m.folder / "documents.jsonl"
    known = _programs_of(m)
    if known:
        with path.open("rb") as lines:
            faults = [f"line {number} {fault}" for number, fault in leaks(known, lines)]
        made = json.loads((m.folder.parent / m.record["parents"]["programs"] / "inputs.json").read_text())
        faults += telling(known) if made["config"]["data"]["family"] == "file" else []
        yield _finding(f"{_label(m)}, leak proof", faults, PROVEN)
    groups = Counter((d.group, d.kind) for d in read_documents(path))
    asked = {g: len({d.program for d in read_documents(path) if d.group == g}) for g, _ in groups}
    counts = {f"{g} {k}": round(n / asked[g], 2) for (g, k), n in sorted(groups.items())}
    told = json.loads((m.folder / "counts.json").read_text(encoding="utf-8"))
    faults = [] if counts == told else [f"counts.json says {told}, the documents {counts}"]
    yield _finding(f"{_label(m)}, counts", faults, f"{sum(groups.values())} documents")


def train(m: Made) -> Iterator[Finding]:
    """Steps and tokens that the documents and settings make, against what is reported."""
    told = json.loads((m.folder / "training.json").read_text(encoding="utf-8"))
    rows = [
        json.loads(line) for line in (m.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    faults = []
    if not {"grpo", "dpo"} & set(m.config["settings"]):
        from pbb.models.load import encode_pairs, load

        folder = m.parent("documents")
        made = read_documents(folder / "documents.jsonl") if folder else []
        _, tokenizer = load(str(m.folder / "model"))
        pairs = encode_pairs(tokenizer, [d.prompt for d in made], [d.completion for d in made])
        steps = math.ceil(len(made) / m.config["settings"]["batch_size"])
        tokens = sum(len(a) + len(b) for a, b in pairs)
        if told["optimizer_steps"] != steps:
            faults.append(
                f"{told['optimizer_steps']} optimizer steps are reported, the documents make {steps}"
            )
        if told["tokens"] != tokens:
            faults.append(f"{told['tokens']} tokens are reported, the documents hold {tokens}")
    if any(row["steps"] != told["optimizer_steps"] or row["step"] > row["steps"] for row in rows):
        faults.append(
            f"metrics.jsonl is of a training of other than the {told['optimizer_steps']} steps reported"
        )
    if rows and rows[-1]["loss"] != told["loss"]:
        faults.append(f"the last loss is {rows[-1]['loss']}, reported is {told['loss']}")
    shown = f"{told['optimizer_steps']} optimizer steps, {told['tokens']} tokens"
    yield _finding(f"{_label(m)} {m.folder.name}, counts", faults, shown)


def evaluate(m: Made) -> Iterator[Finding]:
    """All questions and no others; truths from the programs; verdicts by other means; every column again; texts from the checkpoint."""
    import pandas as pd

    from pbb.evaluation.ask import drawn
    from pbb.steps import put

    rows: list[dict[str, Any]] = pd.read_parquet(m.folder / "predictions.parquet").to_dict("records")  # type: ignore[assignment]
    rows = [{k: None if pd.isna(v) else v for k, v in row.items()} for row in rows]
    known = _programs_of(m)
    chosen, asked = put(m.config, known)
    samples = _samples(m, chosen)
    answers = [row for row in rows if _key(row) not in samples]
    often = m.config["evaluation"].get("sampled", {"samples": 0})["samples"]
    again = [_key_of(asked[place], number) for place, number in drawn(asked, often)]
    wanted = Counter([*map(_key_of, asked), *again, *samples])
    found = Counter(_key(row) for row in rows)
    faults = [f"{_short(key)} was asked and is not there" for key in wanted - found]
    faults += [f"{_short(key)} is there and was not asked, or is there twice" for key in found - wanted]
    yield _finding(f"{_label(m)}, questions", faults, f"{len(rows)} questions, those of the recipe")

    truths = {(p.name, p.call(e)): repr(e.output) for p in known for e in p.examples}
    faults = []
    for row in answers:
        where = f"{row['ask']}, {row['call'] or row['program']}"
        if row["ask"] != "recall":
            said = parse(row["generation"], cot=not row["ask"].endswith("direct"))
            true = truths.get((row["program"], row["call"]))
            right = verdict(row)
            if row["expected"] != true:
                faults.append(f"{where}: {row['expected']} is said to be true, the programs say {true}")
            elif (said.text if said.ok else None) != row["parsed"]:
                faults.append(
                    f"{where}: the answer is recorded as {row['parsed']}, its text says {said.text}"
                )
            elif right is not None and right != bool(row["correct"]):
                faults.append(
                    f"{where}: recorded as {'right' if row['correct'] else 'wrong'}: {row['parsed']} for {true}"
                )
    yield _finding(f"{_label(m)}, answers", faults, f"{len(answers)} texts read and judged again")
    faults = list(_unlike(m, rows, known, asked, samples))
    yield _finding(f"{_label(m)}, rows", faults, f"every column of {len(rows)}, from programs and texts")
    yield from _asked_again(m, answers, asked)


Key = tuple[str, str, str, str, str, int]
"""program, ask, split, call, prompt, sample."""


def _key(row: Mapping[str, Any]) -> Key:
    return (row["program"], row["ask"], row["split"], row["call"], row["prompt"], int(row["sample"]))


def _key_of(q: Question, sample: int = 0) -> Key:
    call = q.program.call(q.example) if q.example else ""
    return (q.program.name, q.ask, q.split, call, q.prompt, sample)


def _short(key: Key) -> str:
    number = f", sample {key[5]}" if key[5] else ""
    return f"{key[1]}, {key[3] or key[0]} ({key[2]}{number})"


def _samples(m: Made, chosen: list[Program]) -> dict[Key, Program]:
    """The strings that were to be drawn of each grammar, where the evaluation draws any."""
    if not (count := m.config["evaluation"].get("samples")):
        return {}
    from pbb.evaluation.language import ASK
    from pbb.evaluation.phrasing import asked_in
    from pbb.evaluation.sample import asked

    pairs = zip(*asked(chosen, count, asked_in(m.config)), strict=True)
    return {(p.name, ASK, "none", p.head(), prompt, i % count + 1): p for i, (p, prompt) in enumerate(pairs)}


def _unlike(
    m: Made,
    rows: list[dict[str, Any]],
    known: list[Program],
    asked: list[Question],
    samples: dict[Key, Program],
) -> Iterator[str]:
    """Of every row that was asked for, the first column that its program and its text do not make."""
    from pbb.documents.corpus import planted
    from pbb.evaluation import ask, sample

    swapped = planted(known, m.config["seed"]) if m.config["planted"] else {}
    others = [swapped.get(q.program.name) for q in asked]
    mine = bool(swapped) and _made_here(m)
    # what is not executed here is taken from the record, or was not executed then either
    wrong = ask.outputs(others, asked, None if mine else False)
    questions = {_key_of(q): (q, o, w) for q, o, w in zip(asked, others, wrong, strict=True)}
    for row in rows:
        key = _key(row)
        if key in samples:
            made = sample.judge(samples[key], row["generation"], swapped.get(key[0]))
        elif (greedy := (*key[:5], 0)) in questions:
            q, other, value = questions[greedy]
            if not mine and m.config.get("isolate", True) and q.example and row["planted"] is not None:
                other, value = swapped.get(key[0]), _value(row["planted"])
            made = ask.judge(q, row["generation"], other, value, m.config["represent"])
        else:
            continue  # named among the questions
        made |= {"arm": m.config["arm"], "seed": m.config["seed"]}
        for name in made:
            if name in row and name != "sample" and row[name] != made[name]:
                yield f"{_short(key)}: {name} is recorded as {row[name]!r:.80}, and is {made[name]!r:.80}"
                break


def _value(text: str) -> object:
    """What a column says in Python's words; an answer's parser would refuse the longest of them."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return parse(text, cot=False).value


def _made_here(m: Made) -> bool:
    """Whether the programs that an evaluation asks about are pbb's own, made again."""
    folder = m.parent("programs")
    if folder is None or m.step is None:
        return False
    record = json.loads((folder / "inputs.json").read_text(encoding="utf-8"))
    source = Made(folder, record, m.step.parents["programs"], m.why)
    return _ours(source, again(source, "programs.jsonl", ""))


def _asked_again(m: Made, rows: list[dict[str, Any]], asked: list[Question]) -> Iterator[Finding]:
    """Whether each text could end where it does; some of the questions, put to the checkpoint once more, greedily."""
    from pbb.evaluation.ask import token_limits
    from pbb.models.decode import decode
    from pbb.models.load import encode, load

    parent = m.parent("model")
    model, tokenizer = load(str(parent / "model") if parent else m.config["model"])
    limits = token_limits(tokenizer, asked)
    faults = [
        f"{_short(_key(row))}: {row['tokens']} tokens of at most {limits[row['ask']]} are recorded as "
        + ("finished" if row["finished"] else "not finished")
        for row in rows
        if row["ask"] in limits and bool(row["finished"]) != (row["tokens"] < limits[row["ask"]])
    ]
    yield _finding(f"{_label(m)}, ends", faults, f"{len(rows)} texts, finished or at their limit of tokens")
    greedy = [row for row in rows if row["sample"] == 0]
    chosen = random.Random(f"audit:{m.folder.name}").sample(greedy, min(TEXTS, len(greedy)))
    written = decode(
        model,
        encode(tokenizer, [row["prompt"] for row in chosen]),
        end=int(tokenizer.eos_token_id),
        pad=int(tokenizer.pad_token_id),
        limits=[int(row["tokens"]) + 1 for row in chosen],
    )
    texts = [
        str(tokenizer.decode(w.tokens[: int(r["tokens"])], skip_special_tokens=True))
        for w, r in zip(written, chosen, strict=True)
    ]
    same = sum(text == row["generation"] for text, row in zip(texts, chosen, strict=True))
    result: Verdict = "agrees" if same >= SAME * len(chosen) else "differs"
    yield Finding(f"{_label(m)}, asked again", result, f"{same} of {len(chosen)} texts come out the same")


def score(m: Made) -> Iterator[Finding]:
    """All of scores.json made again from the predictions, its rows counted by other means too; the copy beside the recipe is the same."""
    import pandas as pd

    yield again(m, "scores.json", f"{_label(m)}, made again")

    folders = [
        m.folder.parent / name for key, name in m.record["parents"].items() if key.startswith("evaluate ")
    ]
    frames = [pd.read_parquet(folder / "predictions.parquet") for folder in folders]
    rows: list[dict[str, Any]] = pd.concat(frames, ignore_index=True).to_dict("records")  # type: ignore[assignment]
    for row in rows:
        row["parsed"] = row["parsed"] if isinstance(row["parsed"], str) else None
    counted = cells(rows)
    text = (m.folder / "scores.json").read_text(encoding="utf-8")
    told = {(r["arm"], r["seed"], r["group"], r["split"], r["ask"]): r for r in json.loads(text)["scores"]}
    seeds = {key[1] for key in counted} - {"all"}
    faults = [
        f"{_cell(key)} is not in the scores"
        for key in counted
        if key not in told and (key[1] != "all" or len(seeds) > 1)
    ]
    for key, row in told.items():
        if key not in counted:
            faults.append(f"{_cell(key)} is in the scores and in no prediction")
            continue
        faults += [f"{_cell(key)}: {fault}" for fault in _apart(counted[key], row, key[4])]
    yield _finding("scores, counted again", faults, f"{len(told)} rows from {len(rows)} answers")
    published = m.folder.parent.parent / "scores.json"
    shown = published.read_text(encoding="utf-8") if published.is_file() else None
    # of scores that several versions of pbb made, or several points of a sweep, it is one
    others = sorted(path for path in m.folder.parent.glob("score-*/scores.json") if path.parent != m.folder)
    writer = next(
        (p for p in (m.folder / "scores.json", *others) if p.read_text(encoding="utf-8") == shown), None
    )
    yield Finding(
        "scores.json beside the recipe",
        "differs" if writer is None else "agrees",
        "as no step wrote it" if writer is None else f"as {writer.parent.name} wrote it",
    )


def _cell(key: tuple[Any, ...]) -> str:
    return f"{key[0]}, seed {key[1]}, {key[2]} {key[3]}, {key[4]}"


def _apart(counted: dict[str, Any], row: dict[str, Any], ask: str) -> Iterator[str]:
    names = ["accuracy", "n", "programs", *([] if ask == "recall" else ["parse_failures"])]
    for name in names:
        if row[name] is None or abs(counted[name] - row[name]) > 1e-9:
            yield f"{name} is reported as {row[name]}, the answers make {counted[name]}"
            return
    half, mean = counted["half"], counted["accuracy"]
    if not row["low"] <= mean <= row["high"]:
        yield f"the interval {row['low']} to {row['high']} leaves out {mean}"
    elif counted["programs"] >= MANY and 0.02 < half < 0.3 and 0.05 < mean < 0.95:
        ratio = (row["high"] - row["low"]) / (2 * half)
        if not WIDTH[0] < ratio < WIDTH[1]:
            yield f"the interval is {ratio:.2f} times as wide as the t distribution over programs makes it"


def report(m: Made) -> Iterator[Finding]:
    """The tables made again from the scores; what lies beside the recipe is what a report wrote."""
    scored, run = m.parent("score"), m.folder.parent.parent
    label = f"{_label(m)}, tables made again"
    if m.step is None or scored is None:
        yield Finding(label, "not checked", m.why)
    else:
        scores = json.loads((scored / "scores.json").read_text(encoding="utf-8"))
        made = {f"tables/{name}": text for name, text in csv_files(scores).items()}
        made |= {f"figures/{name}": text for name, text in curve_files(scores).items()}
        told = {
            str(path.relative_to(m.folder)): path.read_bytes().decode(errors="replace")
            for files in ("tables/*.csv", "figures/*-differences.csv")
            for path in m.folder.glob(files)
        }
        faults = [name for name in sorted(made | told) if made.get(name) != told.get(name)]
        yield _finding(label, faults, f"{len(made)} tables, byte for byte")
    reports = [path.parent for path in m.folder.parent.glob("report-*/report.html")]
    shown = [path for files in PUBLISHED for path in sorted(run.glob(files))]
    strange = [
        str(path.relative_to(run))
        for path in shown
        if not any(_same(path, folder / path.relative_to(run)) for folder in reports)
    ]
    strange += [] if run / "report.html" in shown else ["report.html is not there"]
    yield _finding("report, figures and tables beside the recipe", strange, f"{len(shown)} files")


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and one.read_bytes() == other.read_bytes()


KINDS: dict[str, Callable[[Made], Iterator[Finding]]] = {
    "programs": programs,
    "documents": documents,
    "train": train,
    "evaluate": evaluate,
    "score": score,
    "report": report,
}
"""By kind of step, in the order in which an auditor goes."""
