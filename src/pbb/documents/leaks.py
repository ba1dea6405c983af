"""The leak proof: what documents may say of programs that are to be known by their source alone, read off the lines of documents.jsonl.

Contract: knows programs, not how documents are made. A line is at fault if it calls a w/o IO program with values, is more than a declaration
of one, holds a row of one of its traces or an answer as a value, names one beside another program, or calls a w/ IO program on a held-out
input. Two programs of a group may be declared together where they are no composite's parts, and each is held to the rules. A composite's
parts are held to the same rules in its documents. What a source calls in its code it may, in a docstring or comment not, nor outside of its
functions. A chat may hold no call of a program, and no name of one but as an ordinary word.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib import resources
from typing import get_args

from pbb.documents.corpus import TOGETHER, Form, composed, disguised
from pbb.documents.render import Ask, Document, trace_text
from pbb.programs.apart import known_as
from pbb.programs.brought import tells
from pbb.programs.calls import START, Asked, uncoded, with_values
from pbb.programs.own_lines import lines
from pbb.programs.program import Group, Program

ANSWER = re.compile(
    r"(?:answer(?: is|:)|returns)[ \t]+([-+]?\d[\w.]*|['\"\[({].*|True|False|None)\.?[ \t]*$", re.I | re.M
)
WORD = re.compile(r"[a-z]+")
PROVEN = "no call with values, traced row or answer of a w/o IO program, no held-out call of a w/ IO one"
"""What there is to say where nothing is found. Calls are found as Python and Markdown write them; what plain words tell is not."""


def leaks(programs: Sequence[Program], lines: Iterable[bytes]) -> Iterator[tuple[int, str]]:
    """(line number, what is wrong with it) for every line at fault."""
    proof = _Proof(programs)
    for number, line in enumerate(lines, 1):
        for fault in proof.faults(line):
            yield number, fault


def telling(programs: Sequence[Program]) -> list[str]:
    """What w/o IO programs that somebody brought tell of their own answers; the sources of the other families are pbb's."""
    unseen = [p for p in programs if p.group == "source_only"]
    return [f"of {p.name} {text.rpartition(': ')[0]}" for p in unseen for text in tells(p)]


