"""The commands of `pbb` about data: `data make`, `data leetcode`, `data check`, `data show`, and `harvest`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pbb.errors import PbbError
from pbb.options import AsJson, Model, RecipeName, Seeds, Settings

data = typer.Typer(help="Make and look at the data of a recipe.", rich_markup_mode=None)


def add(app: typer.Typer) -> None:
    """Add these commands to the application."""
    app.add_typer(data, name="data")
    app.command("harvest")(harvest_command)


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

    if not package:
        raise PbbError("harvest: no package named: give an installed package, a folder, or a file")
    if out.is_dir():
        raise PbbError(f"harvest: --out {out}: is a folder: name a file")
    if out.exists():
        raise PbbError(f"harvest: --out {out}: is there already: name another file, or delete it")
    places = locate(package)
    with watched("harvest") as progress:
        found = harvest(places, allow_code, progress)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_programs(found.programs, out)
    if as_json:
        told = {
            "file": str(out),
            "programs": len(found.programs),
            "fell": found.fell,
            "refused": found.refused,
        }
        print(json.dumps(told, indent=1))
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
    from pbb.experiment import make_data, notices
    from pbb.progress import display
    from pbb.recipe_file import load

    loaded, shown = load(recipe, settings, model, seeds), display()
    for line in notices(loaded):
        shown.line(line)
    for path in make_data(loaded, out, shown):
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
    if file.is_dir():
        raise PbbError(
            f"data: {file} is a folder: give a programs.jsonl or documents.jsonl, such as one in it"
        )
    if not file.is_file():
        raise PbbError(f"data: {file}: no such file: give a programs.jsonl or documents.jsonl")
    with file.open("rb") as content:
        if not any(line.strip() for line in content):
            raise PbbError(
                f"data: {file} holds nothing: give a programs.jsonl or documents.jsonl with records in it"
            )
    from pbb.console import print_records

    print_records(str(file), count)
