"""The documents of a stage: which programs, how often, in which form; leaks ruled out by what may be asked for.

A mix is a list of shares, each so many documents a program, so that exposures stand in the recipe and nowhere else::

    - {kind: declaration, group: source_only, per_program: 30}
    - {kind: declaration, group: io, per_program: 4, form: part}
    - {kind: execution, group: io, per_program: 6, ask: recite}
    - {kind: chat, path: chats.jsonl, count: 1000}      # of others, see pbb.documents.chats

Executions of w/o IO programs cannot be written down at all: the share is refused, and only train inputs are drawn. Document k of
a share for a program depends on (seed, stage, share, program, k) alone. Shuffling across a whole stage keeps two renderings of one
program out of one training window.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from pbb.documents.chats import Chat, replayed
from pbb.documents.render import (
    Ask,
    Document,
    Representation,
    Templates,
    declaration,
    execution,
    pair,
    part,
    path,
    paths,
    recital,
)
from pbb.errors import PbbError
from pbb.programs.program import Group, Program
from pbb.programs.renaming import called_otherwise

Form = Literal["whole", "part", "path", "pair", "paths", "recital"]
TOGETHER = ("pair", "paths", "recital")
"""The forms that tell two programs of a group."""


def _ordered(some: tuple[int, int]) -> tuple[int, int]:
    if not 0 <= some[0] < some[1]:
        raise ValueError("give two numbers from 0, the smaller first")
    return some


Some = Annotated[int, Field(ge=1)] | Annotated[tuple[int, int], AfterValidator(_ordered)]
"""The first so many, or those from a place to another, counted from 0 and without the last."""


def span(some: Some | None, size: int) -> range:
    """Which of `size` things are meant: their places."""
    first, end = (0, size if some is None else some) if not isinstance(some, tuple) else some
    return range(min(first, size), min(end, size))


class Share(BaseModel):
    """One part of a stage's mix: `per_program` documents for each program of a group.

    form: what a declaration tells: the whole source, one step of it (part), or one way through it (path), or the whole of it or one
    way through it together with another program's of the group, drawn anew each time (pair, paths; both, as the recital of a composite tells
    its parts: recital); never those of a composite of the recipe.
    wrong: declarations under permuted names. context: executions with the source in the prompt, which keep the interpreter that the
    model came with. represent: the form in which declarations, recitals and contexts show the program.
    programs, inputs: only the first so many programs of the group, only the first so many train inputs of each, or `[from, to]` of them,
    counted from 0 and without the last; None for all.
    """

    model_config = ConfigDict(extra="forbid")
    kind: Literal["declaration", "execution"]
    group: Group
    per_program: float = Field(gt=0)
    ask: Ask | None = None
    form: Form = "whole"
    wrong: bool = False
    context: bool = False
    represent: Representation = "source"
    programs: Some | None = Field(None, exclude_if=lambda some: some is None)
    inputs: Some | None = Field(None, exclude_if=lambda some: some is None)

    @model_validator(mode="after")
    def _sensible(self) -> Share:
        if self.kind == "execution" and self.group in ("source_only", "source_only_composed"):
            raise ValueError("executions of w/o IO programs are never trained on: give group: io")
        if (self.kind == "execution") != (self.ask is not None):
            raise ValueError(
                "an execution needs ask: direct, trace, recite or sample; a declaration has none"
            )
        if self.kind == "execution" and (self.form != "whole" or self.wrong):
            raise ValueError("form and wrong are for declarations")
        if self.form in TOGETHER and self.group not in ("io", "source_only"):
            raise ValueError(f"form {self.form} is of single programs: give group: io or source_only")
        if self.kind == "declaration" and self.inputs is not None:
            raise ValueError("inputs is for executions: a declaration shows none")
        if self.context and (self.kind != "execution" or self.ask == "recite"):
            raise ValueError("context is for executions, direct or trace")
        if self.wrong and not self.permutable:
            raise ValueError("wrong permutes the sources of w/o IO programs: give group: source_only")
        return self

    @property
    def permutable(self) -> bool:
        """Whether it declares w/o IO programs, whose names can be permuted; a composite keeps its own source."""
        return self.kind == "declaration" and self.group == "source_only"


def planted(programs: Sequence[Program], seed: int) -> dict[str, Program]:
    """Wrong sources: for every w/o IO program the one whose source is taught under its name; nobody keeps their own.

    A composite's own source stays, its parts are the planted ones.
    """
    known = [p for p in programs if p.group == "source_only"]
    if len(known) < 2:
        raise PbbError("data.source_only: permuting sources takes at least two w/o IO programs")
    order = known.copy()
    random.Random(f"planted:{seed}").shuffle(order)
    swapped = {p.name: q for p, q in zip(order, order[1:] + order[:1], strict=True)}
    for p in programs:
        if p.group == "source_only_composed":
            parts = [disguised(q, swapped[q.name]) for q in p.parts]
            swapped[p.name] = p.model_copy(update={"parts": parts, "examples": []})
    return swapped


def disguised(p: Program, other: Program) -> Program:
    """`p` with the body of `other`: its name and group, another's source and prose, no examples."""
    return p.model_copy(
        update={
            "source": called_otherwise(other.source, other.entry, p.entry),
            "prose": other.prose,
            "statements": other.statements,
            "paths": other.paths,
            "examples": [],
        }
    )


