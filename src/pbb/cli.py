"""The command `pbb`: arguments in, results on standard output, everything else on standard error.

Exit codes: 0 done; 1 something broke, and the line names a file with the traceback; 2 a person can mend it,
and the line says how; 130 stopped by Ctrl-C. Every module that is slow to import is imported where it is
used, so that `pbb --help` answers at once.
"""

from __future__ import annotations

import io
import json
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pbb import __version__, machines
from pbb.errors import PbbError
from pbb.options import AsJson, Model, RecipeName, Runs, Seeds, Settings, Threads, Workers

if TYPE_CHECKING:
    from pbb.experiment import RunResult

app = typer.Typer(
    help="Programming by backprop: can a model run programs that it has only read?",
    add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
)  # fmt: skip
data = typer.Typer(help="Make and look at the data of a recipe.", rich_markup_mode=None)
app.add_typer(data, name="data")

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
    as_json: AsJson = False,
) -> None:
    """Run a recipe, or continue it where it stopped; a finished one costs nothing to ask for again."""
    from pbb.experiment import load, run_loaded
    from pbb.progress import display

    loaded = load(recipe, settings or [], model, seeds)
    result = run_loaded(loaded, out, workers, threads, display())
    if as_json:
        print((result.directory / "scores.json").read_text(encoding="utf-8"), end="")
    else:
        _print_result(result)


def _print_result(result: RunResult) -> None:
    from pbb.console import console, parse_failure_lines, score_table, verdict_lines
    from pbb.progress import duration

    out = console()
    if (result.directory / "scores.json").exists():
        out.print(score_table(result.results))
        for line in (*verdict_lines(result.results), *parse_failure_lines(result.results)):
            out.print(line, markup=False)
    out.print(
        f"{result.outcome.ran} steps run, {result.outcome.reused} reused, {duration(result.outcome.seconds)}"
    )
    report = result.directory / "report.html"
    out.print(str(report if report.exists() else result.directory), markup=False, soft_wrap=True)


