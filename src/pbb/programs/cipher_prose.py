"""Prose twins of ciphers: the same rule in English, and back again.

    The letters of 'abcdefghij' stand in a circle. Move every letter of the text forward by a number of places: 3 for the first letter, and
    2 more for every next one.

Equivalence is proved by parsing: `parse(prose(c)) == c` for every cipher, held as a property test.
"""

from __future__ import annotations

import re

from pbb.programs.cipher import Cipher

CIRCLE = "The letters of '{letters}' stand in a circle. Move every letter of the text {way} by "
NUMBERED = "The letters of '{letters}' are numbered from 0. "
MIXED = "Write '{word}' and behind it the other letters of '{letters}' in their order. "
RAILS = "Number {step} rows from 0, and let the letters go down the rows and up again, one letter to a row. "
NUMBER = r"\d+"
ENCODE = {
    "caesar": CIRCLE + "{k} places.",
    "atbash": NUMBERED + "For every letter of the text write the one whose number is {last} minus its number.",
    "affine": NUMBERED
    + "For every letter of the text multiply its number by {step}, add {k}, and write the letter whose number is the remainder by {n}.",
    "vigenere": CIRCLE + "the number of a letter of '{word}', counted from 0 at a: its letters in turn, over and over.",
    "keyword": MIXED + "For every letter of the text write the one that stands here where it stands in the alphabet.",
    "rail fence": RAILS + "Write the letters of the text into the rows so, then read row after row.",
    "progressive": CIRCLE + "a number of places: {k} for the first letter, and {step} more for every next one.",
    "alternating": CIRCLE + "{k} places, and every second letter by {odd} instead.",
    "previous": CIRCLE
    + "{k} places if it is the first, else by {step} more than the number of the letter of the text before it, counted from 0 at a.",
}  # fmt: skip
# Where decoding is worded as encoding, but for the way, there is no entry.
DECODE = {
    "atbash": ENCODE["atbash"],
    "affine": NUMBERED
    + "For every letter of the text subtract {k} from its number, multiply by {inverse}, and write the letter whose number is the remainder "
    "by {n}.",
    "keyword": MIXED + "For every letter of the text write the one that stands in the alphabet where it stands here.",
    "rail fence": RAILS
    + "The text is what was read row after row: write its letters back into the rows so, and read them in the order of going down and up.",
    "previous": CIRCLE
    + "{k} places if it is the first, else by {step} more than the number of the letter written before it, counted from 0 at a.",
}  # fmt: skip
# Where a shift that the call gives is worded unlike a key of the program, by kind and whether it decodes.
SHIFTED = {
    ("keyword", False): MIXED
    + "Move every letter of the text forward by {k} places in the alphabet, which is a circle, and write the one that stands here where it then "
    "stands.",
    ("keyword", True): MIXED
    + "For every letter of the text take the one that stands in the alphabet where it stands here, and move it back by {k} places in the "
    "alphabet, which is a circle.",
}  # fmt: skip


def _template(kind: str, decode: bool, argument: bool) -> str:
    words = (DECODE.get(kind) or ENCODE[kind]) if decode else ENCODE[kind]
    words = SHIFTED.get((kind, decode), words) if argument else words
    return words.replace("{way}", "back" if decode else "forward")


def prose(c: Cipher) -> str:
    """The cipher in English."""
    odd = f"shift + {c.step}" if c.shift is None else str(c.shift + c.step)
    fields = {"letters": c.letters, "k": c.amount, "step": c.step, "word": c.word, "odd": odd, "n": c.size}
    inverse = c.inverse if c.kind == "affine" and c.decode else 0
    return _template(c.kind, c.decode, c.shift is None).format(**fields, inverse=inverse, last=c.size - 1)


def parse(text: str) -> Cipher:
    """Read prose back into a cipher. Of Atbash, which undoes itself, the encoder.

    Raises:
        ValueError: the text is not one that `prose` writes.
    """
    for kind in ENCODE:
        for decode in (False, True):
            for argument in (False, True):
                m = _pattern(_template(kind, decode, argument), argument).fullmatch(text)
                if m:
                    return _read(kind, decode, argument, m.groupdict())
    raise ValueError(f"no such cipher: {text!r}")


def _pattern(template: str, argument: bool) -> re.Pattern[str]:
    shapes = {"letters": r"[a-z]+", "word": r"[a-z]+", "k": "shift" if argument else r"\d+",
              "odd": r"shift \+ (?P<more>\d+)" if argument else r"\d+"}  # fmt: skip
    parts = re.split(r"\{(\w+)\}", template)
    found = [
        f"(?P<{part}>{shapes.get(part, NUMBER)})" if i % 2 else re.escape(part)
        for i, part in enumerate(parts)
    ]
    return re.compile("".join(found))


def _read(kind: str, decode: bool, argument: bool, said: dict[str, str | None]) -> Cipher:
    letters = said.get("letters")
    k = int(said.get("k") or 0) if not argument else 0
    step = int(said.get("step") or said.get("more") or 0)
    if said.get("odd") and not argument:
        step = int(said["odd"] or 0) - k
    size = len(letters or "")
    if said.get("inverse"):
        step = pow(int(said["inverse"] or 0), -1, size)
    return Cipher(kind, size, decode, None if argument else k, step, said.get("word") or "")