def stage_documents(
    programs: Sequence[Program], mix: Sequence[Share | Chat], templates: Templates, *, stage: str, seed: int
) -> list[Document]:
    """All documents of a stage, shuffled.

    A fractional `per_program` gives some programs one document more than others, drawn by seed.
    """
    documents = []
    apart = composed(programs)
    swapped = planted(programs, seed) if any(isinstance(s, Share) and s.wrong for s in mix) else {}
    for number, share in enumerate(mix):
        if isinstance(share, Chat):
            documents += replayed(share, random.Random(f"chat:{seed}:{stage}:{number}"))
            continue
        known = [p for p in programs if p.group == share.group]
        for p in (known[place] for place in span(share.programs, len(known))):
            shown = disguised(p, swapped[p.name]) if share.wrong else p
            rng = random.Random(f"documents:{seed}:{stage}:{number}:{p.name}")
            whole, rest = divmod(share.per_program, 1)
            for _ in range(int(whole) + (rng.random() < rest)):
                if share.form in TOGETHER:
                    q = _partner(p, known, apart, share.form, rng)
                    beside = disguised(q, swapped[q.name]) if share.wrong else q
                    documents.append(_together(shown, beside, share, templates, rng))
                else:
                    documents.append(_document(shown, share, templates, rng))
    random.Random(f"shuffle:{seed}:{stage}").shuffle(documents)
    return documents


def composed(programs: Sequence[Program]) -> set[frozenset[str]]:
    """The names of the programs of each composite: never declared together."""
    return {frozenset(p.needs) for p in programs if p.needs}


def _partner(
    p: Program, known: Sequence[Program], apart: set[frozenset[str]], form: Form, rng: random.Random
) -> Program:
    """A program to be declared beside `p`, with which it is no composite of the recipe's (`apart`).

    Raises:
        PbbError: there is none.
    """
    choice = [q for q in known if q.name != p.name and frozenset((p.name, q.name)) not in apart]
    if not choice:
        raise PbbError(f"form {form}: no program to declare beside {p.name}: ask for more programs")
    return rng.choice(choice)


def _document(p: Program, share: Share, t: Templates, rng: random.Random) -> Document:
    if share.kind == "execution" and share.ask is not None:
        calls = p.calls("train")
        places = span(share.inputs, len(calls))
        if not places:
            raise PbbError(
                f"inputs: {p.name} has {len(calls)} train calls, none from place {places.start}: ask for earlier ones"
            )
        e = calls[rng.choice(places)]
        return execution(p, e, share.ask, t, rng, share.represent, share.represent if share.context else None)
    if share.form == "whole":
        return declaration(p, t, rng, share.represent)
    return part(p, t, rng) if share.form == "part" else path(p, t, rng)


def _together(p: Program, q: Program, share: Share, t: Templates, rng: random.Random) -> Document:
    if share.form == "pair":
        return pair(p, q, t, rng, share.represent)
    return paths(p, q, t, rng) if share.form == "paths" else recital(p, q, t, rng)


def write_documents(documents: Iterable[Document], path: Path) -> None:
    """Write documents.jsonl so that a reader sees either the whole file or none."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", encoding="utf-8") as f:
        for d in documents:
            f.write(json.dumps(d.model_dump(exclude_none=True), separators=(",", ":")) + "\n")
    os.replace(temporary, path)


def read_documents(path: Path) -> list[Document]:
    """Read documents.jsonl.

    Raises:
        PbbError: the file cannot be read, or a line is not a document.
    """
    documents = []
    try:
        with path.open(encoding="utf-8") as f:
            for number, line in enumerate(f, 1):
                try:
                    documents.append(Document.model_validate_json(line))
                except ValidationError as e:
                    raise PbbError(f"not a document: {path}:{number}: {e.errors()[0]['msg']}") from e
    except (OSError, UnicodeDecodeError) as e:
        raise PbbError(f"cannot read documents: {path}: {e}") from e
    return documents
