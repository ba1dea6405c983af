"""One cipher: a function of a lowercase string, as Python source, as its traces, and as what it computes.

A real instance, a shift that grows with the position, over the first ten letters::

    def Zibdax(text):
        letters = 'abcdefghij'
        out = ''
        for place, letter in enumerate(text):
            move = 3 + 2 * place
            out += letters[(letters.index(letter) + move) % 10]
        return out

    Zibdax('bed') == 'eja', by the trace  3 + 2 * 0 = 3, b + 3 = e · 3 + 2 * 1 = 5, e + 5 = j · 3 + 2 * 2 = 7, d + 7 = a

The paper names its ciphers and does not define them. Classic ones are here as textbooks have them (Caesar with any shift, Atbash, affine,
Vigenere, keyword substitution, rail fence); `progressive`, `alternating` and `previous` (the shift comes from the letter before) are made
up, so that no pretraining has seen them. Where `shift` is None the shift is the second argument of the call: one program for all shifts.

Contract: source, prose (`cipher_prose`) and `run` are three readings of one `Cipher`; the tests hold them against each other.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle

CLASSIC = ("caesar", "atbash", "affine", "vigenere", "keyword", "rail fence")
CUSTOM = ("progressive", "alternating", "previous")
KINDS = CLASSIC + CUSTOM
SHIFTED = ("caesar", "affine", "keyword", "progressive", "alternating", "previous")
"""The kinds whose shift can be an argument of the call."""
STEP = 3
"""Small, so that the sums of a trace stay small."""
ALPHABET = "abcdefghijklmnopqrstuvwxyz"
VOWELS = "aeiou"


@dataclass(frozen=True, slots=True)
class Cipher:
    """A cipher over the first `size` letters, or with `decode` what undoes it.

    shift: by how much letters move; None where the call says it. step: the second number of a kind: the factor (affine), the growth a place
    (progressive), what every second letter moves further (alternating), what is added to the number of the letter before
    (previous), the rails (rail fence, which has no alphabet: size 0). word: the key (Vigenere, keyword).
    """

    kind: str
    size: int
    decode: bool = False
    shift: int | None = 0
    step: int = 0
    word: str = ""

    @property
    def letters(self) -> str:
        """The alphabet."""
        return ALPHABET[: self.size]

    @property
    def mixed(self) -> str:
        """The key word, then the other letters in order."""
        return self.word + "".join(c for c in self.letters if c not in self.word)

    @property
    def amount(self) -> str:
        """The shift as it stands in source and prose."""
        return "shift" if self.shift is None else str(self.shift)

    @property
    def sign(self) -> str:
        """What a letter does with its shift."""
        return "-" if self.decode else "+"

    @property
    def inverse(self) -> int:
        """What undoes the factor of an affine cipher."""
        return pow(self.step, -1, self.size)


def _body(c: Cipher) -> tuple[list[str], str]:
    """The rows between the head and the return, and what is returned."""
    n, sign, k = c.size, c.sign, c.amount
    letters = f"letters = '{c.letters}'"
    moved = f"out += letters[(letters.index(letter) {sign} move) % {n}]"
    each = "for letter in text:"
    placed = "for place, letter in enumerate(text):"
    match c.kind:
        case "caesar":
            rows = [
                letters,
                "out = ''",
                each,
                f"    out += letters[(letters.index(letter) {sign} {k}) % {n}]",
            ]
        case "atbash":
            rows = [letters, "out = ''", each, f"    out += letters[{n - 1} - letters.index(letter)]"]
        case "affine":
            number = (
                f"(letters.index(letter) - {k}) * {c.inverse}"
                if c.decode
                else f"({c.step} * letters.index(letter) + {k})"
            )
            rows = [letters, "out = ''", each, f"    out += letters[{number} % {n}]"]
        case "vigenere":
            key = f"    move = letters.index('{c.word}'[place % {len(c.word)}])"
            rows = [letters, "out = ''", placed, key, "    " + moved]
        case "keyword":
            mixed = [f"mixed = '{c.word}'", f"for letter in '{c.letters}':", "    if letter not in mixed:",
                     "        mixed += letter"]  # fmt: skip
            here, there = ("mixed", "letters") if c.decode else ("letters", "mixed")
            number = f"{here}.index(letter)"
            number = f"({number} {sign} {k}) % {n}" if c.shift is None else number
            rows = [*mixed, letters, "out = ''", each, f"    out += {there}[{number}]"]
        case "rail fence":
            rail = f"min(place % {2 * c.step - 2}, {2 * c.step - 2} - place % {2 * c.step - 2})"
            if c.decode:
                rows = [f"order = sorted(range(len(text)), key=lambda place: {rail})", "out = [''] * len(text)",
                        "for place, letter in zip(order, text):", "    out[place] = letter"]  # fmt: skip
            else:
                rows = [f"rails = [''] * {c.step}", placed, f"    rails[{rail}] += letter"]
            return rows, f"''.join({'out' if c.decode else 'rails'})"
        case "progressive":
            rows = [letters, "out = ''", placed, f"    move = {k} + {c.step} * place", "    " + moved]
        case "alternating":
            odd = f"shift + {c.step}" if c.shift is None else str(c.shift + c.step)
            move = f"    move = {k} if place % 2 == 0 else {odd}"
            rows = [letters, "out = ''", placed, move, "    " + moved]
        case "previous":
            last = "out[-1]" if c.decode else "letter"
            after = f"    move = letters.index({last}) + {c.step}"
            rows = [letters, "out = ''", f"move = {k}", each, "    " + moved, after]
        case _:
            raise ValueError(f"no such kind of cipher: {c.kind}")
    return rows, "out"


def source(name: str, c: Cipher) -> str:
    """The function as Python source, ending in a newline."""
    rows, result = _body(c)
    head = f"def {name}({'text, shift' if c.shift is None else 'text'}):"
    return "\n".join([head, *("    " + row for row in [*rows, f"return {result}"])]) + "\n"


def statements(c: Cipher) -> list[str]:
    """The statements of the body without the return, each with the rows inside it."""
    found: list[str] = []
    for row in _body(c)[0]:
        if row.startswith(" "):
            found[-1] += "\n" + row
        else:
            found.append(row)
    return found


def paths(c: Cipher) -> list[list[str]]:
    """The rows of a trace with variables in place of letters: `letter + 3 = out`. They follow from the source alone."""
    n, sign, k = c.size, c.sign, c.amount
    moved = f"letter {sign} move = out"
    match c.kind:
        case "caesar":
            rows = [f"letter {sign} {k} = out"]
        case "atbash":
            rows = [f"{n - 1} - letter = out"]
        case "affine":
            number = f"(letter - {k}) * {c.inverse}" if c.decode else f"{c.step} * letter + {k}"
            rows = [f"{number} = number, number % {n} = out"]
        case "vigenere":
            rows = [f"letter {sign} {x} = letter {sign} {c.letters.index(x)} = out" for x in c.word]
        case "keyword":
            rows = [f"mixed = '{c.mixed}'", _swapped(c, "letter", k, "out")]
        case "rail fence" if c.decode:
            rows = ["place: letter"]
        case "rail fence":
            rows = ["rail: letter"]
        case "progressive":
            rows = [f"{k} + {c.step} * place = move, {moved}"]
        case "alternating":
            odd = f"(shift + {c.step})" if c.shift is None else str(c.shift + c.step)
            rows = [f"0: letter {sign} {k} = out", f"1: letter {sign} {odd} = out"]
        case _:
            after = f"{'out' if c.decode else 'letter'} + {c.step} = move"
            rows = [f"letter {sign} {k} = out, {after}", f"{moved}, {after}"]
    return [[row] for row in rows]


def _swapped(c: Cipher, letter: str, k: object, out: str, between: str = "between") -> str:
    """One row of a keyword substitution; with a shift, by way of the letter of the plain alphabet in between."""
    if c.shift is not None:
        return f"{letter} -> {out}"
    return f"{letter} -> {between} - {k} = {out}" if c.decode else f"{letter} + {k} = {between} -> {out}"


def _rail(c: Cipher, place: int) -> int:
    period = 2 * c.step - 2
    return min(place % period, period - place % period)


def run(c: Cipher, text: str, shift: int | None = None, trace: list[str] | None = None) -> str:
    """What the cipher makes of a text over its letters, by the meaning of the kinds and not through the source.

    shift: that of the call, where the cipher has none of its own. Appends the rows of working to `trace` when one is given.

    Raises:
        ValueError: a letter is not of the alphabet.
    """
    k = c.shift if c.shift is not None else shift or 0
    if c.kind == "rail fence":
        return _fenced(c, text, trace)
    numbers = [c.letters.index(letter) for letter in text]
    out = _moved(c, numbers, k)
    if trace is not None:
        trace += _rows(c, numbers, out, k)
    return "".join([ALPHABET[i] for i in out])


def _moved(c: Cipher, numbers: list[int], k: int) -> list[int]:
    """The letters' numbers after the cipher, rail fences excepted."""
    n, way = c.size, -1 if c.decode else 1
    match c.kind:
        case "atbash":
            return [n - 1 - i for i in numbers]
        case "affine":
            factor = c.inverse if c.decode else c.step
            return [((i - k) * factor if c.decode else factor * i + k) % n for i in numbers]
        case "keyword":
            mixed = [ALPHABET.index(letter) for letter in c.mixed]
            return [(mixed.index(i) - k) % n if c.decode else mixed[(i + k) % n] for i in numbers]
        case "previous":
            out: list[int] = []
            for place, i in enumerate(numbers):
                before = out if c.decode else numbers
                out.append((i + way * (before[place - 1] + c.step if place else k)) % n)
            return out
        case "vigenere":
            moves = [ALPHABET.index(letter) for letter in c.word]
        case "alternating":
            moves = [k, k + c.step]
        case "progressive":
            moves = [k + c.step * place for place in range(len(numbers))]
        case _:
            moves = [k]
    return [(i + way * move) % n for i, move in zip(numbers, cycle(moves), strict=False)]