@app.command()
def ask(
    run: Annotated[str, typer.Argument(help="A run's directory, or the name of a recipe: its latest run.")],
    call: Annotated[str, typer.Argument(help='The question, such as "Zibble(7)".')],
    arm: Annotated[str, typer.Option(help="The arm whose model answers.")] = "proactive",
    out: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Ask a trained model to run a program, in every way of asking, beside what is true."""
    from pbb.evaluation.inquire import inquire
    from pbb.experiment import find_evaluation, find_run

    evaluation, note = find_evaluation(find_run(run, out), arm)
    if note:
        print(f"pbb: {note}", file=sys.stderr)
    rows: list[dict[str, Any]] = inquire(evaluation, call)
    if as_json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
    else:
        from pbb.console import answers, console

        console().print(answers(rows))


@app.command("compare")
def compare_runs(
    first: Annotated[str, typer.Argument(help="A run's directory, or the name of a recipe: its latest run.")],
    second: Annotated[str, typer.Argument(help="Another run of the same data.")],
    out: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Hold two runs against each other, arm by arm, on the same calls of the same programs."""
    import pandas

    from pbb.evaluation.compare import compare
    from pbb.experiment import evaluations, find_run

    frames = [
        pandas.concat(
            [
                pandas.read_parquet(folder / "predictions.parquet")
                for folder in evaluations(find_run(run, out))
            ],
            ignore_index=True,
        )
        for run in (first, second)
    ]
    rows = compare(frames[0], frames[1])
    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        from pbb.console import comparison, console

        console().print(comparison(rows))


@app.command()
def report(
    runs: Annotated[Path, typer.Argument(help="Folder that holds the runs.")] = Path("runs"),
    out: Annotated[Path | None, typer.Option(help="The page; by default index.html in that folder.")] = None,
) -> None:
    """Gather the latest run of every recipe and model on one page."""
    from pbb.experiment import latest_runs
    from pbb.report.gather import write_gathered

    page = out or runs / "index.html"
    found = latest_runs(runs)
    try:
        write_gathered(found, page)
    except OSError as e:
        raise PbbError(f"report: cannot write {page}: {e.strerror}: choose another file with --out") from e
    print(page)


@app.command()
def audit(
    run: Annotated[str, typer.Argument(help="A run's directory, or the name of a recipe: its latest run.")],
    out: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs"),
    only: Annotated[
        list[str] | None,
        typer.Option(help="Only steps of this kind: programs, documents, train, evaluate, score."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Derive a run's claims again from its files; exit code 1 where anything differs."""
    from dataclasses import asdict

    from pbb.audit import audit as audited
    from pbb.experiment import find_run
    from pbb.progress import watched

    with watched("audit") as progress:
        findings = audited(find_run(run, out), only or [], progress)
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
    from pbb.experiment import as_yaml, load

    print(as_yaml(load(recipe, settings or [], model, seeds)), end="")


@app.command()
def pretrain(
    out: Annotated[Path, typer.Option(help="Folder for the models.")] = Path("base"),
    seed: Annotated[int, typer.Option(help="Seed of weights and data.")] = 0,
    steps: Annotated[
        tuple[int, int, int, int, int, int],
        typer.Option(min=1, help="Optimizer steps of the six phases; as shipped by default."),
    ] = (3000, 5000, 3600, 1600, 2500, 3600),
) -> None:
    """Train the small models that come with pbb, from scratch; continues where it stopped."""
    from pbb.pretrain import pretrain as train
    from pbb.progress import watched

    with watched("pretrain") as progress:
        accuracies = train(out, seed=seed, steps=steps, report=progress)
    for ask, accuracy in accuracies.items():
        print(f"{ask}: {100 * accuracy:.1f} %")
    print(out)


@app.command("harvest")
def harvest_command(
    package: Annotated[
        str, typer.Argument(help="An installed package, a folder of Python files, or one file.")
    ],
    out: Annotated[Path, typer.Option(help="The file of programs to write.")] = Path("programs.jsonl"),
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Run the package's functions, isolated by bubblewrap.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Find pure functions in a package, get inputs for them, execute them in isolation, and write them down as programs."""
    from pbb.programs.package_place import locate
    from pbb.programs.packages import harvest
    from pbb.programs.program import write_programs
    from pbb.progress import watched

    places = locate(package)
    with watched("harvest") as progress:
        found = harvest(places, allow_code, progress)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_programs(found.programs, out)
    if as_json:
        print(json.dumps({"file": str(out), "programs": len(found.programs), "fell": found.fell}, indent=1))
        return
    print(
        f"{len(found.programs)} programs of {len(found.programs) + sum(found.fell.values())} functions: {out}"
    )
    for rule, count in found.fell.items():
        print(f"{count:6d}  {rule}")
    if found.broken:
        print(f"{found.broken:6d}  files that are no Python of this version")


@data.command("make")
def data_make(
    recipe: RecipeName,
    out: Annotated[Path, typer.Option(help="Folder for the files.")],
    model: Model = None,
    seeds: Seeds = None,
    settings: Settings = None,
) -> None:
    """Make a recipe's programs and documents, and train nothing."""
    from pbb.experiment import load, make_data
    from pbb.progress import display

    for path in make_data(load(recipe, settings or [], model, seeds), out, display()):
        print(path)


@data.command("leetcode")
def data_leetcode(
    source: Annotated[str, typer.Argument(help="A .jsonl or .jsonl.gz of LeetCodeDataset, or its hub id.")],
    out: Annotated[Path, typer.Option(help="The programs.jsonl to write.")],
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Run the solutions, which others wrote, in isolation.")
    ] = False,
    count: Annotated[
        int, typer.Option(min=1, help="Number of problems; fewer where there are no more.")
    ] = 702,
    seed: Annotated[int, typer.Option(help="Seed of the choice of problems and inputs.")] = 0,
    dials: Annotated[
        list[str] | None, typer.Option("--set", metavar="DIAL=VALUE", help="A dial, such as max_lines=20.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make programs of LeetCode problems, and say which were left out and why (also in OUT.left_out.json)."""
    from pbb.programs.leetcode import make, write
    from pbb.progress import watched

    with watched("leetcode") as progress:
        programs, left_out = make(source, count, seed, allow_code, progress, dials or [])
    summary = write(programs, left_out, count, out)
    if as_json:
        print(json.dumps(summary, indent=1))
    else:
        from pbb.console import console, counts_table

        console().print(counts_table(summary["left_out"], "left out because", "problems"))
        print(summary["note"])


@data.command("check")
def data_check(
    file: Annotated[Path, typer.Argument(help="A programs.jsonl.")],
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Run the programs, isolated by bubblewrap, and compare.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what is wrong with a file of programs, line by line; the exit code is 2 if anything is."""
    from collections import Counter

    from pbb.check import check
    from pbb.progress import Silent, watched

    with watched("check", None if allow_code else Silent()) as progress:
        programs, faults = check(file, allow_code, progress)
    counts = Counter(f.rule for f in faults)
    if as_json:
        rows = [vars(f) for f in faults]
        print(
            json.dumps(
                {"file": str(file), "programs": len(programs), "counts": counts, "faults": rows}, indent=1
            )
        )
    else:
        for f in faults:
            print(f"{file}:{f.line}: {f.rule}: {f.name + ': ' if f.name else ''}{f.text}")
        words = ", ".join(f"{n} {rule}" for rule, n in sorted(counts.items())) or "nothing is wrong"
        more = "" if allow_code else "; outputs were not executed (--allow-code)"
        print(f"{len(programs)} programs: {words}{more}")
    if faults:
        raise typer.Exit(2)


@data.command("show")
def data_show(
    file: Annotated[Path, typer.Argument(help="A programs.jsonl or documents.jsonl.")],
    count: Annotated[int, typer.Option("-n", min=1, help="Number of records.")] = 3,
) -> None:
    """Print the first records of a file of programs or documents."""
    if not file.is_file():
        raise PbbError(f"data: {file}: no such file: give a programs.jsonl or documents.jsonl")
    from pbb.console import print_records

    print_records(str(file), count)


machines.add(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; no exception leaves, and no traceback is printed."""
    arguments = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    warnings.filterwarnings("ignore", category=SyntaxWarning)  # about sources that others wrote
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

    command = " ".join(["pbb", *arguments])
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
