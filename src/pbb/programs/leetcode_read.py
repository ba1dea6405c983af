"""Reads LeetCodeDataset (arXiv 2504.14655) in both of its schemas, from a file or from the Hugging Face hub.

A line of either, shortened (`...` stands for prose and for more fields)::

    {"task_id": "two-sum", "prompt": "from typing import *...", "completion": "class Solution:\\n    def twoSum(self, ...",
     "entry_point": "Solution().twoSum", "input_output": [{"input": "nums = [2,7], target = 9", "output": "[0, 1]"}],
     "meta": {"question_id": 1, "difficulty": "Easy", "question_title": "Given an array..."}}                 v0.1 to v0.3.0
    {..., "question_id": 1, "difficulty": "Easy", "problem_description": "Given an array...", "tags": [...]}         v0.3.1

Contract: what cannot be read is left out and counted, line by line; nothing here is executed or evaluated.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pbb.errors import PbbError
from pbb.programs.leetcode_unwrap import LeftOut

LONGEST_LINE = 8 << 20
"""Bytes. The largest problem of the releases has less than a tenth of it."""
LONGEST_CODE = 50_000
ENTRY_POINT = re.compile(r"Solution\(\)\.([A-Za-z_]\w*)")
HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


class Problem(NamedTuple):
    """A problem as the data set has it. pairs: input and output as texts; statement: the prose, its examples included."""

    name: str
    statement: str
    completion: str
    method: str
    prompt: str
    pairs: list[tuple[str, str]]
    about: dict[str, Any]


class Fallen(NamedTuple):
    """A problem or line that was left out."""

    name: str
    reason: str
    detail: str = ""


def read_problems(
    source: str, report: Callable[[int], None] = lambda lines: None
) -> tuple[list[Problem], list[Fallen]]:
    """All problems of a .jsonl or .jsonl.gz, or of a hub id such as newfacade/LeetCodeDataset, and what was left out.

    Raises:
        PbbError: neither can be read at all.
    """
    problems: dict[str, Problem] = {}
    fallen: list[Fallen] = []
    rows = _file(Path(source)) if not is_hub(source) else _hub(source)
    for number, row in enumerate(rows, 1):
        where = f"line {number}"
        try:
            if isinstance(row, LeftOut):
                raise row
            problem = _problem(json.loads(row) if isinstance(row, bytes) else row)
            where = problem.name
            if where in problems:
                raise LeftOut("duplicate name")
            problems[where] = problem
        except LeftOut as e:
            fallen.append(Fallen(where, e.reason, e.detail))
        except (ValueError, RecursionError) as e:
            fallen.append(Fallen(where, "not JSON", str(e)))
        report(number)
    return list(problems.values()), fallen


def is_hub(source: str) -> bool:
    """Whether this is the id of a data set on the hub, and no file."""
    path = Path(source)
    return (
        not path.exists()
        and not path.name.endswith((".jsonl", ".gz", ".json"))
        and bool(HUB.fullmatch(source))
    )


def _file(path: Path) -> Iterator[bytes | LeftOut]:
    """The lines of a file, whether compressed or not; a compressed file that breaks off gives what there is."""
    try:
        with path.open("rb") as f:
            compressed = f.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if compressed else path.open("rb") as f:
            try:
                while line := f.readline(LONGEST_LINE):
                    if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
                        while (rest := f.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
                            pass
                        yield LeftOut("line too long", f"more than {LONGEST_LINE >> 20} MB")
                    elif line.strip():
                        yield line
            except (EOFError, zlib.error, gzip.BadGzipFile) as e:
                yield LeftOut("file breaks off", str(e))
    except OSError as e:
        raise PbbError(
            f"leetcode: cannot read {path}: {e.strerror or e}: give a .jsonl or .jsonl.gz of LeetCodeDataset, or its hub id"
        ) from e


def _hub(source: str) -> Iterator[dict[str, Any]]:
    """The rows of all splits of a data set of the hub."""
    try:
        import datasets

        splits = datasets.load_dataset(source)
    except Exception as e:  # of requests, of the file system, of datasets: none of them is ours to tell apart
        why = (str(e).strip().splitlines() or [type(e).__name__])[0][:200]
        raise PbbError(
            f"leetcode: {source}: cannot be loaded from the hub ({why}): download a .jsonl.gz of it, and give that file"
        ) from e
    for name in sorted(splits):
        yield from splits[name]


def _problem(row: Any) -> Problem:
    """Raises LeftOut where a row follows neither schema."""
    if not isinstance(row, dict):
        raise LeftOut("wrong schema", "no object")
    inner = row.get("meta")
    meta: dict[str, Any] = inner if isinstance(inner, dict) else row
    for key in ("task_id", "completion", "entry_point"):
        if not isinstance(row.get(key), str) or not row[key]:
            raise LeftOut("wrong schema", f"no {key}")
    name, completion, entry_point = row["task_id"], row["completion"], row["entry_point"]
    statement = row.get("problem_description") or meta.get("question_title") or row.get("query") or ""
    prompt, pairs = row.get("prompt", ""), row.get("input_output")
    if not isinstance(statement, str) or not isinstance(prompt, str) or not isinstance(pairs, list):
        raise LeftOut("wrong schema", "prompt, statement or input_output")
    given = [
        (p["input"], p["output"])
        for p in pairs
        if isinstance(p, dict) and isinstance(p.get("input"), str) and isinstance(p.get("output"), str)
    ]
    if len(given) < len(pairs):
        raise LeftOut("wrong schema", "input_output")
    "\n".join((name, statement, completion, prompt)).encode()  # halves of characters raise a ValueError
    if len(completion) + len(prompt) > LONGEST_CODE:
        raise LeftOut("too long", f"more than {LONGEST_CODE} characters")
    entry = ENTRY_POINT.fullmatch(entry_point)
    if entry is None:
        raise LeftOut("class design", entry_point[:80])
    about = {key: meta[key] for key in ("question_id", "difficulty") if isinstance(meta.get(key), (int, str))}
    return Problem(name, statement, completion, entry[1], prompt, given, about)


EXAMPLES = re.compile(
    r"\n\s*(Example|Examples|Input|Output|Constraints|Follow[- ]?up|Note)\b[^\n]{0,20}:|```|Please complete the following"
)
PARAGRAPH = re.compile(r"\n\s*\n")
SENTENCE = re.compile(r"(?<=[.!?:])\s+|\n+")
TELLING = re.compile(
    r"\bexample|\binstance\b|\be\.g\.|\bi\.e\.|\binput\s*:|\boutput\s*:|->|=>|class Solution", re.IGNORECASE
)


def _untelling(text: str) -> Iterator[str]:
    """The sentences that hold no example, nor what one announces: the rest of its paragraph, or where nothing is left of that the next one."""
    announced = False
    for paragraph in PARAGRAPH.split(text):
        sentences = [s for s in SENTENCE.split(paragraph) if s.strip()]
        for place, sentence in enumerate(sentences):
            if announced:
                announced = False
                break
            if not TELLING.search(sentence):
                yield sentence
            elif sentence.rstrip().endswith(":"):
                announced = place == len(sentences) - 1
                break


def word_problem(problem: Problem, length: int) -> str:
    """The statement as a pointer: no more than `length` characters, cut between words, on one line.

    Nothing of it tells what the program gives for an input: it ends before the first example, and sentences that hold one are left out,
    as is what follows one that announces some, to the end of its paragraph.
    """
    text = problem.statement
    if "### Question:" in text:
        text = text.partition("### Question:")[2]
    cut = EXAMPLES.search(text)
    words = " ".join(_untelling(text[: cut.start()] if cut else text)).split()
    kept = ""
    for word in words:
        if len(kept) + len(word) + bool(kept) > length:
            break
        kept += " " * bool(kept) + word
    return kept