def _rows(c: Cipher, numbers: list[int], out: list[int], k: int) -> list[str]:
    """The rows of working, rail fences excepted: one a letter."""
    n = c.size
    rows = [f"mixed = '{c.mixed}'"] if c.kind == "keyword" else []
    for place, (at, to) in enumerate(zip(numbers, out, strict=True)):
        letter, written = ALPHABET[at], ALPHABET[to]
        match c.kind:
            case "atbash":
                rows.append(f"{letter} = {at}, {n - 1} - {at} = {to} = {written}")
            case "affine":
                number = (at - k) * c.inverse if c.decode else c.step * at + k
                shown = f"({at} - {k}) * {c.inverse}" if c.decode else f"{c.step} * {at} + {k}"
                rows.append(f"{letter} = {at}, {shown} = {number}, {number} % {n} = {to} = {written}")
            case "keyword":
                between = ALPHABET[((to if c.decode else at) + k) % n]
                rows.append(_swapped(c, letter, k, written, between))
            case "progressive":
                move = k + c.step * place
                rows.append(f"{k} + {c.step} * {place} = {move}, {letter} {c.sign} {move} = {written}")
            case "alternating":
                odd = place % 2
                rows.append(f"{odd}: {letter} {c.sign} {k + c.step * odd} = {written}")
            case "vigenere":
                key = c.word[place % len(c.word)]
                move = ALPHABET.index(key)
                rows.append(f"{letter} {c.sign} {key} = {letter} {c.sign} {move} = {written}")
            case "previous":
                before = out if c.decode else numbers
                move = before[place - 1] + c.step if place else k
                after = f"{before[place]} + {c.step} = {before[place] + c.step}"
                rows.append(f"{letter} {c.sign} {move} = {written}, {after}")
            case _:
                rows.append(f"{letter} {c.sign} {k} = {written}")
    return rows


