"""The command `pbb`: arguments in, results on standard output, everything else on standard error.

Exit codes: 0 done; 1 something broke, and the line names a file with the traceback; 2 a person can mend it,
and the line says how; 130 stopped by Ctrl-C. Every module that is slow to import is imported where it is
used, so that `pbb --help` answers at once.
"""

from __future__ import annotations

import io
import json
import os
import shlex
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pbb import __version__, cli_compare, cli_data, cli_machines
from pbb.errors import PbbError
from pbb.options import (
    AsJson,
    Launch,
    Model,
    OfRun,
    OfSeed,
    Processes,
    RecipeName,
    Runs,
    Seeds,
    Settings,
    Threads,
    Workers,
    launched,
)

if TYPE_CHECKING:
    from pbb.experiment import RunResult

app = typer.Typer(
    help="Programming by backprop: can a model run programs that it has only read?",
    add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
)  # fmt: skip

LONGEST = 2_000  # characters of an error's line, which may quote what was given


def _version(asked: bool) -> None:
    if asked:
        print(f"pbb {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Programming by backprop: can a model run programs that it has only read?"""


@app.command("run")
def run_command(
    recipe: RecipeName = "arithmetic",
    model: Model = None,
    seeds: Seeds = None,
    settings: Settings = None,
    out: Runs = Path("runs"),
    workers: Workers = None,
    threads: Threads = 1,
    launch: Launch = None,
    processes: Processes = None,
    as_json: AsJson = False,
) -> None:
    """Run a recipe, or continue it where it stopped; a finished one costs nothing to ask for again."""
    from pbb.experiment import run_loaded
    from pbb.progress import display
    from pbb.recipe_file import load

    loaded = load(recipe, [*(settings or []), *launched(launch, processes)], model, seeds)
    result = run_loaded(loaded, out, workers, threads, display())
    if as_json:
        print((result.directory / "scores.json").read_text(encoding="utf-8"), end="")
    else:
        _print_result(result)


def _print_result(result: RunResult) -> None:
    from pbb.console import console, echo_lines, parse_failure_lines, score_table, verdict_lines
    from pbb.progress import duration

    out = console()
    if (result.directory / "scores.json").exists():
        out.print(score_table(result.results))
        told = (echo_lines, verdict_lines, parse_failure_lines)
        for line in (line for lines in told for line in lines(result.results)):
            out.print(line, markup=False)
    out.print(
        f"{result.outcome.ran} steps run, {result.outcome.reused} reused, {duration(result.outcome.seconds)}"
    )
    report = result.directory / "report.html"
    out.print(str(report if report.exists() else result.directory), markup=False, soft_wrap=True)


@app.command()
def ask(
    run: OfRun,
    call: Annotated[str, typer.Argument(help='The question, such as "Zibble(7)".')],
    arm: Annotated[str, typer.Option(help="The arm whose model answers.")] = "proactive",
    seed: OfSeed = None,
    out: Runs = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Ask a trained model to run a program, in every way of asking, beside what is true."""
    from pbb.evaluation.inquire import inquire
    from pbb.runs import find_evaluation, find_run

    evaluation, note = find_evaluation(find_run(run, out), arm, seed)
    if note:
        print(f"pbb: {note}", file=sys.stderr)
    rows: list[dict[str, Any]] = inquire(evaluation, call)
    if as_json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
    else:
        from pbb.console import answers, console

        console().print(answers(rows))


@app.command()
def report(
    runs: Annotated[Path, typer.Argument(help="Folder that holds the runs.")] = Path("runs"),
    out: Annotated[Path | None, typer.Option(help="The page; by default index.html in that folder.")] = None,
) -> None:
    """Gather the latest run of every recipe and model on one page."""
    from pbb.recipe_graph import command_of
    from pbb.report.gather import write_gathered
    from pbb.runs import latest_runs

    page = out or runs / "index.html"
    if page.is_dir():
        raise PbbError(f"report: {page} is a folder: name a file with --out")
    if not runs.is_dir():
        what = "is a file" if runs.exists() else "is not there"
        raise PbbError(f"report: {runs} {what}: name the folder that holds the runs")
    found = latest_runs(runs)
    try:
        write_gathered({run: command_of(run) for run in found}, page)
    except OSError as e:
        raise PbbError(f"report: cannot write {page}: {e.strerror}: choose another file with --out") from e
    print(page)


@app.command("findings")
def findings_command(
    names: Annotated[
        list[str] | None, typer.Argument(help="Recipes of findings; all of them by default.")
    ] = None,
    only_plan: Annotated[
        bool, typer.Option("--plan", help="Say what is missing and how long it takes.")
    ] = False,
    model: Model = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds.")] = 3,
    out: Runs = Path("runs"),
    workers: Workers = None,
    threads: Threads = 1,
    as_json: AsJson = False,
) -> int:
    """Make the figures of the paper's findings, those that are missing, and one page of all; says beforehand how long it takes."""
    from pbb.console import console, findings_table
    from pbb.experiment import run_loaded
    from pbb.findings import FINDINGS, plan
    from pbb.progress import display
    from pbb.recipe_graph import command_of
    from pbb.run import StepCrashed, at_once
    from pbb.runs import latest_runs

    planned = plan(names or [], seeds, model, out, at_once(workers, threads))
    rows = [
        {"recipe": p.recipe.name, "question": FINDINGS[p.recipe.name], "steps": p.steps, "missing": p.missing}
        | {"seconds": round(p.seconds), "lacks": p.lacks}
        for p in planned
    ]
    if not as_json:
        console().print(findings_table(rows))
        for lacks in dict.fromkeys(row["lacks"] for row in rows if row["lacks"]):
            console().print(lacks, markup=False, highlight=False)
    if only_plan:
        if as_json:
            print(json.dumps(rows, indent=1))
        return 0
    failed = {}
    for p in planned:
        try:
            run_loaded(p.recipe, out, workers, threads, display())
        except (PbbError, StepCrashed) as error:
            failed[p.recipe.name] = str(error)
            print(f"pbb: {p.recipe.name}: {error}", file=sys.stderr)
    from pbb.report.gather import write_gathered

    write_gathered({run: command_of(run) for run in latest_runs(out)}, out / "index.html")
    if as_json:
        print(json.dumps({"page": str(out / "index.html"), "failed": failed}, indent=1))
    else:
        print(out / "index.html")
    return 1 if failed else 0


@app.command()
def audit(
    run: OfRun,
    out: Runs = Path("runs"),
    only: Annotated[
        list[str] | None,
        typer.Option(help="Only steps of this kind: programs, documents, train, evaluate, score, report."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Derive a run's claims again from its files; exit code 1 where anything differs."""
    from dataclasses import asdict

    from pbb.audit import audit as audited
    from pbb.progress import watched
    from pbb.runs import find_run

    directory = find_run(run, out)
    with watched("audit") as progress:
        findings = audited(directory, only or [], progress)
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        from pbb.console import audit_lines, console

        for line in audit_lines(findings):
            console().print(line, markup=False, soft_wrap=True)
    return int(any(finding.verdict == "differs" for finding in findings))


@app.command()
def recipes() -> None:
    """List the recipes that come with pbb."""
    from pbb.console import console, recipe_table
    from pbb.recipe_file import load, shipped

    console().print(recipe_table({name: load(name).title for name in shipped()}))


@app.command()
def show(recipe: RecipeName, model: Model = None, seeds: Seeds = None, settings: Settings = None) -> None:
    """Print a recipe with every default written out."""
    from pbb.experiment import as_yaml
    from pbb.recipe_file import load

    print(as_yaml(load(recipe, settings, model, seeds)), end="")


@app.command()
def pretrain(
    out: Annotated[Path, typer.Option(help="Folder for the models.")] = Path("base"),
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of weights and data.")] = 0,
    steps: Annotated[
        tuple[int, int, int, int, int, int, int, int, int],
        typer.Option(
            min=0,
            help="Optimizer steps of the nine phases; as shipped by default. The last four may be 0: strings, long programs, names (two).",
        ),
    ] = (3000, 5000, 3600, 1600, 2500, 3600, 6000, 2400, 2200),
    width: Annotated[int, typer.Option(min=1, help="Width of the model, a multiple of 32.")] = 160,
    layers: Annotated[int, typer.Option(min=1, help="Layers of the model.")] = 8,
) -> None:
    """Train the small models that come with pbb, from scratch, or such of another size; continues where it stopped."""
    from pbb.pretrain import pretrain as train
    from pbb.progress import watched

    with watched("pretrain") as progress:
        accuracies = train(out, seed=seed, steps=steps, width=width, layers=layers, report=progress)
    for ask, accuracy in accuracies.items():
        print(f"{ask}: {100 * accuracy:.1f} %")
    print(out)


cli_compare.add(app)
cli_data.add(app)
cli_machines.add(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; no exception leaves, and no traceback is printed."""
    arguments = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    warnings.filterwarnings("ignore", category=SyntaxWarning)  # about sources that others wrote
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # the libraries' own bars, which are no lines of a log
    if isinstance(
        sys.stdout, io.TextIOWrapper
    ):  # what others wrote may hold half a character, which no terminal takes
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        # not in Typer's standalone mode, which would word errors in boxes of many lines
        code = app(arguments, prog_name="pbb", standalone_mode=False)
        sys.stdout.flush()
        if code == 130:  # Ctrl-C outside of a run, which notes its signals itself
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # impatience must not end in a traceback
            print("pbb: stopped", file=sys.stderr)
        return code if isinstance(code, int) else 0
    except Exception as error:
        return _report(error, arguments)


def _report(error: Exception, arguments: Sequence[str]) -> int:
    """Word an exception in one line on standard error; the exit code."""
    from pbb.run import StepCrashed, Stopped
    from pbb.worker import advice

    command = shlex.join(["pbb", *arguments])
    code, line = 2, ""
    if isinstance(error, Stopped):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # impatience must not end in a traceback
        code, line = error.exit_code, f"stopped; `{command}` again continues from here"
    elif isinstance(error, StepCrashed):
        code, line = 1, str(error)
    elif isinstance(error, PbbError):
        line = str(error)
    elif isinstance(error, typer.TyperException):  # an unknown option, a missing argument
        line = error.format_message() and f"{error.format_message()} See `pbb --help`."
    elif isinstance(error, BrokenPipeError):  # the reader, `head` perhaps, has had enough
        sys.stdout = None
        return 0
    elif isinstance(error, OSError) and advice(error):
        line = advice(error) or ""
    else:
        code, line = 1, _write_traceback(error, command)
    if line:
        line = " ".join(line.split())
        print(f"pbb: {line if len(line) <= LONGEST else line[: LONGEST // 2] + ' ...'}", file=sys.stderr)
    return code


def _write_traceback(error: Exception, command: str) -> str:
    """Keep the traceback in a file of its own; the line that names it."""
    summary = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
    text = f"{command}\n{''.join(traceback.format_exception(error))}"
    try:
        with tempfile.NamedTemporaryFile("w", prefix="pbb-error-", suffix=".txt", delete=False) as file:
            file.write(text)
    except OSError:
        return f"unexpected {summary}; its traceback could not be written"
    return f"unexpected {summary}; its traceback is in {file.name}"
