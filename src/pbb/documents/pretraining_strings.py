"""What the embedded base reads to carry letters: strings taken apart, single letters moved, fresh ciphers and grammars in context.

As in `pbb.documents.pretraining` no document runs a program that does not stand in its prompt, and every name is from the shelf that no
recipe draws from.

Item i depends on (seed, i) only.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from pbb.documents.render import (
    Document,
    Representation,
    Templates,
    declaration,
    declared,
    execution,
    part,
    path,
    prompt,
    templates,
)
from pbb.programs.cipher import ALPHABET, KINDS, SHIFTED, draw
from pbb.programs.ciphers import call, program, text
from pbb.programs.grammar import START, Rules, derivations, step
from pbb.programs.grammar import draw as draw_rules
from pbb.programs.grammars import program as grammar
from pbb.programs.program import Program

SHARES = {
    "trace": 0.30,
    "direct": 0.10,
    "recite": 0.08,
    "part": 0.03,
    "path": 0.05,
    "source": 0.04,
    "drill": 0.40,
}
SPELLING = 0.6
"""How many of the drills only take strings apart or put them together: copying letters is what everything else waits for (docs/lab-notes.md)."""
GRAMMARS = 0.4
"""How many of the documents are about grammars; the others are about ciphers."""
PROSE = 0.12
SIZE = 10
WORD = 8
LETTERS = (2, 6)
ARGUMENT = 0.15
"""How often a cipher that can have its shift from the call has."""


def fresh_cipher(rng: random.Random, name: str) -> Program:
    """A cipher that is made up on the spot, with one example on a word or nonsense."""
    kind = rng.choice(KINDS)
    length = rng.randint(max(3, LETTERS[0]) if kind == "rail fence" else LETTERS[0], LETTERS[1])
    argument = kind in SHIFTED and rng.random() < ARGUMENT
    c = draw(rng, kind, SIZE, rng.random() < 0.5, argument, length)
    shift = rng.randrange(1, SIZE) if argument else None
    return program(name, c, "io", {"train": [call(c, text(rng, "both", SIZE, length), shift)]}, length, {})


def drilled(t: Templates, rng: random.Random, shown: str, value: str) -> Document:
    """An expression that is asked for directly, without a program."""
    return Document(
        prompt=prompt(t, rng, shown, "direct"),
        completion=value + rng.choice(t.tails),
        program="",
        group="io",
        kind="execution",
        ask="direct",
    )


def letter_drill(rng: random.Random, t: Templates) -> Document:
    """One letter moved, as in the middle of a trace: `What is h + 3? Only the answer.`; or its number, counted from 0."""
    at = rng.randrange(SIZE)
    if rng.random() < 0.15:
        shown, value = f"letters.index('{ALPHABET[at]}')", str(at)
    else:
        move, sign = rng.randrange(2 * SIZE + 1), rng.choice("+-")
        shown = f"{ALPHABET[at]} {sign} {move}"
        value = ALPHABET[(at + move if sign == "+" else at - move) % SIZE]
    return drilled(t, rng, shown, value)


def spelling(rng: random.Random, t: Templates, letters: str) -> Document:
    """A string taken apart or put together, as code says it: `Find ['aSd', 'cb', 'd'][1]. Only the answer.`"""

    def some() -> str:
        return "".join(rng.choice(letters) for _ in range(rng.randint(1, WORD)))

    text = some()
    kind = rng.choice(("place", "item", "list", "join"))
    value: object
    if kind == "place":
        at = rng.randrange(len(text))
        shown, value = f"{text!r}[{at}]", text[at]
    elif kind == "item":
        items = [some()[:4] for _ in range(3)]
        at = rng.randrange(3)
        shown, value = f"{items!r}[{at}]", items[at]
    elif kind == "list":
        shown, value = f"list({text!r})", list(text)
    else:
        other = some()
        shown, value = f"{text!r} + {other!r}", text + other
    return drilled(t, rng, shown, repr(value))


def fresh_rules(rng: random.Random) -> Rules:
    """A grammar of the size that recipes draw."""
    while True:
        rules = draw_rules(rng, rng.randint(1, 2), alternatives=3, terminals=4, right=3)
        if rules is not None:
            return rules


def fresh_grammar(rng: random.Random, name: str) -> Program:
    """A grammar that is made up on the spot, with the choices of one derivation."""
    while True:
        rules = fresh_rules(rng)
        by_steps: dict[int, list[list[int]]] = {}
        for choices, _ in derivations(rules, (1, 5), 10):
            by_steps.setdefault(len(choices), []).append(choices)
        if by_steps:
            chosen = rng.choice(by_steps[rng.choice(list(by_steps))])
            return grammar(name, rules, "io", {"train": [chosen]}, {})


def step_drill(rng: random.Random, t: Templates) -> Document:
    """One production applied, as in the middle of a trace: `Find 'abSc' with S = 'bSb'. Only the answer.`"""
    rules = fresh_rules(rng)
    form = START
    for _ in range(rng.randrange(4)):
        after = step(rules, form, rng.randrange(3))
        form = form if after.islower() or len(after) > 10 else after
    symbol = next(s for s in form if s in rules)
    choice = rng.randrange(3)
    return drilled(
        t, rng, f"{form!r} with {symbol} = {rules[symbol][choice]!r}", repr(step(rules, form, choice))
    )


def in_context(p: Program, ask: str, t: Templates, rng: random.Random) -> Document:
    """A document about a program whose source, or prose, stands above the question."""
    context: Representation = "prose" if rng.random() < PROSE else "source"
    if ask in ("part", "path"):
        d = part(p, t, rng) if ask == "part" else path(p, t, rng)
        return below(d, declared(p, "source"))
    if ask == "source":
        other: Representation = "source" if context == "prose" else "prose"
        return below(declaration(p, t, rng, other), declared(p, context))
    return execution(p, p.examples[0], ask, t, rng, context, context)  # type: ignore[arg-type]


def below(d: Document, shown: str) -> Document:
    """A document with what its question is about above it."""
    return d.model_copy(update={"prompt": shown + "\n" + d.prompt})


def strings_document(seed: int, index: int, passing: Sequence[str]) -> Document:
    """Document `index` of a corpus about strings; `passing` are the names to draw from (`names(n, seed, "passing")`)."""
    rng = random.Random(f"strings:{seed}:{index}")
    about_grammars = rng.random() < GRAMMARS
    t = templates("grammars" if about_grammars else "ciphers")
    kind = rng.choices(list(SHARES), list(SHARES.values()))[0]
    if kind == "drill" and rng.random() < SPELLING:
        return spelling(rng, t, "abcdSA" if about_grammars else ALPHABET[:SIZE])
    if kind == "drill":
        return step_drill(rng, t) if about_grammars else letter_drill(rng, t)
    name = rng.choice(passing)
    p = fresh_grammar(rng, name) if about_grammars else fresh_cipher(rng, name)
    return in_context(p, kind, t, rng)