def _fenced(c: Cipher, text: str, trace: list[str] | None) -> str:
    rows = [] if trace is None else trace
    order = sorted(range(len(text)), key=lambda place: _rail(c, place))
    if c.decode:
        out = [""] * len(text)
        for place, letter in zip(order, text, strict=True):
            out[place] = letter
            rows.append(f"{place}: {letter}")
        return "".join(out)
    rails = [""] * c.step
    for place, letter in enumerate(text):
        rails[_rail(c, place)] += letter
        rows.append(f"{_rail(c, place)}: {letter}")
    rows += [f"{rail} = {held!r}" for rail, held in enumerate(rails)]
    return "".join(rails)


def draw(rng: random.Random, kind: str, size: int, decode: bool, argument: bool, longest: int) -> Cipher:
    """A random cipher of a kind for texts of up to `longest` letters; with `argument` the shift is left to the call.

    Some draws are no ciphers worth having (a shift of 0, say); see `pbb.programs.ciphers.acceptable`.
    """
    shift = None if argument else rng.randrange(1, size)

    match kind:
        case "affine":
            factors = [f for f in range(2, size) if math.gcd(f, size) == 1]
            return Cipher(kind, size, decode, shift, rng.choice(factors))
        case "vigenere":
            word = "".join(rng.choice(ALPHABET[:size]) for _ in range(rng.choice((3, 4))))
            return Cipher(kind, size, decode, word=word)
        case "keyword":
            word = "".join(rng.sample(ALPHABET[:size], min(size - 1, rng.randint(3, 5))))
            return Cipher(kind, size, decode, None if argument else 0, word=word)
        case "rail fence":
            return Cipher(kind, 0, decode, step=rng.randint(2, max(2, longest - 1)))
        case "alternating" if shift is not None:
            return Cipher(kind, size, decode, shift, rng.randrange(1, size) - shift)
        case "progressive" | "alternating" | "previous":
            return Cipher(kind, size, decode, shift, rng.randint(1, STEP))
        case "atbash":
            return Cipher(kind, size)  # it undoes itself
        case _:
            return Cipher(kind, size, decode, shift)