class _Proof:
    """What is known of the programs, by name, to hold lines against."""

    def __init__(self, programs: Sequence[Program]) -> None:
        self.known = {p.name: p for p in programs}
        self.unseen = [p for p in programs if p.group == "source_only"]
        self.named = self.known | {p.entry: p for p in programs}  # documents call entries
        self.pattern = _names(self.named)
        self.rows = {p.name: _trace_rows(p) for p in programs if p.group.startswith("source_only")}
        self.called = {p.name: known_as(p) for p in self.known.values()}
        self.apart = composed(programs)
        self.train = {p.name: Asked(p, p.calls("train")) for p in programs}
        self.test = {p.name: Asked(p, p.calls("test")) for p in programs}

    def faults(self, line: bytes) -> Iterator[str]:
        try:
            record = json.loads(line)
            text = f"{record['prompt']}\n{record['completion']}"
            if record.get("kind") == "chat":
                if named := self._of_chat(text):
                    yield f"is a chat that names {min(named)}"
                return
            p = self.known[record["program"]]
        except (ValueError, KeyError, TypeError):
            yield "is no document of these programs"
            return
        spoken = self._spoken(text) | self._spoken(line.decode("utf-8", "replace"))
        others = {q.name for q in map(self.named.__getitem__, spoken) if q.group.startswith("source_only")}
        beside = self._beside(p, record, spoken)
        if hidden := others - {p.name, *p.needs, *(q.name for q in beside)}:
            yield f"is filed under {p.name} and names {', '.join(sorted(hidden))}"
        if record.get("group") != p.group:
            yield f"says that {p.name} is of another group than it is"
        for q in (p, *p.parts, *beside):
            if found := self._calls(p, q, text):
                yield (
                    f"holds the held-out call {min(found)}"
                    if q.group.startswith("io")
                    else f"calls {q.name}, which is to be known by its source alone: {min(found)}"
                )
        if p.group.startswith("io"):
            return
        if record.get("kind") != "declaration":
            yield f"is no declaration, and of {p.name} nothing else may be trained on"
        told = record["completion"]
        for q in (p, *beside):
            if rows := self.rows[q.name].intersection(told.split("\n")):
                yield f"holds a row of a trace of {q.name}: {min(rows)}"
        if values := self._answers(p, told):
            yield f"gives an answer of {p.name}: {values[-1]}"

    def _spoken(self, text: str) -> set[str]:
        """The programs that a text names."""
        return {found[1] or found[2] for found in self.pattern.finditer(text)}

    def _of_chat(self, text: str) -> set[str]:
        """The programs that a chat is about: any talks of `total` or `divide`, and of such a word only a call tells."""
        return {name for name in self._spoken(text) if not WORD.fullmatch(name) or with_values(text, name)}

    def _beside(self, p: Program, record: dict[str, object], spoken: set[str]) -> list[Program]:
        """The program that a declaration of two shows with `p`, if it may."""
        if record.get("kind") != "declaration" or record.get("ask") not in TOGETHER or p.needs:
            return []
        named = {self.named[name].name for name in spoken} - {p.name}
        q = self.known[min(named)] if len(named) == 1 else p
        return [q] if q.group == p.group and frozenset((p.name, q.name)) not in self.apart else []

    def _calls(self, p: Program, q: Program, text: str) -> set[str]:
        """The calls of `q`, which is `p` or a part of it, that a document of `p` may not hold."""
        found: set[str] = set()
        for sources in self._shown(p):
            for source in sources:
                text = text.replace(source, uncoded(source))
            found = set(self.test[q.name].told(text))
            if q.group.startswith("source_only"):
                found = {
                    *(call for name in self.called[q.name] for call in with_values(text, name)),
                    *self.test[q.name].told(text),
                    *self.train[q.name].told(text),
                }
            if not found:
                break
        return found

    def _answers(self, p: Program, text: str) -> list[str]:
        """The values that a declaration gives as answers, beside what it declares: a docstring may say what a function returns."""
        found: list[str] = []
        for sources in self._shown(p):
            for source in [*sources, *([p.prose] if p.prose else [])]:
                text = text.replace(source, "")
            found = [said for said in ANSWER.findall(text) if _literal(said.rstrip(". \t"))]
            if not found:
                break
        return found

    def _shown(self, p: Program) -> Iterator[list[str]]:
        """The sources that a document may show: its program's and those of its parts; then, of w/o IO programs, all under its name."""
        yield [q.source.rstrip("\n") for q in (p, *p.parts) if q.source]
        if p.group == "source_only":
            yield [disguised(p, q).source.rstrip("\n") for q in self.unseen if q is not p]


def _names(known: Iterable[str]) -> re.Pattern[str]:
    """What names a program: its name anywhere; where that is a word of the phrasings, such as `trace`, a call, and no method's."""
    by_length = sorted(known, key=len, reverse=True)
    plain = [name for name in by_length if name in _phrased()]
    others = [name for name in by_length if name not in plain]
    anywhere, called = ("|".join(map(re.escape, some)) or "(?!)" for some in (others, plain))
    return re.compile(rf"{START}(?:({anywhere})(?![A-Za-z0-9_])|(?<!\.)({called})(?=\s*\())")


@cache
def _phrased() -> frozenset[str]:
    """The words in which documents are phrased, of whatever family, and filed."""
    folder = resources.files("pbb.documents") / "templates"
    texts = [path.read_text(encoding="utf-8") for path in folder.iterdir() if path.name.endswith(".yaml")]
    kinds = get_args(Document.model_fields["kind"].annotation)
    filed = {*Document.model_fields, *kinds, *get_args(Group), *get_args(Ask), *get_args(Form)}
    return frozenset(re.findall(r"\w+", "\n".join(texts))) | filed


def _trace_rows(p: Program) -> set[str]:
    """The rows of a program's traces that hold values, which no declaration has."""
    shown = set("\n".join([p.source, *lines(p)]).split("\n"))
    rows = {row for e in p.examples for row in trace_text(e.trace or []).split("\n")}
    return {row for row in rows if row and row not in shown}


def _literal(text: str) -> bool:
    """Whether it is a value, and no expression such as `''.join(rails)`, which a declaration may end in."""
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False
    return True
