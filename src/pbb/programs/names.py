"""Nonsense names for programs, such as Zibdax or Snurvel: words that no pretraining has tied to a meaning.

A name is an opening and an ending syllable (and a middle one when thousands are needed). The pairs are divided once and
for all between the *library* (names that only the pretraining of the embedded base may use) and everything else, so
that no recipe's program can have been named before. A name never hints at the body: it is drawn by seed alone.

That division is a rule of the syllables, and a model that only ever copies names which keep it learns to complete a
name by the rule, where a recipe's never do (docs/composition.md). So there are names of other shapes besides, whose
syllables say nothing of each other (`unruled`).
"""

from __future__ import annotations

import random
from typing import Literal

from pbb.errors import PbbError

OPENINGS = tuple(
    onset + rime
    for onset in ("Bl", "Cr", "Dw", "Fl", "Gr", "Kl", "Pr", "Sn", "Tr", "Vr", "Z", "Squ")
    for rime in ("ab", "ek", "im", "ol", "ug", "an", "ez", "or")
)
ENDINGS = tuple(
    onset + rime
    for onset in ("b", "d", "f", "k", "l", "m", "n", "p", "r", "t", "v", "z")
    for rime in ("ax", "el", "ig", "op", "um", "esh", "ilt", "orn")
)
MIDDLES = ("a", "e", "i", "o", "u", "ara", "eno", "ibi", "omu", "ula")

Shelf = Literal["recipe", "library", "passing"]


def shelf(opening: int, ending: int) -> Shelf:
    """Which shelf a pair of syllables stands on: three quarters recipe, one eighth library, one eighth passing."""
    rest = (opening + ending) % 8
    return "library" if rest == 0 else "passing" if rest == 4 else "recipe"


def names(count: int, seed: int, kind: Shelf = "recipe") -> list[str]:
    """`count` distinct names of one shelf in an order that depends on the seed alone.

    `recipe` names are for recipes, `library` and `passing` ones for pretraining (declared by name, and used once in
    context). Two-syllable names come first; three syllables only when those are used up.

    Raises:
        PbbError: more names are asked for than the shelf has.
    """
    pairs = [(o, e) for o in range(len(OPENINGS)) for e in range(len(ENDINGS)) if shelf(o, e) == kind]
    limit = len(pairs) * (1 + len(MIDDLES))
    if count > limit:
        raise PbbError(f"{count} program names asked for: there are {limit}: ask for fewer programs")
    rng = random.Random(f"names:{seed}")
    rng.shuffle(pairs)
    short = [OPENINGS[o] + ENDINGS[e] for o, e in pairs]
    if count <= len(short):
        return short[:count]
    long = [OPENINGS[o] + m + ENDINGS[e] for m in MIDDLES for o, e in pairs]
    rng.shuffle(long)
    return short + long[: count - len(short)]


def unruled(rng: random.Random) -> str:
    """A name whose syllables are drawn one by one, of a shape that no shelf has: Zibdaxlum, Daxlum or Zibgrol."""
    shape = rng.randrange(3)
    first = rng.choice(ENDINGS).capitalize() if shape == 1 else rng.choice(OPENINGS)
    if shape == 0:
        first += rng.choice(ENDINGS)
    return first + (rng.choice(OPENINGS).lower() if shape == 2 else rng.choice(ENDINGS))
