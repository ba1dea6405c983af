"""What an audit goes over, and what it finds: a step's folder with its record, and one check's verdict."""

from __future__ import annotations

import importlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pbb.graph import Step
from pbb.progress import Progress

Verdict = Literal["agrees", "differs", "not checked"]


@dataclass(frozen=True)
class Finding:
    """One check: what was held against what, with the verdict and its evidence in one line."""

    check: str
    verdict: Verdict
    detail: str


@dataclass(frozen=True)
class Made:
    """A step's folder in the run, its record, and the step of today's graph if it is the same."""

    folder: Path
    record: dict[str, Any]
    step: Step | None
    why: str
    """Why there may be no such step today."""

    @property
    def config(self) -> dict[str, Any]:
        return dict(self.record["config"])

    def parent(self, name: str) -> Path | None:
        """The folder of a parent, by the name of the input."""
        found = self.record["parents"].get(name)
        return self.folder.parent / found if found else None


def again(m: Made, name: str, check: str) -> Finding:
    """The step carried out anew in a folder of its own: is its file the same, byte for byte?

    Not where its code has changed, nor where that would execute programs of others: whoever made the run allowed it, the auditor did not.
    """
    if m.step is None:
        return Finding(check, "not checked", m.why)
    if m.config.get("data", {}).get("allow_code"):
        return Finding(check, "not checked", "programs of others are not executed by an audit")
    module, _, function = m.step.function.partition(":")
    inputs = {key: m.folder.parent / folder for key, folder in m.record["parents"].items()}
    with tempfile.TemporaryDirectory() as folder:
        getattr(importlib.import_module(module), function)(m.config, inputs, Path(folder), Progress())
        same = (Path(folder) / name).read_bytes() == (m.folder / name).read_bytes()
    return Finding(check, "agrees" if same else "differs", f"{name}, byte for byte")
