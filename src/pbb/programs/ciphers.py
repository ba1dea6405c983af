"""The set of ciphers of a recipe: programs w/ IO and w/o IO on words and nonsense strings, no twins.

No two programs of a set behave alike on a common set of probes (Caesar by 3 and the undoing of Caesar by 7 over ten letters are one and the
same), and no w/o IO program gives the outputs of any other program on the calls that it is evaluated on. Kinds take turns; one whose
keys are used up leaves its turns to the others, so short alphabets are mostly Vigenere and keyword substitution.

Every program has texts of one length, drawn for it, so that scores by length are scores by length of the text. With `shift: argument` a call is
`Zibdax('bed', 3)`: the train calls' shifts are then flat or skewed as in C4, the held-out calls' go through all shifts in turn (the
paper's experiment on robustness; `pbb.evaluation.shifts` breaks scores down by shift).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from pbb.errors import PbbError
from pbb.programs.cipher import (
    ALPHABET,
    KINDS,
    SHIFTED,
    VOWELS,
    Cipher,
    draw,
    nonsense,
    paths,
    run,
    shifts,
    source,
    statements,
    word,
)
from pbb.programs.cipher_prose import parse, prose
from pbb.programs.compose import Compose, Trace, composites
from pbb.programs.family import Data, Report
from pbb.programs.names import Shelf, names
from pbb.programs.program import Example, Facts, Group, Program, Split
from pbb.programs.random_arithmetic import verify

PATIENCE = 200
PROBES = 24

Call = tuple[str, int | None]
"""The text and the shift of a call, None where it has none."""


class Ciphers(Data):
    """Ciphers in a recipe.

    alphabet: texts are of the first so many letters. letters: the shortest and the longest text. strings: what is encoded. shift: whether it is
    part of the program (`key`) or of the call (`argument`); shifts: how those of the train calls are drawn, if of the call: all alike,
    as C4 has them, or the first half so and the second so (`both`; a share's `inputs` tells them apart).
    compose: ciphers that call two of the set, beside them, for texts of one length.
    """

    code = (
        "pbb.programs.cipher",
        "pbb.programs.cipher_prose",
        "pbb.programs.ciphers",
        "pbb.programs.random_arithmetic",
        "pbb.programs.compose",
    )
    templates = "ciphers"
    family: Literal["ciphers"] = "ciphers"
    kinds: list[str] = Field(default_factory=lambda: list(KINDS))
    direction: Literal["encode", "decode", "both"] = "both"
    alphabet: int = Field(10, ge=5, le=len(ALPHABET))
    letters: tuple[int, int] = (3, 5)
    strings: Literal["words", "nonsense", "both"] = "both"
    shift: Literal["key", "argument"] = "key"
    shifts: Literal["flat", "c4", "both"] = "flat"
    compose: Compose | None = Field(None, exclude_if=lambda dials: dials is None)

    @model_validator(mode="after")
    def _ranges(self) -> Ciphers:
        if unknown := [k for k in self.kinds if k not in KINDS]:
            raise ValueError(f"kinds: no {unknown[0]!r}: choose from {', '.join(KINDS)}")
        if not self.kinds or len(set(self.kinds)) < len(self.kinds):
            raise ValueError("kinds: give at least one, each once")
        if not 2 <= self.letters[0] <= self.letters[1] <= 40:
            raise ValueError("letters: give two numbers from 2 to 40, the smaller first")
        if "rail fence" in self.kinds and self.shift == "key" and self.letters[0] < 3:
            raise ValueError("letters: a rail fence needs at least 3: raise the first, or leave it out")
        fixed = [k for k in self.kinds if k not in SHIFTED]
        if self.shift == "argument" and fixed:
            raise ValueError(f"kinds: {fixed[0]} has no shift to be an argument: {', '.join(SHIFTED)} have")
        if self.shift == "argument" and self.compose:
            raise ValueError(
                "compose: a cipher that is called with a shift composes with none: set shift: key"
            )
        if self.shift == "key" and self.shifts != "flat":
            raise ValueError(f"shifts: {self.shifts} is for shifts that the calls give: set shift: argument")
        exist = texts(self.strings, self.alphabet, self.letters[0])
        if self.train_inputs + self.test_inputs > 0.9 * exist:  # all of them would take long to draw
            raise ValueError(
                f"letters: {exist} texts of {self.letters[0]} letters exist over {self.alphabet}: "
                "ask for fewer inputs, or for longer texts"
            )
        return self

    def programs(self, seed: int, asked: int, report: Report) -> list[Program]:
        """As drawn by `ciphers`, then held against real execution."""
        drawn = ciphers(self, seed, asked)
        if self.compose:
            drawn += self._composites(self.compose, drawn, seed, asked)
        verify(drawn, lambda done: report(done, len(drawn), "executed"))
        return drawn

    def _composites(self, dials: Compose, singles: list[Program], seed: int, asked: int) -> list[Program]:
        known = {p.name: parse(p.prose or "") for p in singles}

        def value(p: Program, given: str, trace: Trace | None) -> str:
            rows: list[str] | None = None if trace is None else []
            result = run(known[p.name], given, None, rows)
            if trace is not None:
                trace += rows or []
            return result

        def inputs(first: Program, second: Program, rng: random.Random) -> list[str]:
            length = first.facts.length
            wanted = 0 if length != second.facts.length else self.train_inputs + self.test_inputs
            drawn: dict[str, None] = {}
            while len(drawn) < wanted:
                plain = text(rng, self.strings, self.alphabet, length)
                drawn[call(known[first.name], plain, None)[0]] = None
            return list(drawn)

        return composites(
            singles,
            dials,
            run=value,
            inputs=inputs,
            seed=seed,
            train_inputs=self.train_inputs,
            test_inputs=self.test_inputs,
            asked=asked,
            length=max,
        )


def program(
    name: str, c: Cipher, group: Group, calls: dict[Split, list[Call]], length: int, origin: dict[str, Any]
) -> Program:
    """The record of one cipher, with an example (output and rows of working) for each call."""
    examples = []
    for split, given in calls.items():
        for text, shift in given:
            trace: list[str] = []
            output = run(c, text, shift, trace)
            args = [text] if shift is None else [text, shift]
            examples.append(Example(args=args, output=output, split=split, trace=trace))
    return Program(
        name=name,
        entry=name,
        source=source(name, c),
        prose=prose(c),
        statements=statements(c),
        paths=paths(c),
        family="ciphers",
        group=group,
        examples=examples,
        facts=Facts(length=length, ops=[c.kind, "decode" if c.decode else "encode"], loops=1),
        origin=origin,
    )


def text(rng: random.Random, strings: str, size: int, length: int) -> str:
    """A word, a nonsense string, or either."""
    made = rng.choice((word, nonsense)) if strings == "both" else word if strings == "words" else nonsense
    return made(rng, size, length)


def texts(strings: str, size: int, length: int) -> int:
    """How many texts of a length there are."""
    if strings != "words":
        return int(size**length)
    vowels = sum(c in VOWELS for c in ALPHABET[:size])
    long, short = (length + 1) // 2, length // 2
    return sum(a**long * b**short for a, b in ((vowels, size - vowels), (size - vowels, vowels)))


def call(c: Cipher, plain: str, shift: int | None) -> Call:
    """The call about a plain text: that of a decoder gets what encodes it, so that its output is the plain text."""
    if not c.decode:
        return plain, shift
    encoder = Cipher(c.kind, c.size, False, c.shift, c.step, c.word)
    return run(encoder, plain, shift), shift


def _calls(rng: random.Random, c: Cipher, data: Ciphers, length: int) -> dict[Split, list[Call]]:
    """Calls of both splits on distinct texts."""
    wanted = data.train_inputs + data.test_inputs
    drawn: dict[str, None] = {}
    while len(drawn) < wanted:
        drawn[text(rng, data.strings, data.alphabet, length)] = None
    chosen: list[int | None] = [None] * wanted
    if data.shift == "argument":
        known, weights = zip(*shifts(data.alphabet, data.shifts == "c4"), strict=True)
        chosen[: data.train_inputs] = rng.choices(known, weights, k=data.train_inputs)
        if data.shifts == "both":
            skewed = [weight for _, weight in shifts(data.alphabet, True)]
            half = data.train_inputs // 2
            chosen[half : data.train_inputs] = rng.choices(known, skewed, k=data.train_inputs - half)
        held = [known[i % len(known)] for i in range(data.test_inputs)]
        first = rng.randrange(len(known))
        chosen[data.train_inputs :] = [(k + first - 1) % len(known) + 1 for k in held]
    made = [call(c, t, k) for t, k in zip(drawn, chosen, strict=True)]
    return {"train": made[: data.train_inputs], "test": made[data.train_inputs :]}


def acceptable(c: Cipher, calls: Sequence[Call]) -> bool:
    """Whether it changes the text in at least three of four calls."""
    return 4 * sum(run(c, t, k) == t for t, k in calls) <= len(calls)


def _probes(data: Ciphers) -> list[Call]:
    """Calls that tell any two ciphers of the dials apart if anything does."""
    rng = random.Random("probes")
    texts = [nonsense(rng, data.alphabet, data.letters[1]) for _ in range(PROBES)]
    return [(t, None if data.shift == "key" else i % (data.alphabet - 1) + 1) for i, t in enumerate(texts)]


def distinct(data: Ciphers, seed: int) -> list[Cipher]:
    """`io` + `source_only` ciphers that behave differently from each other, kinds in turn; cipher i of a kind depends on (seed, i) only.

    Raises:
        PbbError: the dials leave too few.
    """
    wanted = data.io + data.source_only
    probes = _probes(data)
    found: dict[tuple[str, ...], Cipher] = {}
    open_kinds = dict.fromkeys(data.kinds, 0)
    while open_kinds:
        for kind in list(open_kinds):
            for _ in range(PATIENCE):
                rng = random.Random(f"ciphers:{seed}:{kind}:{open_kinds[kind]}")
                open_kinds[kind] += 1
                decode = rng.random() < 0.5 if data.direction == "both" else data.direction == "decode"
                c = draw(rng, kind, data.alphabet, decode, data.shift == "argument", data.letters[1])
                behaviour = tuple(run(c, t, k) for t, k in probes)
                if behaviour not in found and acceptable(c, probes):
                    found[behaviour] = c
                    break
            else:
                del open_kinds[kind]
            if len(found) == wanted:
                return list(found.values())
    raise PbbError(
        f"data: only {len(found)} of {wanted} different ciphers of {', '.join(data.kinds)} exist over {data.alphabet} letters: "
        "ask for fewer programs, or allow more letters or kinds"
    )


def ciphers(data: Ciphers, seed: int, asked: int | None = None, shelf: Shelf = "recipe") -> list[Program]:
    """The programs of a set, w/o IO ones first.

    The evaluation asks the first `asked` held-out calls (by default all): a w/o IO program's are drawn until its outputs on those
    differ from every other program's.

    Raises:
        PbbError: the dials leave too few ciphers, or a w/o IO one has a twin on all calls.
    """
    drawn = distinct(data, seed)
    rng = random.Random(f"split:{seed}")
    rng.shuffle(drawn)
    programs = []
    for row, (name, c) in enumerate(zip(names(len(drawn), seed, shelf), drawn, strict=True)):
        group: Group = "source_only" if row < data.source_only else "io"
        calls, length = _told_apart(c, drawn, data, group, asked, random.Random(f"calls:{seed}:{row}"))
        programs.append(program(name, c, group, calls, length, {"seed": seed, "index": row}))
    return programs


def _told_apart(
    c: Cipher,
    all_of_them: Sequence[Cipher],
    data: Ciphers,
    group: Group,
    asked: int | None,
    rng: random.Random,
) -> tuple[dict[Split, list[Call]], int]:
    """Calls, and the length of their texts, on which no other cipher gives what this one does."""
    for _ in range(PATIENCE):
        shortest = max(data.letters[0], c.step + 1) if c.kind == "rail fence" else data.letters[0]
        length = rng.randint(shortest, data.letters[1])
        calls = _calls(rng, c, data, length)
        held = calls["test"][:asked]
        if not acceptable(c, calls["train"] + calls["test"]):
            continue
        if group == "io" or not any(_twins(c, other, held) for other in all_of_them if other is not c):
            return calls, length
    raise PbbError(
        f"data: a {c.kind} cipher has a twin on any {len(held)} held-out calls: ask for more of them, or for longer texts"
    )


def _twins(c: Cipher, other: Cipher, calls: Sequence[Call]) -> bool:
    return all(run(c, t, k) == run(other, t, k) for t, k in calls)
