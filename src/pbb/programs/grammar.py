"""One small context-free grammar: as Python source, as BNF, and what its language is.

A real instance: capitals are nonterminals, S is the start, and the choices pick the productions of a leftmost derivation::

    def Zibdax(choices):
        rules = {'S': ['aA', 'bSb', 'c'], 'A': ['d', 'cS', 'ab']}
        text = 'S'
        for choice in choices:
            for symbol in text:
                if symbol in rules:
                    text = text.replace(symbol, rules[symbol][choice], 1)
                    break
        return text

    Zibdax([1, 0, 0]) == 'badb', by the trace  S[1] = 'bSb', 'bSb' · S[0] = 'aA', 'baAb' · A[0] = 'd', 'badb'

The paper's executions are strings of the language. A call with choices makes that a function with one right answer, which all measures can
hold an answer against; what is left open, any string of the language, is asked for and judged by membership in
`pbb.evaluation.language`. The paper does not define its grammars; ours have no empty and no unit productions, and every nonterminal
has the same number of alternatives, so that choices for one grammar are choices for every other.

Contract: source, BNF and `derive` are three readings of one `Rules`; `choices_of` finds the derivation of a string, or None.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from pbb.errors import PbbError

Rules = Mapping[str, Sequence[str]]
"""The alternatives of every nonterminal, the start first."""

START = "S"
NONTERMINALS = "SABCD"
TERMINALS = "abcdefghijklmnopqrstuvwxyz"
HEADING = (
    "Start with S. Every choice replaces the leftmost capital by one of its alternatives, counted from 0."
)


def source(name: str, rules: Rules) -> str:
    """The function as Python source, ending in a newline."""
    shown = {left: list(rights) for left, rights in rules.items()}
    rows = [
        f"rules = {shown!r}",
        f"text = '{START}'",
        "for choice in choices:",
        "    for symbol in text:",
        "        if symbol in rules:",
        "            text = text.replace(symbol, rules[symbol][choice], 1)",
        "            break",
        "return text",
    ]
    return "\n".join([f"def {name}(choices):", *("    " + row for row in rows)]) + "\n"


def rules_of(text: str) -> dict[str, list[str]]:
    """The grammar that a source holds, read and not run.

    Raises:
        PbbError: it holds none.
    """
    try:
        for node in ast.walk(ast.parse(text)):
            match node:
                case ast.Assign(targets=[ast.Name(id="rules")], value=value):
                    found = ast.literal_eval(value)
                    return {str(left): [str(right) for right in rights] for left, rights in found.items()}
    except (SyntaxError, ValueError, TypeError, AttributeError):
        pass
    raise PbbError("grammar: a source without rules = {...}: take programs of the family grammars")


def bnf(rules: Rules) -> str:
    """The grammar in Backus-Naur form, under a line that says what choices are."""
    rows = [f"{left} ::= {' | '.join(' '.join(right) for right in rights)}" for left, rights in rules.items()]
    return "\n".join([HEADING, *rows])


def paths(rules: Rules) -> list[list[str]]:
    """The first halves of trace rows, for every nonterminal: `S[1] = 'bSb'`."""
    return [[f"{left}[{i}] = {right!r}" for i, right in enumerate(rights)] for left, rights in rules.items()]


def step(rules: Rules, text: str, choice: int, trace: list[str] | None = None) -> str:
    """The sentential form after the leftmost nonterminal is replaced; the form itself where it has none."""
    for symbol in text:
        if symbol in rules:
            right = rules[symbol][choice]
            text = text.replace(symbol, right, 1)
            if trace is not None:
                trace.append(f"{symbol}[{choice}] = {right!r}, {text!r}")
            break
    return text


def derive(rules: Rules, choices: Sequence[int], trace: list[str] | None = None) -> str:
    """What the choices lead to from the start. Appends a row for each of them to `trace` when one is given."""
    text = START
    for choice in choices:
        text = step(rules, text, choice, trace)
    return text


def complete(rules: Rules, text: str) -> bool:
    """Whether no nonterminal is left."""
    return not any(symbol in rules for symbol in text)


def derivations(rules: Rules, steps: tuple[int, int], longest: int) -> Iterator[tuple[list[int], str]]:
    """Every leftmost derivation of so many steps, as its choices, with its string of up to `longest` symbols; shortest first."""
    forms: list[tuple[list[int], str]] = [([], START)]
    for taken in range(1, steps[1] + 1):
        forms = [
            ([*choices, choice], after)
            for choices, text in forms
            for choice in range(len(rules[START]))
            if len(after := step(rules, text, choice)) <= longest
        ]
        if taken >= steps[0]:
            yield from ((choices, text) for choices, text in forms if complete(rules, text))
        forms = [(choices, text) for choices, text in forms if not complete(rules, text)]


def choices_of(rules: Rules, text: str) -> list[int] | None:
    """The choices of a leftmost derivation of a string, or None where the string is not of the language.

    Every symbol stands for at least one letter and no production is a single nonterminal, so each step down is to a shorter string or to
    fewer symbols.
    """

    @cache
    def of_symbols(symbols: str, begin: int, end: int) -> tuple[int, ...] | None:
        if len(symbols) > end - begin:
            return None
        if len(symbols) == 1:
            return of_symbol(symbols, begin, end)
        for middle in range(begin + 1, end - len(symbols) + 2):
            if (first := of_symbol(symbols[0], begin, middle)) is None:
                continue
            if (rest := of_symbols(symbols[1:], middle, end)) is not None:
                return first + rest
        return None

    @cache
    def of_symbol(symbol: str, begin: int, end: int) -> tuple[int, ...] | None:
        if symbol not in rules:
            return () if text[begin:end] == symbol else None
        for choice, right in enumerate(rules[symbol]):
            if (found := of_symbols(right, begin, end)) is not None:
                return (choice, *found)
        return None

    found = of_symbols(START, 0, len(text)) if text else None
    return None if found is None else list(found)


def used(rules: Rules, choices: Sequence[int]) -> set[tuple[str, int]]:
    """The productions of a derivation: nonterminal and alternative."""
    found = set()
    text = START
    for choice in choices:
        found.add((next(symbol for symbol in text if symbol in rules), choice))
        text = step(rules, text, choice)
    return found


def draw(
    rng: random.Random, nonterminals: int, alternatives: int, terminals: int, right: int
) -> Rules | None:
    """A random grammar with right-hand sides of up to `right` symbols, or None where the draw is none worth having.

    One alternative of every nonterminal leads on to later ones only, so that everything can be derived to an end; the others may
    come back to it.
    """
    names = NONTERMINALS[:nonterminals]
    rules: dict[str, list[str]] = {}
    for place, left in enumerate(names):
        ending = rng.randrange(alternatives)
        rights = [
            _right(rng, names[place + 1 :] if i == ending else names, terminals, right)
            for i in range(alternatives)
        ]
        if len(set(rights)) < alternatives:
            return None
        rules[left] = rights
    return rules if _reached(rules) == set(names) else None


def _reached(rules: Rules) -> set[str]:
    found = [START]
    for left in found:
        found += dict.fromkeys(s for right in rules[left] for s in right if s in rules and s not in found)
    return set(found)


def _right(rng: random.Random, names: str, terminals: int, longest: int) -> str:
    """A right-hand side with two nonterminals at most, and never one alone."""
    length = rng.randint(1, longest)
    symbols = [rng.choice(TERMINALS[:terminals]) for _ in range(length)]
    if names and length > 1:
        for place in rng.sample(range(length), rng.choice((0, 1, 1, 2)) if length > 2 else rng.randrange(2)):
            symbols[place] = rng.choice(names)
    return "".join(symbols)
