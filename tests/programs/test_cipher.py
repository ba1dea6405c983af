"""Source, prose, traces and `run` are readings of one cipher; published implementations agree on the classic ones."""

from __future__ import annotations

import random
import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbb.programs.cipher import (
    C4,
    KINDS,
    SHIFTED,
    Cipher,
    draw,
    nonsense,
    paths,
    run,
    source,
    statements,
    weights,
    word,
)
from pbb.programs.cipher_prose import parse, prose
from pbb.programs.sandbox import Worker


@st.composite
def ciphers(draw_from: st.DrawFn, kinds: tuple[str, ...] = KINDS) -> Cipher:
    kind = draw_from(st.sampled_from(kinds))
    argument = kind in SHIFTED and draw_from(st.booleans())
    rng = random.Random(draw_from(st.integers(0, 10**6)))
    return draw(rng, kind, draw_from(st.integers(5, 26)), draw_from(st.booleans()), argument, 9)


def texts(c: Cipher, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [nonsense(rng, c.size or 26, length) for length in (1, 2, 3, 5, 9, 14)]


def shift_of(c: Cipher) -> int | None:
    return 1 + (c.step + c.size) % (c.size - 1) if c.shift is None else None


def opposite(c: Cipher) -> Cipher:
    return Cipher(c.kind, c.size, not c.decode, c.shift, c.step, c.word)


@settings(max_examples=300, deadline=None)
@given(c=ciphers())
def test_prose_reads_back_as_the_cipher(c: Cipher) -> None:
    assert parse(prose(c)) == c


@pytest.mark.parametrize("change", [("circle", "row"), ("every", "each"), ("text", "word"), (".", "")])
def test_other_prose_is_refused(change: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="no such cipher"):
        parse(prose(Cipher("caesar", 10, shift=3)).replace(*change))


def test_run_is_what_the_source_gives() -> None:
    rng = random.Random(1)
    drawn = [
        draw(rng, kind, size, decode, argument, 9)
        for kind in KINDS
        for size in (5, 10, 26)
        for decode in (False, True)
        for argument in ((False, True) if kind in SHIFTED else (False,))
        for _ in range(3)
    ]
    calls = [[[t] if c.shift is not None else [t, shift_of(c)] for t in texts(c)] for c in drawn]
    with Worker() as worker:
        jobs = [(source("Zibdax", c), "Zibdax", given) for c, given in zip(drawn, calls, strict=True)]
        for c, given, outcomes in zip(drawn, calls, worker.execute_many(jobs), strict=True):
            expected = [run(c, str(args[0]), shift_of(c)) for args in given]
            assert [(o.value, o.error) for o in outcomes] == [(text, None) for text in expected], c


@settings(max_examples=200, deadline=None)
@given(c=ciphers())
def test_decoding_undoes_encoding(c: Cipher) -> None:
    for text in texts(c):
        k = shift_of(c)
        back = c if c.kind == "atbash" else opposite(c)
        assert run(back, run(c, text, k), k) == text


@settings(max_examples=200, deadline=None)
@given(c=ciphers(), seed=st.integers(0, 99))
def test_the_trace_holds_the_output_letter_by_letter(c: Cipher, seed: int) -> None:
    for text in texts(c, seed):
        rows: list[str] = []
        output = run(c, text, shift_of(c), rows)
        if c.kind == "rail fence" and not c.decode:
            held = [row.partition(" = ")[2].strip("'") for row in rows if " = " in row]
            assert "".join(held) == output and len(rows) == len(text) + c.step
        elif c.kind == "rail fence":
            placed = dict(row.split(": ") for row in rows)
            assert "".join(placed[str(i)] for i in range(len(text))) == output
        else:
            rows = rows[c.kind == "keyword" :]
            ends = [
                row.rpartition(", ")[0] or row if c.kind == "previous" else row for row in rows
            ]  # what a row of `previous` ends in is the next move
            assert "".join(row[-1] for row in ends) == output


SUM = re.compile(r"(?:^|, |: )(\(?-?[\d+*() -]*%?[\d+*() -]*) = (-?\d+)")


@settings(max_examples=200, deadline=None)
@given(c=ciphers(("affine", "progressive", "previous", "atbash")))
def test_the_sums_in_a_trace_are_right(c: Cipher) -> None:
    rows: list[str] = []
    run(c, texts(c)[-1], shift_of(c), rows)
    sums = [m for row in rows for m in SUM.findall(row)]
    assert len(sums) >= len(rows)
    for left, right in sums:
        assert set(left) <= set(string.digits + "+-*/%() ")
        assert eval(left) == int(right)  # noqa: S307


def test_letters_move_as_the_rows_of_a_trace_say() -> None:
    for c in (
        Cipher("caesar", 10, shift=3),
        Cipher("progressive", 26, True, 3, 2),
        Cipher("alternating", 10, False, 7, -3),
    ):
        rows: list[str] = []
        run(c, "bedhac", None, rows)
        for row in rows:
            m = re.search(r"(\w) ([+-]) (\d+) = (\w)$", row)
            assert m
            move = int(m[3]) if m[2] == "+" else -int(m[3])
            assert c.letters[(c.letters.index(m[1]) + move) % c.size] == m[4]


@settings(max_examples=100, deadline=None)
@given(c=ciphers())
def test_statements_and_paths_come_from_the_source(c: Cipher) -> None:
    body = source("Zibdax", c).splitlines()[1:-1]
    assert [row for s in statements(c) for row in s.split("\n")] == [row[4:] for row in body]
    if c.shift is not None and c.kind != "affine":
        numbers = set(re.findall(r"\d+", "\n".join(row for way in paths(c) for row in way)))
        known = set(re.findall(r"\d+", "\n".join(body)))
        known |= {str(c.letters.index(x)) for x in c.word} | {"0", "1"}
        assert numbers <= known | {str(c.step)}


LETTERS = string.ascii_lowercase


@pytest.mark.parametrize("size", [10, 17, 26])
def test_secretpy_agrees(size: int) -> None:
    """On alphabets of any length; its letters are ours."""
    secretpy = pytest.importorskip("secretpy")
    rng = random.Random(size)
    letters = LETTERS[:size]
    peers = {
        "caesar": lambda c: (secretpy.Caesar(), c.shift),
        "affine": lambda c: (secretpy.Affine(), (c.step, c.shift)),
        "vigenere": lambda c: (secretpy.Vigenere(), c.word),
        "keyword": lambda c: (secretpy.Keyword(), c.word),
        "rail fence": lambda c: (secretpy.Zigzag(), c.step),
    }
    for kind, peer in peers.items():
        for _ in range(20):
            c = draw(rng, kind, size, False, False, 9)
            cipher, key = peer(c)
            text = nonsense(rng, size, 12)
            assert run(c, text) == cipher.encrypt(text, key, alphabet=letters), c
            assert run(opposite(c), text) == cipher.decrypt(text, key, alphabet=letters), c


def test_pycipher_agrees() -> None:
    pycipher = pytest.importorskip("pycipher")
    rng = random.Random(3)
    for _ in range(20):
        text = nonsense(rng, 26, 15)
        peers = [
            (Cipher("caesar", 26, shift=7), pycipher.Caesar(7)),
            (Cipher("atbash", 26), pycipher.Atbash()),
            (Cipher("affine", 26, shift=8, step=5), pycipher.Affine(5, 8)),
            (Cipher("vigenere", 26, word="lemon"), pycipher.Vigenere("lemon")),
            (Cipher("rail fence", 0, step=4), pycipher.Railfence(4)),
        ]
        for c, peer in peers:
            assert run(c, text) == peer.encipher(text).lower(), c
            assert run(opposite(c), text) == peer.decipher(text).lower(), c


def test_rot13_is_where_c4_has_its_weight() -> None:
    assert (sum(C4), len(C4), weights(26)) == (1527, 25, list(C4))
    assert C4[13 - 1] / sum(C4) == pytest.approx(0.80, abs=0.005)
    for size in (5, 10, 20):
        w = weights(size)
        assert len(w) == size - 1 and sum(w) == 1527
        assert w.index(max(w)) + 1 == round(size / 2) and max(w) / 1527 > 0.8


def test_words_take_turns() -> None:
    rng = random.Random(0)
    made = [word(rng, 10, 5) for _ in range(50)]
    assert all(re.fullmatch(r"([aei][bcdfghj])+[aei]?|([bcdfghj][aei])+[bcdfghj]?", w) for w in made)
    assert all(set(nonsense(rng, 6, 8)) <= set("abcdef") for _ in range(20))


def test_a_letter_of_no_alphabet_is_refused() -> None:
    with pytest.raises(ValueError):
        run(Cipher("caesar", 10, shift=3), "kit")
