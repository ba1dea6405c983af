"""What the command line prints: the table of scores, answers, recipes and records, for people's eyes.

Contract in one sentence: nothing here computes a result; it words what stands in files.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from pbb.errors import PbbError
from pbb.programs.program import Example
from pbb.progress import duration
from pbb.report.scoreboard import ASK_ORDER, group_label, order

if TYPE_CHECKING:
    from pbb.audited import Finding
    from pbb.estimate import Need
    from pbb.sweep import Progress

PLAIN_WIDTH = 120  # columns where the output is no terminal: the table then reads well in a file


def console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)


ECHOED = 0.05


def score_table(results: dict[str, Any]) -> Table:
    """Arms by ways of asking, in percent: w/o IO programs on held-out inputs with their interval, composites of them and w/ IO programs
    beneath.

    Rows that pool the seeds stand for all of them where there are such rows. Of sampled answers it tells pass@1 and that of all samples.
    """
    asked = [row for row in _pooled(results["scores"]) if row["split"] == "test"]
    rows = {
        (row["arm"], row["group"], row["ask"]): row
        for row in asked or _pooled(results["scores"])  # recall alone has no inputs to hold out
    }
    arms = list(dict.fromkeys(arm for arm, _, _ in rows))
    asks = sorted({ask for _, _, ask in rows}, key=lambda ask: order(ask, ASK_ORDER))
    table = Table(
        title="programs read only as source (w/o IO), held-out inputs: % right [95 %]", title_justify="left"
    )
    table.add_column("arm")
    for ask in asks:
        table.add_column(ask, justify="right")
    for arm in arms:
        table.add_row(escape(arm), *(_cell(rows, arm, ask) for ask in asks))
    return table


def parse_failure_lines(results: dict[str, Any]) -> list[str]:
    """One line for each score with answers that could not be read, for they count as wrong."""
    failing = [
        row for row in _pooled(results["scores"]) if row["split"] == "test" and row.get("parse_failures")
    ]
    return [
        f"{row['arm']}, {row['ask']}, {group_label(row['group'])}: {_percent(row['parse_failures'])} % unreadable"
        for row in failing
    ]


def echo_lines(results: dict[str, Any]) -> list[str]:
    """What direct answers about w/o IO programs are worth beside giving an argument back, where that would earn a twentieth or more."""
    rows = [
        row
        for row in _pooled(results["scores"])
        if (row["group"], row["split"], row["ask"]) == ("source_only", "test", "direct")
        and (row.get("echo") or 0) >= ECHOED
        and row.get("unechoed") is not None
    ]
    if not rows:
        return []
    arms = ", ".join(f"{row['arm']} {_percent(row['unechoed'])}" for row in rows)
    return [
        f"direct: giving an argument back would earn {_percent(rows[0]['echo'])} %; of the other calls right, in %: {arms}"
    ]


def verdict_lines(results: dict[str, Any]) -> list[str]:
    """One line for each claim of the recipe."""
    return [
        f"{row['verdict']}: {row['says']} ({row['arm']} above {row['above']}, {row['ask']}, {group_label(row['group'])}"
        + (
            ""
            if row["p_holm"] is None
            else f": {100 * row['difference']:+.1f} points, p = {row['p_holm']:.2g}"
        )
        + ("; seeds disagree" if row.get("p_seeds") is not None and row["p_seeds"] < 0.05 else "")
        + ")"
        for row in results.get("hypotheses") or []
    ]


def comparison(rows: Iterable[dict[str, Any]]) -> Table:
    """Two runs side by side in percent, the difference with its interval, and p after Holm's correction."""
    table = Table(title="second run against the first, the same calls: % right [95 %]", title_justify="left")
    for name in ("arm", "programs", "ask"):
        table.add_column(name)
    for name in ("first", "second", "difference", "Holm p", "calls", "not in both"):
        table.add_column(name, justify="right")
    for row in rows:
        ends = f"{100 * row['difference']:+.1f} [{100 * row['low']:+.1f}, {100 * row['high']:+.1f}]"
        where = (
            f"{group_label(row['group'])}, {row['split']}"
            if row["split"] != "none"
            else group_label(row["group"])
        )
        table.add_row(
            escape("\n".join(dict.fromkeys((row["arm"], row["other"])))),
            where,
            row["ask"],
            f"{100 * row['first']:.1f}",
            f"{100 * row['second']:.1f}",
            ends,
            f"{row['p_holm']:.2g}",
            str(row["n"]),
            str(row["left_out"]),
        )
    return table