def word(rng: random.Random, size: int, length: int) -> str:
    """A pronounceable word of the first `size` letters: vowels and consonants take turns."""
    parts = [[c for c in ALPHABET[:size] if (c in VOWELS) == vowel] for vowel in (True, False)]
    first = rng.randrange(2)
    return "".join(rng.choice(parts[(first + i) % 2]) for i in range(length))


def nonsense(rng: random.Random, size: int, length: int) -> str:
    """Any letters."""
    return "".join(rng.choice(ALPHABET[:size]) for _ in range(length))


C4 = (59, 21, 117, 5, 15, 12, 6, 3, 1, 3, 3, 7, 1225, 5, 2, 4, 2, 2, 1, 1, 4, 2, 17, 3, 7)
"""How often texts in ROT-1 to ROT-25 occur in C4 (McCoy et al., Embers of Autoregression, arXiv 2309.13638): ROT-13 is 80 %."""


def weights(size: int) -> list[int]:
    """C4's counts for shifts 1 to `size` - 1.

    For a smaller alphabet a shift counts as the one that is the same part of the circle, rounded: half of the circle stays by far the
    commonest (our choice; C4 has no such text).
    """
    counts = [0] * (size - 1)
    for shift, times in enumerate(C4, 1):
        counts[min(size - 1, max(1, round(shift * size / len(ALPHABET)))) - 1] += times
    return counts


def shifts(size: int, skewed: bool) -> Iterator[tuple[int, int]]:
    """Every shift of an alphabet with its weight: all the same, or C4's counts."""
    yield from enumerate(weights(size) if skewed else [1] * (size - 1), 1)
