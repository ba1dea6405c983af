"""Programs as text: declarations, executions, and the questions of the evaluation.

One program, three of its documents (prompt => completion)::

    What is Zibdax(x)? Write its source.      =>  def Zibdax(x):\\n    a = x * 3\\n    return a
    Compute Zibdax(x). Only step 1.           =>  a = x * 3
    Find Zibdax(x). Step by step.             =>  a = x * 3\nAnswer: a
    Tell me Zibdax(7). Source, then steps.    =>  def Zibdax(x):\\n    a = x * 3\\n    return a\\na = 7 * 3 = 21\\nAnswer: 21

A *pointer* names the program; the *instruction* says how to answer. Which phrasing a document gets is drawn by the caller's
random stream, out of the first n of each list (the augmentation dial).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from importlib import resources
from string import Formatter
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, model_validator

from pbb.errors import PbbError
from pbb.programs.compose import composite
from pbb.programs.names import unruled
from pbb.programs.program import Example, Program, TraceStep

Ask = Literal["direct", "trace", "recite", "sample"]
"""`sample` leaves the input open: any output will do, such as any string of a grammar. Only some families have phrasings for it."""
Representation = Literal["source", "prose"]
ASKS: tuple[Ask, ...] = ("direct", "trace", "recite")


class Templates(BaseModel):
    """The phrasings of one family (see templates/*.yaml, which may extend one another key by key); `cut` takes the first n of each list."""

    model_config = ConfigDict(extra="forbid")
    pointers: list[str]
    instructions: dict[str, list[str]]
    openings: list[str]
    closings: list[str]
    tails: list[str]

    @model_validator(mode="after")
    def _formattable(self) -> Templates:
        """Braces are for the fields of a list and for nothing else: no attributes, no widths of a gigabyte."""
        instructions = [text for texts in self.instructions.values() for text in texts]
        for name, texts, fields in (
            ("pointers", self.pointers, ("call", "statement")),
            ("instructions", instructions, ("k",)),
            ("closings", self.closings, ("answer",)),
        ):
            for text in texts:
                for _, field, width, conversion in Formatter().parse(
                    text
                ):  # raises a ValueError at a brace alone
                    if field is not None and (field not in fields or width or conversion):
                        raise ValueError(
                            f"{name}: {text[:40]!r}: only {' and '.join(fields)} may stand in braces"
                        )
        return self

    def cut(self, prompt: int, response: int) -> Templates:
        """Only the first `prompt` pointers (and as many instructions) and the first `response` response phrasings."""
        if not 1 <= prompt <= len(self.pointers) or not 1 <= response <= len(self.openings):
            raise PbbError(
                f"templates: {prompt} prompt and {response} response phrasings asked for: 1 to {len(self.pointers)} exist"
            )
        return Templates(
            pointers=self.pointers[:prompt],
            instructions={k: v[:prompt] for k, v in self.instructions.items()},
            openings=self.openings[:response],
            closings=self.closings[:response],
            tails=self.tails[:response],
        )


@cache
def templates(family: str) -> Templates:
    """The phrasings of a family.

    Raises:
        PbbError: the family has none.
    """
    path = resources.files("pbb.documents") / "templates" / f"{family}.yaml"
    if not path.is_file():
        raise PbbError(
            f"no templates for program family {family!r}: expected {path.name} among the templates"
        )
    words = yaml.safe_load(path.read_text(encoding="utf-8"))
    base = words.pop("extends", None)
    return Templates.model_validate((templates(base).model_dump() if base else {}) | words)


class Document(BaseModel):
    """What the model is trained on: the loss falls on `completion` alone. One line of documents.jsonl."""

    prompt: str
    completion: str
    program: str
    group: str
    kind: Literal["declaration", "execution", "chat"]
    ask: str | None = None


def trace_text(steps: Sequence[TraceStep | str]) -> str:
    """The executed statements, one a line: `a = 7 * 3 = 21`, `21 > 40 False: b = min(21, 12) = 12`."""
    rows = []
    for s in steps:
        if isinstance(s, str):
            rows.append(s)
            continue
        value = repr(s.value)
        row = f"{s.target} = {value}" if s.expression == value else f"{s.target} = {s.expression} = {value}"
        rows.append(f"{s.test} {s.outcome}: {row}" if s.test is not None else row)
    return "\n".join(rows)


def declared(p: Program, representation: Representation) -> str:
    """The program in the representation that declarations show."""
    text = p.source if representation == "source" else p.prose
    if not text:
        raise PbbError(f"program {p.name} has no {representation}: bring it or choose another representation")
    return text.rstrip("\n")


def shown(p: Program, representation: Representation) -> str:
    """What a recital writes and a context holds: the program; of a composite its own source, where it has one, and those of its parts."""
    if not p.needs:
        return declared(p, representation)
    own = [] if p.only_named else [declared(p, representation)]
    named = "" if representation == "source" else "{}: "
    return "\n".join([*own, *(named.format(q.entry) + declared(q, representation) for q in p.parts)])


def pointer(t: Templates, rng: random.Random, call: str, statement: str = "") -> str:
    """A pointer drawn from its list, with the statement of the program where the phrasing holds one."""
    return rng.choice(t.pointers).format(call=call, statement=statement).strip()


def prompt(
    t: Templates, rng: random.Random, call: str, instruction: str, statement: str = "", **fields: object
) -> str:
    """A pointer and an instruction, each drawn from its list.

    Raises:
        PbbError: the family has no phrasings for the instruction.
    """
    if instruction not in t.instructions:
        raise PbbError(f"templates: no instructions for {instruction!r}: ask this family for something else")
    words = rng.choice(t.instructions[instruction])
    return pointer(t, rng, call, statement) + " " + words.format(**fields)


def declaration(
    p: Program, t: Templates, rng: random.Random, representation: Representation = "source"
) -> Document:
    """Pointer => the whole source (or prose)."""
    text = rng.choice(t.openings) + declared(p, representation)
    return Document(
        prompt=prompt(t, rng, p.head(), representation, p.statement),
        completion=text,
        program=p.name,
        group=p.group,
        kind="declaration",
    )


def part(p: Program, t: Templates, rng: random.Random) -> Document:
    """Pointer and a number => that statement alone: a declaration that asks for one step of the source."""
    if not p.statements:
        raise PbbError(
            f"program {p.name} has no statements: leave shares of form part out, or bring statements"
        )
    k = rng.randrange(len(p.statements))
    return Document(
        prompt=prompt(t, rng, p.head(), "part", p.statement, k=k + 1),
        completion=p.statements[k],
        program=p.name,
        group=p.group,
        kind="declaration",
        ask="part",
    )


def path(p: Program, t: Templates, rng: random.Random) -> Document:
    """Pointer => one way through the source, as a trace shows it but with variables in place of values.

    A trace has to begin in the middle of what a declaration tells in order (an else branch without its if); this is the declaration
    of that shape. It says nothing that the source does not.
    """
    rows = [rng.choice(ways) for ways in _ways(p)]
    result = p.source.rstrip().rpartition("return ")[2]
    return Document(
        prompt=prompt(t, rng, p.head(), "trace", p.statement),
        completion="\n".join([*rows, rng.choice(t.closings).format(answer=result)]),
        program=p.name,
        group=p.group,
        kind="declaration",
        ask="path",
    )


def pair(
    p: Program, q: Program, t: Templates, rng: random.Random, representation: Representation = "source"
) -> Document:
    """Pointer at `q` of what `p` gives => both sources, in the order in which they would run; neither is run.

    A declaration of one program teaches to find it by the name in the question. Here the names stand side by side, and each has to be
    found by its own, as in an answer about a composite.
    """
    return Document(
        prompt=prompt(t, rng, f"{q.entry}({p.head()})", representation),
        completion=rng.choice(t.openings) + declared(p, representation) + "\n" + declared(q, representation),
        program=p.name,
        group=p.group,
        kind="declaration",
        ask="pair",
    )


def paths(p: Program, q: Program, t: Templates, rng: random.Random) -> Document:
    """The same of one way through each (see `path`), under the heads that the trace of a composite has."""
    rows = [row for r in (p, q) for row in (f"{r.head()}:", *(rng.choice(ways) for ways in _ways(r)))]
    result = q.source.rstrip().rpartition("return ")[2]
    return Document(
        prompt=prompt(t, rng, f"{q.entry}({p.head()})", "trace"),
        completion="\n".join([*rows, rng.choice(t.closings).format(answer=result)]),
        program=p.name,
        group=p.group,
        kind="declaration",
        ask="paths",
    )


def recital(p: Program, q: Program, t: Templates, rng: random.Random) -> Document:
    """Pointer at a composite of no recipe and, as far as its answer is known, its source => both sources, then one way through each.

    In the recital of a composite that has a source of its own the names of its parts stand in the answer alone. Here they are found by
    these; the composite, under a name drawn for it, stands in the question, so that nothing is to be learned of it.
    """
    both = composite(p, q, p.group, unruled(rng))
    pointing = prompt(t, rng, both.head(), "recite")
    told = [declared(r, "source") for r in both.parts]
    for r, (call,) in zip(both.parts, both.paths, strict=True):
        told += [call, *(rng.choice(ways) for ways in _ways(r))]
    return Document(
        prompt=f"{pointing}\n{rng.choice(t.openings)}{declared(both, 'source')}",
        completion="\n".join([*told, rng.choice(t.closings).format(answer="b")]),
        program=p.name,
        group=p.group,
        kind="declaration",
        ask="recital",
    )


def _ways(p: Program) -> list[list[str]]:
    if not p.paths or not all(p.paths):
        raise PbbError(
            f"program {p.name} has no paths: leave shares of form path, paths and recital out, or bring paths"
        )
    return p.paths


def answer(
    p: Program,
    e: Example,
    ask: Ask,
    t: Templates,
    rng: random.Random,
    representation: Representation = "source",
) -> str:
    """What a perfect model writes when asked for a call in one of the ways; of a sample, what it may write.

    Without a trace the answer of a recital follows the source at once.
    """
    value = repr(e.output)
    if ask in ("direct", "sample"):
        return value + rng.choice(t.tails)
    if e.trace is None and ask == "recite":
        return (
            rng.choice(t.openings)
            + declared(p, representation)
            + "\n"
            + rng.choice(t.closings).format(answer=value)
        )
    if e.trace is None:
        raise PbbError(f"program {p.name} has no traces: ask direct or recite, or bring traces")
    steps = trace_text(e.trace) + "\n" + rng.choice(t.closings).format(answer=value)
    return steps if ask == "trace" else rng.choice(t.openings) + shown(p, representation) + "\n" + steps


def question(
    p: Program, e: Example, ask: Ask, t: Templates, rng: random.Random, context: Representation | None = None
) -> str:
    """The prompt that asks for a call; with `context` the program stands above it (in-context)."""
    words = prompt(t, rng, p.head() if ask == "sample" else p.call(e), ask, p.statement)
    return words if context is None else shown(p, context) + "\n" + words


def execution(
    p: Program,
    e: Example,
    ask: Ask,
    t: Templates,
    rng: random.Random,
    representation: Representation = "source",
    context: Representation | None = None,
) -> Document:
    """A call and how it is answered; with `context` the program stands in the prompt."""
    return Document(
        prompt=question(p, e, ask, t, rng, context),
        completion=answer(p, e, ask, t, rng, representation),
        program=p.name,
        group=p.group,
        kind="execution",
        ask=ask,
    )