def publication_line(found: dict[str, Any]) -> str:
    """How many published accuracies a run confirms, and whether it was asked about the same programs."""
    words = {
        "the same": "both are of the same programs",
        "others": "the run is of other programs",
        "in part the same": "the programs are in part the same",
        "not said": "the tables do not say of which programs they are",
    }
    seeds = {name: ", ".join(map(str, numbers)) or "not said" for name, numbers in found["seeds"].items()}
    alone = found["published"] - found["held"]
    return (
        f"{found['within']} of {found['held']} published accuracies: the run's lie within the published 95 % intervals; "
        f"{words[found['programs']]} (seeds published: {seeds['published']}; of the run: {seeds['run']})"
        + (f"; {alone} more are of arms, seeds or ways of asking that the run lacks" if alone else "")
    )


def outside(rows: Iterable[dict[str, Any]]) -> Table:
    """Published accuracies that a run does not confirm, in percent, beside the run's own."""
    table = Table(title="outside of the published interval: % right [95 %]", title_justify="left")
    for name in ("arm", "programs", "ask", "seed"):
        table.add_column(name)
    for name in ("published", "run"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("table")
    for row in rows:
        part = (f"{name} {row[name]}" for name in ("length", "op", "shift") if name in row)
        where = (group_label(row["group"]), *(s for s in [row.get("split", "test")] if s != "none"), *part)
        planted = ", planted program" if row["measure"] == "planted" else ""
        values = [
            f"{_percent(row[value])} [{_percent(row[low])}, {_percent(row[high])}]"
            for value, low, high in (("published", "low", "high"), ("run", "run_low", "run_high"))
        ]
        cells = (row["arm"], ", ".join(where), row["ask"] + planted, row["seed"], *values, row["table"])
        table.add_row(*map(escape, cells))
    return table


def audit_lines(findings: Sequence[Finding]) -> Iterator[str]:
    """A line for each finding, then how many there are of each verdict."""
    for finding in findings:
        yield f"{finding.verdict}: {finding.check}: {finding.detail}"
    counts = Counter[str](finding.verdict for finding in findings)
    words = {"agrees": "agree", "differs": "differ", "not checked": "not checked"}
    yield ", ".join(f"{counts[verdict]} {word}" for verdict, word in words.items())


def answers(rows: Iterable[dict[str, Any]]) -> Table:
    """What the model wrote for one call, by way of asking, beside the truth."""
    table = Table(show_lines=True)
    for name in ("ask", "the model wrote", "answer", "true", ""):
        table.add_column(name)
    for row in rows:
        right = row["right"]
        verdict = Text("?") if right is None else Text("right", "green") if right else Text("wrong", "red")
        answer = "unreadable" if row["answer"] is None else str(row["answer"])
        table.add_row(
            Text(row["ask"]), Text(row["generation"]), Text(answer), Text(str(row["true"])), verdict
        )
    return table


def recipe_table(titles: dict[str, str]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, title in titles.items():
        table.add_row(escape(name), escape(title))
    return table


def findings_table(rows: Sequence[dict[str, Any]]) -> Table:
    """The plan of the findings: each recipe with its question, how many steps are missing, and the time that they take."""
    table = Table("recipe", "question", "steps to make", "about")
    for column in table.columns[2:]:
        column.justify = "right"
    for row in rows:
        needed = duration(row["seconds"]) if row["missing"] else "made"
        steps = f"{row['missing']} of {row['steps']}"
        if row["lacks"]:
            steps, needed = "", "see below"
        table.add_row(escape(row["recipe"]), escape(row["question"]), steps, needed)
    if len(rows) > 1:
        total = sum(row["seconds"] for row in rows)
        table.add_row("all", "", str(sum(row["missing"] for row in rows)), duration(total))
    return table


def counts_table(counts: dict[str, int], what: str, unit: str) -> Table:
    """How many of each, in the order given."""
    table = Table(what, unit)
    table.columns[1].justify = "right"
    for name, count in counts.items():
        table.add_row(escape(name), str(count))
    return table


def print_records(path: str, count: int) -> None:
    """The first `count` records of a programs.jsonl or documents.jsonl; PbbError where a line is none."""
    out = console()
    with open(path, "rb") as file:
        written = ((number, line) for number, line in enumerate(file, 1) if line.strip())
        for number, line in islice(written, count):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                record = None
            if not isinstance(record, dict):
                raise PbbError(f"data: {path}:{number}: no JSON object: give a file that pbb wrote")
            out.rule(escape(f"{number}  {record.get('name') or record.get('program') or ''}"), align="left")
            _print_record(out, record)


def _print_record(out: Console, record: dict[str, Any]) -> None:
    long = {"source", "prose", "prompt", "completion", "examples"}
    short = {key: value for key, value in record.items() if key not in long and value not in (None, {}, [])}
    out.print(Text("  ".join(f"{key} {_brief(value)}" for key, value in short.items()), "dim"))
    if record.get("source"):
        out.print(Syntax(_brief(record["source"]).rstrip(), "python", background_color="default"))
    for key in ("prose", "prompt", "completion"):
        if record.get(key):
            out.print(Text(f"{key}:", "bold"), Text(_brief(record[key])), sep="\n")
    examples = record.get("examples")
    examples = examples if isinstance(examples, list) else []
    for example in examples[:6]:
        _print_example(out, str(record.get("entry", "")), example)
    if len(examples) > 6:
        out.print(Text(f"and {len(examples) - 6} more examples", "dim"))


def _print_example(out: Console, entry: str, record: dict[str, Any]) -> None:
    """The call with its output, types as they are, and the lines of working beneath where there are any."""
    try:
        example = Example.model_validate(record)
    except ValueError:
        out.print(Text(f"no example: {_brief(record)[:100]}", "red"))
        return
    out.print(Text(f"{example.call(entry)} -> {example.output!r}  {example.split}"))
    if example.trace:
        steps = [s if isinstance(s, str) else f"{s.target} = {s.value!r}" for s in example.trace]
        out.print(Text(f"    {'; '.join(steps)}", "dim"))


def _cell(rows: dict[tuple[str, str, str], dict[str, Any]], arm: str, ask: str) -> str:
    source_only = rows.get((arm, "source_only", ask))
    lines = ["-"]
    if source_only is not None:
        low, high = _percent(source_only["low"]), _percent(source_only["high"])
        lines = [_percent(source_only["accuracy"]), escape(f"[{low}, {high}]")]
        sampled = source_only.get("pass_at_k") or []
        told = sampled[:1] + sampled[1:][-1:]
        lines += [f"pass@{part['k']} {_percent(part['accuracy'])}" for part in told]
    for group, word in (("source_only_composed", "composed"), ("io", "w/ IO")):
        if (beneath := rows.get((arm, group, ask))) is not None:
            lines.append(f"{word} {_percent(beneath['accuracy'])}")
    return "\n".join(lines)


def _pooled(scores: list[dict[str, Any]]) -> list[dict[str, Any]]:
    pooled = [row for row in scores if row["seed"] == "all"]
    return pooled or scores


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _brief(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def needs_table(needs: Iterable[tuple[Need, float]]) -> Table:
    """What each stage of a recipe takes, and in how many seconds."""
    table = Table("stage")
    for name in ("documents", "tokens of the longest", "memory", "time"):
        table.add_column(name, justify="right")
    for n, seconds in needs:
        size = f"{n.bytes / 1e9:.1f} GB"
        table.add_row(escape(n.stage), f"{n.documents:,}", str(n.longest), size, duration(seconds))
    return table


def fits_table(rows: Sequence[dict[str, Any]]) -> Table:
    """Models by ways of training: the memory, and whether it is there."""
    ways = [key for key in rows[0] if key != "model"]
    table = Table("training", *ways)
    for row in rows:
        cells = (f"{row[way]['bytes'] / 1e9:.1f} GB, {'yes' if row[way]['fits'] else 'no'}" for way in ways)
        table.add_row(escape(row["model"]), *cells)
    return table


def doctor_lines(found: dict[str, Any]) -> Iterator[str]:
    """What `pbb.machine.examine` found, a line a topic."""
    yield f"pbb {found['pbb']}, Python {found['python']}, torch {found['torch']}, {found['platform']}"
    yield f"cores        {found['cores']['available']} of {found['cores']['machine']}"
    yield f"memory       {_gigabytes(found['memory']['free'])} free of {_gigabytes(found['memory']['total'])}"
    cpu, speed = found["cpu"], found["gflops"]
    has = [name for name in ("avx512_bf16", "amx_bf16") if cpu[name]]
    yield f"processor    {cpu['capability']}{''.join(', ' + name for name in has)}"
    yield f"products     {speed['float32']:g} GFLOP/s in float32, {speed['bfloat16']:g} in bfloat16, now and here"
    gpus = [f"{g['name']}, {_gigabytes(g['bytes'])}{', bf16' if g['bf16'] else ''}" for g in found["gpus"]]
    yield f"GPU          {'; '.join(gpus) or 'none that torch can use'}"
    yield f"isolation    {found['bubblewrap'] or 'bubblewrap works'}"
    for extra, packages in found["extras"].items():
        told = ", ".join(f"{name} {version or 'missing'}" for name, version in packages.items())
        missing = not all(packages.values()) and extra != "track"
        yield f"{extra:<12} {told}" + (f": pip install 'pbb[{extra}]'" if missing else "")
    yield f"disk         {_gigabytes(found['disk']['runs'])} free for runs, {_gigabytes(found['disk']['cache'])} for models"


def sweep_table(progress: Progress, arm: str) -> Table:
    """A row a point: how far it is, and the accuracy of one arm on w/o IO programs and held-out inputs, over its seeds; beneath it, on composites."""
    asks = list(dict.fromkeys(a for p in progress.points for a in p.recipe.evaluation.asks))
    table = Table(title=f"{arm}: w/o IO programs, held-out inputs, % right", title_justify="left")
    for key in progress.points[0].settings:
        table.add_column(escape(key))
    table.add_column("steps", justify="right")
    for ask in asks:
        table.add_column(ask, justify="right")
    for point in progress.points:
        scores = (point.results(progress.root) or {"scores": []})["scores"]
        told: dict[str, list[str]] = {}
        for group, word in (("source_only", ""), ("source_only_composed", "composed ")):
            for row in _pooled(scores):
                of_arm = (row["arm"], row["group"]) == (arm, group)
                if of_arm and (row["split"] == "test" or row["ask"] == "recall"):
                    told.setdefault(row["ask"], []).append(f"{word}{_percent(row['accuracy'])}")
        done = sum(step.hash in progress.done for step in point.steps)
        state = "failed" if point.failed else f"{done} of {len(point.steps)}"
        table.add_row(
            *(escape(str(v)) for v in point.settings.values()),
            state,
            *("\n".join(told.get(a, ["-"])) for a in asks),
        )
    return table


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
