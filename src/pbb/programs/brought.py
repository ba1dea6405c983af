"""Programs that a user brings: a recipe's set drawn from a `programs.jsonl`."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Literal

from pbb.errors import PbbError
from pbb.programs.family import Data, Report
from pbb.programs.program import Program, read_programs


class Brought(Data):
    """Programs from a file. Which of them are w/ IO and w/o IO is drawn by the seed."""

    code = ("pbb.programs.brought",)
    templates = "python"
    family: Literal["file"] = "file"
    path: str

    def programs(self, seed: int, asked: int, report: Report) -> list[Program]:
        """`io` and `source_only` of the file's programs, each with as many examples of both splits as asked for."""
        known = read_programs(Path(self.path))
        if len(known) < self.io + self.source_only:
            raise PbbError(
                f"data: {self.path} holds {len(known)} programs, {self.io + self.source_only} are asked for: "
                "lower data.io or data.source_only"
            )
        drawn = random.Random(f"split:{seed}").sample(known, self.io + self.source_only)
        return [
            p.model_copy(
                update={
                    "group": "source_only" if i < self.source_only else "io",
                    "examples": p.calls("train")[: self.train_inputs] + p.calls("test")[: self.test_inputs],
                }
            )
            for i, p in enumerate(drawn)
        ]

    def digest(self) -> str:
        """Of the file's bytes."""
        try:
            return hashlib.sha256(Path(self.path).read_bytes()).hexdigest()[:16]
        except OSError as e:
            raise PbbError(f"data.path: cannot read {self.path}: {e.strerror}: give a programs.jsonl") from e
