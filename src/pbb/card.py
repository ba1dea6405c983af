"""The data card: README.md beside the files that `pbb data make` writes, as Hugging Face `datasets` reads it.

Contract: `load_dataset(FOLDER, NAME)` loads each file by the name that the card's header gives it; every number is counted from the files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import yaml

from pbb.documents.corpus import read_documents
from pbb.programs.program import Program, read_programs
from pbb.report.scoreboard import GROUP_LABELS


def write_card(title: str, about: str, files: Sequence[Path], out: Path, ours: bool) -> Path:
    """Write README.md for files of programs (`programs*.jsonl`) and documents (all others) that lie in `out`.

    ours: whether pbb made the programs; others' have the licence that their origin tells, or an unknown one.
    """
    configs = [{"config_name": f.stem, "data_files": [{"split": "train", "path": f.name}]} for f in files]
    programs = {f: read_programs(f) for f in files if f.name.startswith("programs")}
    licenses = sorted({_license(p, ours) for known in programs.values() for p in known})
    known = licenses[0].lower() if len(licenses) == 1 and licenses[0] in ("Apache-2.0", "MIT") else "other"
    header = {
        "license": known,
        "pretty_name": title,
        "configs": configs,
        "tags": ["code", "programming-by-backprop"],
    }
    parts = [
        f"---\n{yaml.safe_dump(header, sort_keys=False)}---\n\n# {title}\n",
        " ".join(about.split()) + "\n",
    ]
    for f in files:
        parts.append(_programs(f, programs[f], ours) if f in programs else _documents(f))
    parts.append(
        "A value that JSON would change (a tuple, say) stands as a Python literal in the example's `exact` besides. "
        "Programs whose group is `source_only` (w/o IO) are never executed in any document.\n"
    )
    path = out / "README.md"
    path.write_text("\n".join(parts), encoding="utf-8")
    return path


def _license(p: Program, ours: bool) -> str:
    return str(p.origin.get("license", "Apache-2.0" if ours else "unknown"))


def _programs(file: Path, programs: Sequence[Program], ours: bool) -> str:
    groups = Counter(str(p.group) for p in programs)
    rows = [
        (
            "programs",
            f"{len(programs)}: {', '.join(f'{groups[g]} {label}' for g, label in GROUP_LABELS.items() if groups[g])}",
        ),
        ("families", _counted(Counter(p.family for p in programs))),
        (
            "examples",
            f"{sum(len(p.calls('train')) for p in programs)} train, {sum(len(p.calls('test')) for p in programs)} held out",
        ),
        (
            "with traces",
            f"{sum(bool(p.examples) and all(e.trace is not None for e in p.examples) for p in programs)} programs",
        ),
        ("length in statements", _counted(Counter(p.facts.length for p in programs))),
        ("lines of source", _spread([len(p.source.splitlines()) for p in programs])),
        ("operations", _counted(Counter(op for p in programs for op in p.facts.ops))),
        ("origin", _counted(Counter(_origin(p, ours) for p in programs))),
        ("licence", _counted(Counter(_license(p, ours) for p in programs))),
    ]
    return _table(file, rows)


def _documents(file: Path) -> str:
    documents = read_documents(file)
    kinds = Counter(
        "chat" if d.kind == "chat" else f"{d.kind}{' ' + d.ask if d.ask else ''}, {GROUP_LABELS[d.group]}"
        for d in documents
    )
    rows = [
        ("documents", str(len(documents))),
        ("kinds", _counted(kinds)),
        ("characters of a prompt", _spread([len(d.prompt) for d in documents])),
        ("characters of a completion", _spread([len(d.completion) for d in documents])),
    ]
    return _table(file, rows)


def _table(file: Path, rows: Sequence[tuple[str, str]]) -> str:
    return f"## {file.name}\n\n| | |\n|---|---|\n" + "".join(
        f"| {k} | {v.replace('|', chr(92) + '|')} |\n" for k, v in rows
    )


def _origin(p: Program, ours: bool) -> str:
    package = p.origin.get("package")
    if package:
        return f"{package} {p.origin.get('version', '')}".strip()
    return f"made by pbb, {p.family}" if ours else p.family


def _counted(counts: Counter[str] | Counter[int]) -> str:
    return ", ".join(f"{key}: {n}" for key, n in sorted(counts.items())) or "none"


def _spread(lengths: Sequence[int]) -> str:
    return f"{min(lengths)} to {max(lengths)}, median {median(lengths):g}" if lengths else "none"
