"""Inputs for a solution: the pairs that a problem gives, and more by typed mutation of those.

A pair says `nums = [2,7,11], target = 9` and `[0, 1]`: the input is read as the keywords of a call, every value as a literal. What
a list or number of each place has in common over all given inputs (range, lengths, order, distinctness, the alphabet of strings, a number
that is always the length of a list) is learned, and kept by mutation, so that most mutants are inputs that the problem allows.

Contract: the same pairs and random stream give the same inputs; values are never evaluated but as literals.
"""

from __future__ import annotations

import ast
import random
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from pbb.programs.leetcode_unwrap import LeftOut

LONGEST = 2000
"""Characters of a given input or output; longer ones are of no use as examples."""
JSON_NAMES = {"null": None, "true": True, "false": False}


def parameters(function: ast.FunctionDef) -> tuple[list[str], int]:
    """The names of the parameters, and how many need a value."""
    names = [a.arg for a in [*function.args.posonlyargs, *function.args.args]]
    return names, len(names) - len(function.args.defaults)


def literal(text: str) -> Any:
    """The value of a literal of Python or JSON. Raises ValueError for anything else."""
    return _value(_parsed(text))


def read_input(text: str, names: Sequence[str], needed: int) -> list[Any]:
    """The arguments, in the order of the parameters. Raises ValueError where they are not literals or do not fit."""
    call = _parsed(f"f({text})")
    if not isinstance(call, ast.Call):
        raise ValueError("no call")
    given: dict[str | None, Any] = dict(zip(names, map(_value, call.args), strict=False))
    for k in call.keywords:
        if k.arg in given:
            raise ValueError(f"{k.arg} is given twice")
        given[k.arg] = _value(k.value)
    wanted = names[: max(needed, len(given))]
    if len(call.args) > len(names) or set(given) != set(wanted):
        raise ValueError("other parameters")
    args = [given[name] for name in wanted]
    if not writable(args):
        raise ValueError("halves of characters")
    return args


def writable(value: Any) -> bool:
    """Whether all text in a literal consists of whole characters, so that it can be written to a file."""
    if isinstance(value, str):
        return not any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, dict):
        return all(writable(v) for pair in value.items() for v in pair)
    return not isinstance(value, (list, tuple)) or all(map(writable, value))


def _parsed(text: str) -> ast.expr:
    if len(text) > LONGEST:
        raise ValueError(f"more than {LONGEST} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in strings that are data
            return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, RecursionError, MemoryError) as e:
        raise ValueError("no expression") from e


def _value(node: ast.expr) -> Any:
    for n in ast.walk(node):
        if isinstance(n, (ast.List, ast.Tuple)):
            n.elts = [_json(e) for e in n.elts]
        elif isinstance(n, ast.Dict):
            n.values = [_json(e) for e in n.values]
    try:
        value = ast.literal_eval(_json(node))
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as e:
        raise ValueError("no literal") from e
    if any(
        isinstance(n, (ast.Set, ast.BinOp)) or isinstance(getattr(n, "value", 0), (bytes, complex))
        for n in ast.walk(node)
    ):
        raise ValueError("a set, bytes or a complex number")
    return value


def _json(node: ast.expr) -> ast.expr:
    return ast.Constant(JSON_NAMES[node.id]) if isinstance(node, ast.Name) and node.id in JSON_NAMES else node


def agrees(expected: str, value: object) -> bool:
    """Whether a given output says this value: as a literal, or, of a string, bare; numbers to five digits, as LeetCode judges."""
    if isinstance(value, str) and expected == value:
        return True
    try:
        return _near(literal(expected), value)
    except ValueError:
        return str(value) == expected.strip()


def _near(a: Any, b: Any) -> bool:
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(_near(x, y) for x, y in zip(a, b, strict=True))
    if type(a) is float or type(b) is float:
        return (
            isinstance(a, (int, float))
            and isinstance(b, (int, float))
            and abs(a - b) <= 1e-5 * max(1, abs(a), abs(b))
        )
    return type(a) is type(b) and bool(a == b)


