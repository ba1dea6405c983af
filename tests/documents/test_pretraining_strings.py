"""Documents about strings run nothing that is not in their prompt, are right, short, and the same in every corpus."""

from __future__ import annotations

import ast
import random
import re
from collections import Counter

import pytest

from pbb.documents.pretraining_strings import (
    SHARES,
    SIZE,
    letter_drill,
    spelling,
    step_drill,
    strings_document,
)
from pbb.documents.render import Document, templates
from pbb.evaluation.answer import parse
from pbb.programs.cipher import ALPHABET
from pbb.programs.names import names
from pbb.programs.sandbox import Worker

PASSING = names(500, 0, "passing")
COUNT = 600


@pytest.fixture(scope="module")
def documents() -> list[Document]:
    return [strings_document(0, i, PASSING) for i in range(COUNT)]


def test_every_sort_is_there(documents: list[Document]) -> None:
    drills = [d for d in documents if not d.program]
    asks = Counter(d.ask for d in documents if d.program)
    assert len(drills) / COUNT == pytest.approx(SHARES["drill"], abs=0.06)
    for ask in ("trace", "direct", "recite", "part", "path"):
        assert asks[ask] / COUNT == pytest.approx(SHARES[ask], abs=0.06)


def test_names_are_of_the_shelf_and_the_program_stands_above(documents: list[Document]) -> None:
    recipe = set(names(5000, 0, "recipe"))
    for d in documents:
        named = set(re.findall(r"\b[A-Z][a-z]+(?=\()", d.prompt + d.completion))
        assert named <= set(PASSING) and not named & recipe
        if d.program:
            assert named == {d.program}
            above = d.prompt.rsplit("\n", 1)[0]
            assert above.startswith(f"def {d.program}(") or "text" in above or "::=" in above


def test_answers_are_what_the_source_in_the_prompt_gives(documents: list[Document]) -> None:
    shown = [d for d in documents if d.kind == "execution" and d.prompt.startswith("def ")]
    assert len(shown) > 200
    jobs = []
    for d in shown:
        above, question = d.prompt.rsplit("\n", 1)
        args = re.search(rf"{d.program}\((.*?)\)", question)
        assert args
        jobs.append((above, d.program, [_literal(args[1])]))
    with Worker() as worker:
        for d, outcome in zip(shown, worker.execute_many(jobs), strict=True):
            said = parse(d.completion, cot=d.ask != "direct")
            assert said.ok and said.value == outcome[0].value, d


def _literal(args: str) -> tuple[object, ...]:
    value = ast.literal_eval(f"({args},)")
    assert isinstance(value, tuple)
    return value


def test_moved_letters_are_right() -> None:
    rng, t = random.Random(0), templates("ciphers")
    for _ in range(300):
        d = letter_drill(rng, t)
        m = re.search(r"\b([a-j]) ([+-]) (\d+)", d.prompt)
        if m:
            move = int(m[3]) if m[2] == "+" else -int(m[3])
            assert d.completion[0] == ALPHABET[(ALPHABET.index(m[1]) + move) % SIZE]
        else:
            m = re.search(r"index\('([a-j])'\)", d.prompt)
            assert m and re.match(rf"{ALPHABET.index(m[1])}\b", d.completion)


def test_strings_are_taken_apart_and_put_together_as_python_does() -> None:
    rng, t = random.Random(0), templates("ciphers")
    jobs, said, shown = [], [], set()
    for _ in range(300):
        d = spelling(rng, t, ALPHABET[:SIZE])
        m = re.search(r"list\('\w+'\)|'\w+' \+ '\w+'|(?:\[.*?\]|'\w+')\[\d\]", d.prompt)
        assert m, d.prompt
        jobs.append((f"def f():\n    return {m[0]}\n", "f", [[]]))
        said.append(parse(d.completion, cot=False).value)
        shown.add(m[0])
    assert len(shown) > 250
    with Worker() as worker:
        assert [outcome[0].value for outcome in worker.execute_many(jobs)] == said


def test_steps_are_right() -> None:
    rng, t = random.Random(0), templates("grammars")
    forms = set()
    for _ in range(300):
        d = step_drill(rng, t)
        m = re.search(r"'([a-dSA]+)' with ([SA]) = '([a-dSA]+)'", d.prompt)
        assert m and re.search(r"[SA]", m[1])[0] == m[2]  # type: ignore[index]
        assert parse(d.completion, cot=False).value == m[1].replace(m[2], m[3], 1)
        forms.add(m[1])
    assert len(forms) > 50


def test_documents_are_short(documents: list[Document]) -> None:
    """The base's context is 512 tokens, and no text is of more tokens than characters."""
    assert max(len(d.prompt) + len(d.completion) for d in documents) < 1100


def test_document_i_is_the_same_in_every_corpus(documents: list[Document]) -> None:
    assert [strings_document(0, i, PASSING) for i in (5, 3)] == [documents[5], documents[3]]
    assert strings_document(1, 5, PASSING) != documents[5]
