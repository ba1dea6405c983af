"""Source, BNF and `derive` are readings of one grammar; membership and derivations are held against nltk's."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbb.errors import PbbError
from pbb.programs.grammar import (
    HEADING,
    START,
    Rules,
    bnf,
    choices_of,
    complete,
    derivations,
    derive,
    draw,
    paths,
    rules_of,
    source,
    used,
)
from pbb.programs.sandbox import Worker

EXAMPLE: Rules = {"S": ["aA", "bSb", "c"], "A": ["d", "cS", "ab"]}


def some_rules(seed: int) -> Rules:
    rng = random.Random(seed)
    while True:
        rules = draw(rng, rng.randint(1, 3), rng.randint(2, 3), rng.randint(2, 4), 3)
        if rules is not None:
            return rules


grammars = st.integers(0, 10**6).map(some_rules)


def test_the_docstrings_program() -> None:
    trace: list[str] = []
    assert derive(EXAMPLE, [1, 0, 0], trace) == "badb"
    assert trace == ["S[1] = 'bSb', 'bSb'", "S[0] = 'aA', 'baAb'", "A[0] = 'd', 'badb'"]
    assert used(EXAMPLE, [1, 0, 0]) == {("S", 1), ("S", 0), ("A", 0)}
    assert bnf(EXAMPLE).splitlines()[1:] == ["S ::= a A | b S b | c", "A ::= d | c S | a b"]


def parse_bnf(text: str) -> dict[str, list[str]]:
    """Read a grammar back from what `bnf` writes.

    Raises:
        ValueError: it is anything else.
    """
    heading, *rows = text.split("\n")
    if heading != HEADING or not rows:
        raise ValueError(f"no such grammar: {text!r}")
    pairs = [row.split(" ::= ") for row in rows]
    return {left: [right.replace(" ", "") for right in rights.split(" | ")] for left, rights in pairs}


@settings(max_examples=200, deadline=None)
@given(rules=grammars)
def test_source_and_bnf_read_back_as_the_grammar(rules: Rules) -> None:
    assert rules_of(source("Zibdax", rules)) == parse_bnf(bnf(rules)) == rules
    shown = [row for ways in paths(rules) for row in ways]
    assert len(shown) == sum(map(len, rules.values()))


def test_derive_is_what_the_source_gives() -> None:
    """Also for choices that end too early or go on too long, as a planted grammar may be asked for."""
    rng = random.Random(2)
    drawn = [some_rules(seed) for seed in range(40)]
    asked = [[[rng.randrange(2) for _ in range(rng.randrange(8))] for _ in range(10)] for _ in drawn]
    with Worker() as worker:
        jobs = [
            (source("Zibdax", r), "Zibdax", [[c] for c in cs]) for r, cs in zip(drawn, asked, strict=True)
        ]
        for rules, lists, outcomes in zip(drawn, asked, worker.execute_many(jobs), strict=True):
            assert [o.value for o in outcomes] == [derive(rules, choices) for choices in lists]


@settings(max_examples=200, deadline=None)
@given(rules=grammars)
def test_a_derivation_is_of_a_string_of_the_language(rules: Rules) -> None:
    known = list(derivations(rules, (1, 5), 8))
    assert len({tuple(choices) for choices, _ in known}) == len(known)
    assert [len(c) for c, _ in known] == sorted(len(c) for c, _ in known)
    for choices, text in known[:60]:
        assert derive(rules, choices) == text and complete(rules, text) and len(text) <= 8
        found = choices_of(rules, text)
        assert found is not None and derive(rules, found) == text
        assert choices_of(rules, text + "z") is None


@settings(max_examples=100, deadline=None)
@given(rules=grammars)
def test_every_nonterminal_is_of_use(rules: Rules) -> None:
    reached = START
    for _ in rules:
        reached += "".join(s for left in set(reached) & set(rules) for right in rules[left] for s in right)
    assert set(rules) <= set(reached)
    for rights in rules.values():
        assert len(set(rights)) == len(rights)
        assert all(right and right not in rules for right in rights)
    known = [c for c, _ in derivations(rules, (1, 6), 12)]
    assert {symbol for c in known for symbol, _ in used(rules, c)} or not known


def test_nltk_agrees_on_membership() -> None:
    nltk = pytest.importorskip("nltk")
    for seed in range(12):
        rules = some_rules(seed)
        rows = [
            f"{left} -> {' | '.join(' '.join(s if s in rules else repr(s) for s in right) for right in rights)}"
            for left, rights in rules.items()
        ]
        grammar = nltk.CFG.fromstring("\n".join(rows))
        parser = nltk.BottomUpChartParser(grammar)
        letters = sorted({s for rights in rules.values() for right in rights for s in right} - set(rules))
        for length in (1, 2, 3, 4):
            for symbols in itertools.islice(itertools.product(letters, repeat=length), 40):
                theirs = next(iter(parser.parse(list(symbols))), None) is not None
                assert (choices_of(rules, "".join(symbols)) is not None) == theirs, (rules, symbols)


def test_membership_by_brute_force() -> None:
    """All strings of up to five letters that some derivation gives, and no other."""
    for seed in range(20):
        rules = some_rules(seed + 100)
        inside = {text for _, text in derivations(rules, (1, 5), 5) if len(text) <= 4}
        deep = {text for _, text in derivations(rules, (1, 6), 4)}
        for text in ("".join(t) for n in range(5) for t in itertools.product("abcd", repeat=n)):
            if text in inside | deep:
                assert choices_of(rules, text) is not None
            found = choices_of(rules, text)
            assert found is None or derive(rules, found) == text


@pytest.mark.parametrize("text", ["", "aA", "S", "bcc", "cc", "x" * 60])
def test_what_is_no_string_of_the_language(text: str) -> None:
    assert choices_of(EXAMPLE, text) is None


@pytest.mark.parametrize("text", ["def f(x):\n    return x\n", "rules = f()", "rules = [1]", "rules = (", ""])
def test_a_source_without_a_grammar_is_named(text: str) -> None:
    with pytest.raises(PbbError, match="grammar"):
        rules_of(text)