class Domain:
    """What the values of one place have in common, and new values that have it too."""

    def __init__(self, values: Sequence[Any]) -> None:
        self.values = [v for v in values if v is not None]
        kinds = {type(v) for v in self.values}
        self.kind: type | None = kinds.pop() if len(kinds) == 1 else float if kinds == {int, float} else None
        if self.kind in (int, float):
            self.low, self.high = min(self.values), max(self.values)
        elif self.kind in (list, tuple, str):
            lengths = [len(v) for v in self.values]
            self.shortest, self.longest = min(lengths), max(lengths)
            self.sorted = (
                self.kind is not str and all(_is_sorted(v) for v in self.values) and self.longest > 1
            )
            self.distinct = self.longest > 1 and all(len({repr(x) for x in v}) == len(v) for v in self.values)
            self.even = _equal_lengths(self.values)
            self.fixed = self.shortest == self.longest and len(self.values) > 3
            items = [x for v in self.values for x in v]
            if self.kind is str:
                self.letters = sorted(set(items)) or ["a"]
            else:
                self.item = Domain(items)

    def mutant(self, value: Any, rng: random.Random, slack: int) -> Any:
        """Another value near this one. slack: how far beyond what was seen numbers and lengths may go."""
        if type(value) is bool:
            return not value
        if type(value) is int and self.kind is int:
            return self._number(value, rng, slack)
        if type(value) is float and self.kind is float:
            digits = max((len(repr(float(v)).partition(".")[2]) for v in self.values), default=1)
            return round(rng.uniform(self.low, self.high + slack), min(digits, 5))
        if type(value) in (list, tuple) and self.kind in (list, tuple):
            return self._list(list(value), rng, slack)
        if type(value) is str and self.kind is str:
            return self._string(value, rng, slack)
        return value

    def _number(self, value: int, rng: random.Random, slack: int) -> int:
        low = (
            self.low
            if not slack
            else min(self.low, 1)
            if self.low > 0
            else self.low - (slack if self.low < 0 else 0)
        )
        high = self.high + slack
        if rng.random() < 0.5:
            value += rng.choice((-3, -2, -1, 1, 2, 3))
            return int(min(max(value, low), high))
        return rng.randint(low, high)

    def _list(self, value: list[Any], rng: random.Random, slack: int) -> list[Any]:
        if self.even and value and isinstance(value[0], (list, str)):
            moves = ["item"] if self.fixed else ["item", "item", "drop", "extend"]
        elif self.fixed:
            moves = ["item", "item", "shuffle"]
        else:
            moves = ["item", "item", "item", "shuffle", "drop", "drop", "extend", "prefix"]
        for _ in range(rng.choice((1, 1, 2, 3))):
            move = rng.choice(moves)
            if move == "item" and value:
                i = rng.randrange(len(value))
                value[i] = self._item(value[i], rng, slack)
            elif move == "shuffle":
                rng.shuffle(value)
            elif move == "drop" and len(value) > max(1 if self.shortest else 0, self.shortest - slack - 2):
                del value[rng.randrange(len(value))]
            elif move == "prefix" and len(value) > 2:
                value = value[: rng.randint(max(1, min(self.shortest, len(value))), len(value))]
            elif move == "extend" and len(value) < self.longest + slack and self.item.values:
                seen = rng.choice(self.item.values)
                new = self._item(seen, rng, slack) if rng.random() < 0.5 else seen
                if not self.even or not value or _size(new) == _size(value[0]):
                    value.insert(rng.randint(0, len(value)), new)
        if self.distinct:
            value = list({repr(x): x for x in value}.values())
        if self.sorted and _is_sortable(value):
            value.sort()
        return value

    def _item(self, value: Any, rng: random.Random, slack: int) -> Any:
        for _ in range(4):
            new = self.item.mutant(value, rng, slack)
            if not self.even or _size(new) == _size(value):
                return new
        return value

    def _string(self, value: str, rng: random.Random, slack: int) -> str:
        letters = list(value)
        for _ in range(rng.choice((1, 1, 2, 3))):
            move = (
                "change"
                if self.fixed
                else rng.choice(("change", "change", "drop", "insert", "shuffle", "reverse"))
            )
            if move == "change" and letters:
                letters[rng.randrange(len(letters))] = rng.choice(self.letters)
            elif move == "drop" and len(letters) > min(1, self.shortest):
                del letters[rng.randrange(len(letters))]
            elif move == "insert" and len(letters) < self.longest + slack:
                letters.insert(rng.randint(0, len(letters)), rng.choice(self.letters))
            elif move == "shuffle":
                rng.shuffle(letters)
            elif move == "reverse":
                letters.reverse()
        return "".join(letters)


def _size(value: Any) -> int | None:
    return len(value) if isinstance(value, (list, tuple, str)) else None


def _is_sortable(value: Sequence[Any]) -> bool:
    return len({type(x) for x in value}) <= 1 and all(isinstance(x, (int, float, str)) for x in value)


def _is_sorted(value: Sequence[Any]) -> bool:
    return _is_sortable(value) and all(a <= b for a, b in zip(value, value[1:], strict=False))


def _equal_lengths(lists: Sequence[Any]) -> bool:
    """Whether the items of each list are all as long as one another, as the rows of a matrix are."""
    sized = [[len(x) for x in v if isinstance(x, (list, str))] for v in lists if not isinstance(v, str)]
    return any(len(v) > 1 for v in sized) and all(len(set(v)) <= 1 for v in sized)


class Mutation:
    """New arguments like the ones given, never the same ones twice."""

    def __init__(self, inputs: Sequence[list[Any]], rng: random.Random) -> None:
        if not inputs or not inputs[0]:
            raise LeftOut("no I/O pairs", "nothing to mutate")
        width = min(len(args) for args in inputs)
        self.inputs = [args[:width] for args in inputs]
        self.rng = rng
        self.domains = [Domain([args[i] for args in self.inputs]) for i in range(width)]
        self.lengths = [
            (i, j)
            for i in range(width)
            for j in range(width)
            if all(
                type(a[i]) is int and isinstance(a[j], (list, str)) and a[i] == len(a[j]) for a in self.inputs
            )
        ]
        # lists that are always as long as one another, such as prices and weights
        self.pairs = [
            (i, j)
            for i in range(width)
            for j in range(i)
            if all(
                isinstance(a[i], list) and isinstance(a[j], list) and len(a[i]) == len(a[j])
                for a in self.inputs
            )
        ]
        self.seen = {repr(args) for args in self.inputs}

    def draw(self, count: int, slack: int, longest: int) -> Iterator[list[Any]]:
        """Up to `count` new inputs, none longer than `longest` characters; fewer where patience ends."""
        seeds = [a for a in self.inputs if len(repr(a)) <= 2 * longest] or self.inputs
        made = 0
        for _ in range(count * 12):
            args = _copy(self.rng.choice(seeds))
            chosen = self.rng.sample(range(len(args)), self.rng.randint(1, len(args)))
            for i in chosen:
                args[i] = self.domains[i].mutant(args[i], self.rng, slack)
            for i, j in self.pairs:
                size = min(len(args[i]), len(args[j]))
                args[i], args[j] = args[i][:size], args[j][:size]
            for i, j in self.lengths:
                args[i] = len(args[j])
            text = repr(args)
            if text not in self.seen and len(text) <= longest + 2:
                self.seen.add(text)
                yield args
                made += 1
                if made == count:
                    return


def _copy(value: Any) -> Any:
    return [_copy(v) for v in value] if isinstance(value, list) else value
